/** The operations that image networks are made of: WebAssembly against TF.js's CPU backend, and the shapes that the loader tells. */
import * as converter from '@tensorflow/tfjs-converter';
import * as core from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-cpu';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tfjsWasm } from '../../../functions/engines/tfjs-wasm.js';
import { parseGraph } from '../../../functions/models/graph-file.js';
import { orderedAncestors } from '../../../functions/models/graph-order.js';
import { inferShapes, type Constant } from '../../../functions/models/graph-shapes.js';
import { missingTestData, testDataPath } from '../../support/test-data.js';
import { constant, flag, graphBytes, graphModel, graphValues, image, integers, ints, node, seededQuantised, text, texts, tinyGraph, type NodeJson } from '../support/tiny-graph.js';
import { seededRandom, temporaryFolder, writeModel, type ModelJson } from '../support/tiny-model.js';
import { drawPixels, ENGINE, load } from './engine-contract.js';

const SAME = { strides: ints(1, 2, 2, 1), padding: text('SAME'), dilations: ints(1, 1, 1, 1) };
const VALID = { strides: ints(1, 1, 1, 1), padding: text('VALID') };
const one = (op: string, attr: NodeJson['attr'] = {}): NodeJson[] => [node(op, 'out', ['image'], attr)];
const two = (op: string, argument: NodeJson, attr: NodeJson['attr'] = {}): NodeJson[] => [argument, node(op, 'out', ['image', argument.name], attr)];
const fused = (op: string, activation: string, attr: NodeJson['attr'] = SAME, extra: readonly NodeJson[] = []): NodeJson[] => [
  constant('k', op === '_FusedConv2D' ? [3, 3, 3, 4] : [3, 3, 3, 1]), constant('b', [op === '_FusedConv2D' ? 4 : 3]), ...extra,
  node(op, 'out', ['image', 'k', 'b', ...extra.map(({ name }) => name)], { ...attr, num_args: { i: String(1 + extra.length) }, fused_ops: texts('BiasAdd', activation), leakyrelu_alpha: { f: 0.2 } }),
];

