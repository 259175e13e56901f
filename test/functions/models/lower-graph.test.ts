/** Graphs lowered into the typed network: computed node by node they give what TF.js's own converter gives. */
import * as converter from '@tensorflow/tfjs-converter';
import * as core from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packagePath } from '../../../common/package-root.js';
import { dot, normalise } from '../../../common/vector.js';
import { weightsInOrder } from '../../../functions/models/graph-cut.js';
import { lowerGraph } from '../../../functions/models/lower-graph.js';
import { decodeGroup, parseManifest } from '../../../functions/models/weights.js';
import { inferShapes, isBatchable } from '../../../functions/network/shapes.js';
import { missingTestData, testDataPath } from '../../support/test-data.js';
import { einsum, FURTHER, fused, OPERATIONS, SAME, UNTOLD, VALID } from '../support/graph-operations.js';
import { compute, furthest, graphOf, lower, SIZE, type Result } from '../support/lowered-graph.js';
import { constant, graphBytes, graphModel, image, integers, node, seededQuantised, texts, type NodeJson } from '../support/tiny-graph.js';
import { seededRandom, type ModelJson } from '../support/tiny-model.js';

/** Of numbers beyond 1, as a part of them. */
const TOLERANCE = 1e-4;
/** These lay images out among each other, or write down how many there are. */
const UNBATCHABLE = ['BroadcastTo', 'SpaceToBatch', 'SpaceToBatchPadded'];

beforeAll(() => core.setBackend('cpu'));

const random = seededRandom(3);
const drawNumbers = (size: number): Float32Array => Float32Array.from({ length: size * size * 3 }, () => random() * 4 - 2);
const PIXELS = drawNumbers(SIZE);
const OTHERS = drawNumbers(SIZE);

/** What tfjs-converter gives. */
async function execute(json: ModelJson, bytes: Buffer, { numbers = PIXELS, size = SIZE, output = 'out' } = {}): Promise<Result> {
  const { modelTopology, weightsManifest } = json;
  const graph = await converter.loadGraphModel({ load: async () => ({ modelTopology: modelTopology as object, weightSpecs: weightsManifest[0]!.weights as core.io.WeightsManifestEntry[], weightData: Uint8Array.from(bytes).buffer }) });
  try {
    return core.tidy(() => {
      const result = graph.execute({ [graph.inputs[0]!.name]: core.tensor4d(numbers, [1, size, size, 3]) }, output) as core.Tensor;
      return { shape: result.shape, values: Float32Array.from(result.dataSync()) };
    });
  } finally {
    graph.dispose();
  }
}

function computeTogether(network: ReturnType<typeof lower>, ...images: readonly Float32Array[]): Float32Array[] {
  const { values } = compute(network, Float32Array.from(images.flatMap((numbers) => [...numbers])), { count: images.length, size: Math.sqrt(images[0]!.length / 3) });
  const dim = values.length / images.length;
  return images.map((_, i) => values.subarray(i * dim, (i + 1) * dim));
}

describe.each(Object.entries({ ...OPERATIONS, ...UNTOLD, ...FURTHER }))('%s', (name, nodes) => {
  it('gives what TF.js gives, in its shape', async () => {
    const all = [image([-1, SIZE, SIZE, 3]), ...nodes];
    const network = lower(nodes);
    const [ours, theirs] = [compute(network, PIXELS), await execute(graphModel(all), graphBytes(all))];
    expect(ours.shape).toEqual(theirs.shape);
    expect(furthest(ours.values, theirs.values)).toBeLessThan(TOLERANCE);
    expect(inferShapes(network).get(network.output)).toEqual(theirs.shape);
  });

  it(UNBATCHABLE.includes(name) ? 'is told to mix images of a batch' : 'gives two images together what each gives alone', () => {
    const network = lower(nodes);
    expect(isBatchable(network)).toBe(!UNBATCHABLE.includes(name));
    if (UNBATCHABLE.includes(name)) return;
    const alone = [PIXELS, OTHERS].map((numbers) => compute(network, numbers).values);
    computeTogether(network, PIXELS, OTHERS).forEach((together, i) => expect(furthest(together, alone[i]!)).toBeLessThan(TOLERANCE));
  });
});

