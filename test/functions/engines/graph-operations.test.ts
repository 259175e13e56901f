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
import { fused, OPERATIONS, SAME, UNTOLD } from '../support/graph-operations.js';
import { graphBytes, graphModel, graphValues, image, node, seededQuantised, tinyGraph, type NodeJson } from '../support/tiny-graph.js';
import { seededRandom, temporaryFolder, writeModel, type ModelJson } from '../support/tiny-model.js';
import { drawPixels, ENGINE, load } from './engine-contract.js';

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
  await (await tfjsWasm.create(await load(await writeModel(folder.path, graphModel(tinyGraph()), graphBytes(tinyGraph()))), ENGINE)).dispose();
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