/** Of a 9×9×3 image, each ending in `out`. */
const OPERATIONS: Readonly<Record<string, readonly NodeJson[]>> = {
  ...Object.fromEntries(['Elu', 'Selu', 'Relu6', 'Sigmoid', 'Tanh', 'Softplus', 'Erf', 'Softmax', 'LogSoftmax', 'Exp', 'Abs', 'Neg', 'Square', 'Identity', 'Round'].map((op) => [op, one(op)])),
  LeakyRelu: one('LeakyRelu', { alpha: { f: 0.3 } }),
  Prelu: two('Prelu', constant('alpha', [3])),
  ClipByValue: [constant('low', [], [-0.5]), constant('high', [], [0.5]), node('ClipByValue', 'out', ['image', 'low', 'high'])],
  HardSwish: [constant('three', [], [3]), constant('sixth', [], [1 / 6]), node('AddV2', 'a', ['image', 'three']), node('Relu6', 'b', ['a']), node('Mul', 'c', ['b', 'sixth']), node('Mul', 'out', ['image', 'c'])],
  Swish: [node('Sigmoid', 's', ['image']), node('Mul', 'out', ['s', 'image'])],
  BatchNorm: [...['scale', 'offset', 'mean'].map((name) => constant(name, [3])), constant('variance', [3], [1, 2, 0.5]), node('FusedBatchNormV3', 'out', ['image', 'scale', 'offset', 'mean', 'variance'], { epsilon: { f: 0.001 }, is_training: flag(false) })],
  BiasAdd: two('BiasAdd', constant('bias', [3])),
  Broadcast: [constant('b', [9, 1, 1]), node('Maximum', 'a', ['image', 'b']), node('SquaredDifference', 'out', ['a', 'b'])],
  AvgPool: one('AvgPool', { ksize: ints(1, 3, 3, 1), ...SAME }),
  MaxPool: one('MaxPool', { ksize: ints(1, 3, 3, 1), ...VALID }),
  Mean: two('Mean', integers('axes', 1, 2), { keep_dims: flag(true) }),
  MeanFromTheEnd: two('Mean', integers('axes', -3, -2)),
  Max: two('Max', integers('axes', 2)),
  Sum: two('Sum', constant('axes', [], [3], 'int32')),
  Conv2D: two('Conv2D', constant('k', [3, 2, 3, 5]), SAME),
  Conv2DDilated: two('Conv2D', constant('k', [3, 3, 3, 5]), { ...VALID, dilations: ints(1, 2, 2, 1) }),
  Conv2DExplicit: two('Conv2D', constant('k', [3, 3, 3, 5]), { ...SAME, padding: text('EXPLICIT'), explicit_paddings: ints(0, 0, 1, 2, 0, 1, 0, 0) }),
  Depthwise: two('DepthwiseConv2dNative', constant('k', [3, 3, 3, 2]), SAME),
  DepthwiseDilated: two('DepthwiseConv2dNative', constant('k', [3, 3, 3, 1]), { ...VALID, dilations: ints(1, 2, 2, 1) }),
  ...Object.fromEntries(['Relu', 'Relu6', 'Elu', 'Sigmoid'].flatMap((activation) => [[`FusedConv${activation}`, fused('_FusedConv2D', activation)], [`FusedDepthwise${activation}`, fused('FusedDepthwiseConv2dNative', activation)]])),
  FusedConvLeakyRelu: fused('_FusedConv2D', 'LeakyRelu'),
  FusedConvPrelu: fused('_FusedConv2D', 'Prelu', SAME, [constant('alpha', [1, 1, 4])]),
  Pad: two('Pad', { ...integers('p', 0, 0, 1, 2, 3, 0, 0, 0), weight: { shape: [4, 2], dtype: 'int32', values: [0, 0, 1, 2, 3, 0, 0, 0] } }),
  PadV2: [constant('p', [4, 2], [0, 0, 1, 1, 1, 1, 0, 0], 'int32'), constant('v', [], [0.5]), node('PadV2', 'out', ['image', 'p', 'v'])],
  MirrorPad: two('MirrorPad', constant('p', [4, 2], [0, 0, 1, 1, 2, 1, 0, 0], 'int32'), { mode: text('REFLECT') }),
  ResizeBilinear: two('ResizeBilinear', integers('size', 5, 12), { half_pixel_centers: flag(true), align_corners: flag(false) }),
  ResizeNearest: two('ResizeNearestNeighbor', integers('size', 5, 12), { half_pixel_centers: flag(true), align_corners: flag(false) }),
  Concat: [node('Relu', 'r', ['image']), integers('axis', 3), node('ConcatV2', 'out', ['image', 'r', 'axis'], { N: { i: '2' } })].map((each) => (each.name === 'axis' ? constant('axis', [], [-1], 'int32') : each)),
  Transpose: two('Transpose', integers('order', 0, 3, 1, 2)),
  Squeeze: [...two('Mean', integers('axes', 1, 2), { keep_dims: flag(true) }).map((each) => (each.name === 'out' ? { ...each, name: 'm' } : each)), node('Squeeze', 'out', ['m'], { squeeze_dims: ints(1, 2) })],
  ExpandDims: two('ExpandDims', constant('axis', [], [-1], 'int32')),
  Reshape: two('Reshape', integers('shape', -1, 243)),
  Flatten: [node('Shape', 'shape', ['image']), integers('from', 0), integers('to', 1), integers('by', 1), node('StridedSlice', 'batch', ['shape', 'from', 'to', 'by'], { shrink_axis_mask: { i: '1' } }), constant('rest', [], [-1], 'int32'), constant('three', [], [3], 'int32'), node('Pack', 'target', ['batch', 'rest', 'three'], { axis: { i: '0' } }), node('Reshape', 'out', ['image', 'target'])],
  MatMul: [integers('shape', -1, 243), node('Reshape', 'flat', ['image', 'shape']), constant('k', [5, 243]), node('MatMul', 'out', ['flat', 'k'], { transpose_a: flag(false), transpose_b: flag(true) })],
  ...Object.fromEntries(['Elu', 'LeakyRelu', 'Relu6'].map((activation) => [`FusedMatMul${activation}`, [integers('shape', -1, 243), node('Reshape', 'flat', ['image', 'shape']), constant('k', [243, 5]), constant('b', [5]), node('_FusedMatMul', 'out', ['flat', 'k', 'b'], { num_args: { i: '1' }, fused_ops: texts('BiasAdd', activation), leakyrelu_alpha: { f: 0.3 } })]])),
};
/** Operations whose shapes the loader does not tell. */
const UNTOLD: Readonly<Record<string, readonly NodeJson[]>> = {
  StridedSlice: [integers('from', 0, 1, 1, 0), integers('to', 1, 8, 9, 3), integers('by', 1, 2, 1, 1), node('StridedSlice', 'out', ['image', 'from', 'to', 'by'], { begin_mask: { i: '9' }, end_mask: { i: '9' } })],
  Split: [constant('axis', [], [3], 'int32'), node('Split', 'parts', ['axis', 'image'], { num_split: { i: '3' } }), node('AddV2', 'out', ['parts:1', 'parts:2'])],
  SpaceToBatch: [integers('block', 3, 3), constant('pads', [2, 2], [0, 0, 0, 0], 'int32'), node('SpaceToBatchND', 'apart', ['image', 'block', 'pads']), node('Relu', 'r', ['apart']), node('BatchToSpaceND', 'out', ['r', 'block', 'pads'])],
  Gather: [integers('which', 2, 0), constant('axis', [], [3], 'int32'), node('GatherV2', 'out', ['image', 'which', 'axis'])],
  AddN: [node('AddN', 'out', ['image', 'image', 'image'], { N: { i: '3' } })],
  LRN: one('LRN', { depth_radius: { i: '2' }, bias: { f: 1 }, alpha: { f: 0.1 }, beta: { f: 0.5 } }),
};