/** What two graphs, of which TF.js cannot compute the first, give for an image. */
function expectAlike(ours: readonly NodeJson[], other: readonly NodeJson[]): void {
  const [a, b] = [compute(lower(ours), PIXELS), compute(lower(other), PIXELS)];
  expect(a.shape).toEqual(b.shape);
  expect(furthest(a.values, b.values)).toBeLessThan(TOLERANCE);
}

describe('what TF.js computes wrongly or not at all', () => {
  const [kernel, bias] = [constant('k', [3, 3, 3, 1]), constant('b', [3])];

  it('a depthwise convolution keeps the slope of the LeakyRelu that is fused into it', () => {
    expectAlike(fused('FusedDepthwiseConv2dNative', 'LeakyRelu'), [kernel, bias, node('DepthwiseConv2dNative', 'plain', ['image', 'k'], SAME), node('BiasAdd', 'biased', ['plain', 'b']), node('LeakyRelu', 'out', ['biased'], { alpha: { f: 0.2 } })]);
  });

  it('a batch norm that is fused into a convolution is computed behind it', () => {
    const parts = [constant('k', [3, 3, 3, 4]), constant('scale', [4]), constant('offset', [4]), constant('mean', [4]), constant('variance', [4], [1, 2, 3, 0.5])];
    const names = ['scale', 'offset', 'mean', 'variance'];
    expectAlike(
      [...parts, node('_FusedConv2D', 'out', ['image', 'k', ...names], { ...SAME, num_args: { i: '4' }, epsilon: { f: 0.01 }, fused_ops: texts('FusedBatchNorm', 'Relu') })],
      [...parts, node('Conv2D', 'plain', ['image', 'k'], SAME), node('FusedBatchNormV3', 'normalised', ['plain', ...names], { epsilon: { f: 0.01 } }), node('Relu', 'out', ['normalised'])],
    );
  });

  it('a kernel for one of three channels is one of three groups', () => {
    const numbers = Array.from({ length: 18 }, (_, i) => i / 10 - 0.9);
    const perChannel = numbers.map((_, i) => numbers[Math.floor(i / 6) * 6 + (i % 6)]!);
    expectAlike([constant('k', [3, 1, 1, 6], perChannel), node('Conv2D', 'out', ['image', 'k'], VALID)], [constant('k', [3, 1, 3, 2], perChannel), node('DepthwiseConv2dNative', 'out', ['image', 'k'], VALID)]);
  });

  it('Einsum takes dots for the axes that it does not name', () => {
    expectAlike(einsum('...c,cd->...d', [3, 5]), einsum('bhwc,cd->bhwd', [3, 5]));
  });

  it('SpaceToDepth is undone by DepthToSpace', () => {
    const even = [constant('k', [2, 2, 3, 4]), node('Conv2D', 'even', ['image', 'k'], VALID)];
    expectAlike([...even, node('SpaceToDepth', 'deep', ['even'], { block_size: { i: '2' } }), node('DepthToSpace', 'out', ['deep'], { block_size: { i: '2' } })], [...even, node('Identity', 'out', ['even'])]);
  });
});