const random = seededRandom(3);
const PIXELS = Float32Array.from({ length: 243 }, () => random() * 4 - 2);

interface Result {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

async function execute(backend: string, json: ModelJson, bytes: Buffer, names: readonly string[]): Promise<Result[]> {
  await core.setBackend(backend);
  const { modelTopology, weightsManifest } = json;
  const graph = await converter.loadGraphModel({ load: async () => ({ modelTopology: modelTopology as object, weightSpecs: weightsManifest[0]!.weights as core.io.WeightsManifestEntry[], weightData: Uint8Array.from(bytes).buffer }) });
  const size = parseGraph(json, 'x').nodes.has('image') ? 9 : 224;
  try {
    return core.tidy(() => {
      const picture = size === 9 ? core.tensor4d(PIXELS, [1, 9, 9, 3]) : core.tensor4d(Float32Array.from({ length: 224 * 224 * 3 }, (_, i) => PIXELS[i % 243]!), [1, 224, 224, 3]);
      const results = graph.execute({ [graph.inputs[0]!.name]: picture }, [...names]);
      return [results].flat().map((tensor) => ({ shape: tensor.shape, values: size === 9 ? [...tensor.dataSync()] : [] }));
    });
  } finally {
    graph.dispose();
    await core.setBackend('wasm');
  }
}

function inferred(json: ModelJson, constants: ReadonlyMap<string, Constant>, size: number, inputName: string, output: string): ReturnType<typeof inferShapes> {
  return inferShapes(orderedAncestors(parseGraph(json, 'x'), output, 'x'), { inputName, input: { height: size, width: size, channels: 3 }, constants });
}

function constantsOf(nodes: readonly NodeJson[]): Map<string, Constant> {
  const values = graphValues(nodes);
  return new Map(nodes.flatMap(({ name, weight }) => (weight ? [[name, { shape: weight.shape, values: [...values.get(name)!] }] as const] : [])));
}

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
  // Sets the backend up.
  (await tfjsWasm.create(await load(await writeModel(folder.path, graphModel(tinyGraph()), graphBytes(tinyGraph()))), ENGINE)).dispose();
});
afterAll(() => folder.remove());

describe.each(Object.entries({ ...OPERATIONS, ...UNTOLD }))('%s', (name, nodes) => {
  it('gives on WebAssembly what it gives on the CPU, in the shape that the loader tells', async () => {
    const all = [image([-1, 9, 9, 3]), ...nodes];
    const [json, bytes] = [graphModel(all), graphBytes(all)];
    const [[wasm], [cpu]] = [await execute('wasm', json, bytes, ['out']), await execute('cpu', json, bytes, ['out'])];
    expect(wasm!.shape).toEqual(cpu!.shape);
    const furthest = wasm!.values.reduce((most, value, i) => Math.max(most, Math.abs(value - cpu!.values[i]!) / Math.max(1, Math.abs(cpu!.values[i]!))), 0);
    expect(furthest).toBeLessThan(1e-4);
    expect(inferred(json, constantsOf(all), 9, 'image', 'out').get('out')).toEqual(name in UNTOLD ? undefined : cpu!.shape);
  });
});

describe('a depthwise convolution fused with a LeakyRelu', () => {
  it('gives what its parts give, though TF.js forgets the slope', async () => {
    const whole = [image([-1, 9, 9, 3]), ...fused('FusedDepthwiseConv2dNative', 'LeakyRelu')];
    const parts = [...whole.slice(0, -1), node('DepthwiseConv2dNative', 'plain', ['image', 'k'], SAME), node('BiasAdd', 'biased', ['plain', 'b']), node('LeakyRelu', 'out', ['biased'], { alpha: { f: 0.2 } })];
    const [ours, expected] = await Promise.all([whole, parts].map(async (nodes, i) => {
      const engine = await tfjsWasm.create(await load(await writeModel(`${folder.path}/leaky${i}`, graphModel(nodes), graphBytes(nodes))), ENGINE);
      return engine.embed(drawPixels({ input: { height: 9, width: 9, channels: 3 } }), 1).finally(() => engine.dispose());
    }));
    expect(ours!.some((value) => value < 0)).toBe(true);
    for (const [i, value] of ours!.entries()) expect(value).toBeCloseTo(expected![i]!, 5);
  });
});

describe('an operation without a kernel', () => {
  it('is named when the engine is created', async () => {
    const nodes = [image(), constant('k', [3, 5]), node('Einsum', 'path/einsum', ['image', 'k'], { equation: text('bhwc,cd->bhwd'), N: { i: '2' } }), node('Relu', 'out', ['path/einsum'])];
    const model = await load(await writeModel(`${folder.path}/einsum`, graphModel(nodes), graphBytes(nodes)), { layer: 'out' });
    await expect(tfjsWasm.create(model, ENGINE)).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringMatching(/"path\/einsum" is of the operation Einsum.*[Kk]ernel/) as string });
  });
});

const missing = missingTestData('models');
it.skipIf(missing)(`the shapes that the loader tells are those of every node of MobileNetV2 ${missing ?? ''}`, async () => {
  const json = JSON.parse(readFileSync(testDataPath('models/topologies/mobilenet-v2-graph-model.json'), 'utf8')) as ModelJson;
  const { nodes } = parseGraph(json, 'x');
  const computed = [...nodes.values()].filter(({ op }) => op !== 'Const' && op !== 'Placeholder').map(({ name }) => name);
  const results = await execute('wasm', json, seededQuantised(json), computed);
  const constants = new Map(json.weightsManifest[0]!.weights.map(({ name, shape }) => [name, { shape, values: undefined }]));
  const shapes = inferred(json, constants, 224, 'input', 'Identity');
  expect(computed.map((name) => [name, shapes.get(name)])).toEqual(computed.map((name, i) => [name, results[i]!.shape]));
});