describe('a lowered network', () => {
  it('has the names of the graph, one node for one, where each becomes one', () => {
    const nodes = [...OPERATIONS['Conv2D']!.slice(0, 1), node('Conv2D', 'conv', ['image', 'k'], SAME), node('Relu', 'out', ['conv'])];
    const network = lower(nodes);
    expect(network.nodes.map(({ name, op }) => `${name} ${op}`)).toEqual(['image input', 'conv conv', 'out elementwise']);
    expect([...network.weights.keys()]).toEqual(['k']);
  });

  it('has nodes of other names only beside those of the graph, whatever these are', () => {
    const nodes = [node('Relu', 'out/eis_fused0', ['image']), constant('k', [3, 3, 3, 1]), constant('b', [3]), constant('alpha', [3]), node('FusedDepthwiseConv2dNative', 'out', ['out/eis_fused0', 'k', 'b', 'alpha'], { ...SAME, fused_ops: texts('BiasAdd', 'Prelu') })];
    expect(lower(nodes).nodes.map(({ name }) => name)).toEqual(['image', 'out/eis_fused0', 'out/eis_fused0_', 'out']);
  });

  it('has no node of what gives its input back, nor of what is computed from constants alone', () => {
    expect(lower([node('Relu', 'r', ['image']), node('Identity', 'i', ['r']), integers('shape', -1, 9, 9, 3), node('Reshape', 'out', ['i', 'shape'])]).output).toBe('r');
    const { nodes, weights } = lower(FURTHER['ConstantExpression']!);
    expect(nodes.map(({ name }) => name)).toEqual(['image', 'scaled', 'out']);
    expect([...weights.keys()]).toEqual(['scale', 'shift']);
  });

  it('has real weights only', () => {
    for (const nodes of Object.values({ ...OPERATIONS, ...UNTOLD, ...FURTHER })) {
      for (const { shape, values } of lower(nodes).weights.values()) {
        expect(values).toBeInstanceOf(Float32Array);
        expect(values.length).toBe(shape.reduce((a, b) => a * b, 1));
      }
    }
  });

  it('takes the weights of the file as they are, in their memory', () => {
    const values = new Float32Array(new SharedArrayBuffer(4 * 135));
    const json = graphModel([image([-1, SIZE, SIZE, 3]), constant('k', [3, 3, 3, 5]), node('Conv2D', 'out', ['image', 'k'], SAME)]);
    expect(lowerGraph(graphOf(json), [{ name: 'k', shape: [3, 3, 3, 5], dtype: 'float32', values }], { input: { height: 9, width: 9, channels: 3 }, file: 'x' }).weights.get('k')!.values).toBe(values);
  });

  it('has one dilated convolution where an old graph has three nodes', () => {
    for (const name of ['DilatedOfOldGraphs', 'DilatedDepthwiseOfOldGraphs']) {
      const { nodes } = lower(FURTHER[name]!);
      expect(nodes).toHaveLength(2);
      expect(nodes[1]).toMatchObject({ name: 'out', dilations: [2, 2], padding: [2, 2, 2, 2] });
    }
  });

  it('keeps images apart that a graph makes rows of one matrix of, as Keras does for a Dense layer on maps', () => {
    expect(lower(FURTHER['DenseOnMap']!).nodes.map(({ op }) => op)).toEqual(['input', 'matmul', 'binary']);
  });

  it('flattens by what is computed of the batch', () => {
    expect(lower(OPERATIONS['Flatten']!).nodes.at(-1)).toMatchObject({ op: 'reshape', shape: [0, 81, 3] });
  });
});

const missing = missingTestData('models');
describe.skipIf(missing)(`MobileNetV2 ${missing ?? ''}`, () => {
  beforeAll(async () => {
    setWasmPaths(packagePath('node_modules/@tensorflow/tfjs-backend-wasm/dist/'));
    await core.setBackend('wasm');
  });
  afterAll(() => core.setBackend('cpu'));

  it('gives what TF.js gives, and two images together what each gives alone', async () => {
    const json = JSON.parse(readFileSync(testDataPath('models/topologies/mobilenet-v2-graph-model.json'), 'utf8')) as ModelJson;
    const bytes = seededQuantised(json);
    const output = 'StatefulPartitionedCall/sequential/keras_layer/StatefulPartitionedCall/StatefulPartitionedCall/StatefulPartitionedCall/predict/feature_vector/SpatialSqueeze';
    const input = { height: 224, width: 224, channels: 3 } as const;
    const graph = graphOf(json, { inputName: 'input', output, input });
    const [group] = parseManifest(json.weightsManifest, 'x');
    const network = lowerGraph(graph, weightsInOrder(graph, decodeGroup(group!, bytes, { file: 'x', isWanted: () => true }), 'x'), { input, file: 'x' });
    expect(isBatchable(network)).toBe(true);
    const images = [drawNumbers(224), drawNumbers(224)];
    const together = computeTogether(network, ...images);
    for (const [i, numbers] of images.entries()) {
      const theirs = await execute(json, bytes, { numbers, size: 224, output });
      expect(dot(normalise(together[i]!), normalise(theirs.values))).toBeGreaterThan(0.99999);
      expect(furthest(together[i]!, compute(network, numbers, { size: 224 }).values)).toBeLessThan(TOLERANCE);
    }
  });
});
