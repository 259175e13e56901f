import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { packagePath } from '../../../common/package-root.js';
import { parseGraph } from '../../../functions/models/graph-file.js';
import { graphLoader } from '../../../functions/models/graph-loader.js';
import type { LoadedModel, LoadOptions, ModelFile } from '../../../functions/models/model.js';
import { constant, conv, flag, graphBytes, graphModel, graphValues, image, integers, ints, matMul, mean, node, quantise, text, tinyGraph, type NodeJson } from '../support/tiny-graph.js';
import { OPTIONS, jsonFile, seededRandom, writeModel, type ModelJson } from '../support/tiny-model.js';
import { describeLoader } from './loader-contract.js';

const write = async (folder: string, model: ModelJson, bytes: Buffer): Promise<ModelFile> => jsonFile(await writeModel(folder, model, bytes), model);

describeLoader(graphLoader, {
  whole: (folder) => write(folder, graphModel(tinyGraph()), graphBytes(tinyGraph())),
  retrained: (folder) => write(folder, graphModel(tinyGraph()), graphBytes(tinyGraph(), 2)),
  truncated: (folder) => write(folder, graphModel(tinyGraph()), graphBytes(tinyGraph()).subarray(4)),
  incomplete: async (folder) => {
    const file = await write(folder, graphModel(tinyGraph()), graphBytes(tinyGraph()));
    await unlink(join(folder, 'more/shard2.bin'));
    return file;
  },
  openSize: (folder) => write(folder, graphModel(tinyGraph(-1)), graphBytes(tinyGraph(-1))),
});

const folder = mkdtempSync(join(tmpdir(), 'eis-function-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Loads parsed JSON, of which the weights alone are written. */
async function loadJson(json: unknown, bytes: Buffer, options: Partial<LoadOptions> = {}): Promise<LoadedModel> {
  const [group] = (json as Partial<ModelJson>).weightsManifest ?? [];
  const path = await writeModel(mkdtempSync(join(folder, 'm-')), { modelTopology: {}, weightsManifest: [group ?? { paths: ['w.bin'], weights: [] }] }, bytes);
  return graphLoader.load(jsonFile(path, json), { ...OPTIONS, ...options });
}
const load = (nodes: readonly NodeJson[], options: Partial<LoadOptions> = {}): Promise<LoadedModel> => loadJson(graphModel(nodes), graphBytes(nodes), options);
const refused = (words: string | RegExp): object => ({ code: 'EIS_MODEL_FILE', message: (typeof words === 'string' ? expect.stringContaining(words) : expect.stringMatching(words)) as string });

const HEAD = [...mean('pooled', 'conv'), ...matMul('classes', 'pooled', [4, 3]), node('Softmax', 'probabilities', ['classes'])];
const withImage = (...images: readonly NodeJson[]): NodeJson[] => [...images, ...conv('conv', images[0]!.name), ...HEAD];

describe('the version of a graph', () => {
  it('does not change with the order of its nodes in the file, its classifier, or attributes that compute nothing', async () => {
    const { version } = await load(tinyGraph());
    const values = graphValues(tinyGraph());
    const fixed = tinyGraph().map((each) => (each.weight ? { ...each, weight: { ...each.weight, values: [...values.get(each.name)!] } } : each));
    expect((await load(fixed.toReversed())).version).toBe(version);
    const retrained = fixed.map((each) => (each.name === 'classes/kernel' ? { ...each, weight: { ...each.weight!, values: Array<number>(12).fill(1) } } : each));
    expect((await load(retrained)).version).toBe(version);
    expect((await load(fixed.map((each) => ({ ...each, attr: { ...each.attr, _output_shapes: { list: { s: [] } } } })))).version).toBe(version);
    const padded = fixed.map((each) => (each.name === 'conv' ? { ...each, attr: { ...each.attr, padding: text('VALID') } } : each));
    expect((await load(padded)).version).not.toBe(version);
  });
});

describe('the input of a graph', () => {
  it('may have a batch of any number or of one, and is fixed to one image', async () => {
    for (const batch of [-1, 1, 0]) expect((await load(withImage(image([batch, 16, 16, 3])))).network.nodes[0]).toMatchObject({ op: 'input', shape: [1, 16, 16, 3] });
    await expect(load(withImage(image([32, 16, 16, 3])))).rejects.toMatchObject(refused('32 images at once'));
  });

  it('takes its shape from the signature where the placeholder does not say', async () => {
    const nodes = withImage({ ...image(), attr: { dtype: { type: 1 } } });
    const json = graphModel(nodes, ['probabilities']) as unknown as { userDefinedMetadata: { signature: { inputs: { images: object } } } };
    await expect(loadJson(json, graphBytes(nodes))).rejects.toMatchObject(refused('does not say the shape'));
    json.userDefinedMetadata.signature.inputs.images = { name: 'image:0', tensorShape: { dim: [{ size: '-1' }, { size: '20' }, { size: '24' }, { size: '3' }] } };
    expect((await loadJson(json, graphBytes(nodes))).input).toEqual({ height: 20, width: 24, channels: 3 });
  });

  it('may be grey, and has its channels last', async () => {
    const grey = [image([-1, 16, 16, 1]), ...conv('conv', 'image', [1, 4]), ...HEAD];
    expect((await load(grey)).input.channels).toBe(1);
    await expect(load(grey, { preprocess: 'torch' })).rejects.toMatchObject(refused('grey'));
    await expect(load(withImage(image([-1, 3, 16, 16])))).rejects.toMatchObject(refused(/"image".*\[null,3,16,16\].*channels first \(NCHW\)/));
    const inner = [image(), ...conv('conv', 'image', [3, 4], { data_format: text('NCHW') }), ...HEAD];
    await expect(load(inner, { layer: 'pooled' })).rejects.toMatchObject(refused(/"conv" \(_FusedConv2D\).*NCHW/));
  });

  it('is one: a second one, or one that says whether it is training, is refused, unless it is of the classifier', async () => {
    const training = image([], 'DT_BOOL', 'training');
    const gate = [node('Cast', 'gate', ['training']), node('Mul', 'gated', ['conv', 'gate'])];
    await expect(load([image(), training, ...conv('conv', 'image'), ...gate, ...mean('pooled', 'gated')])).rejects.toMatchObject(refused(/second input, "training" \(Placeholder\)/));
    await expect(load([image(), { ...training, op: 'PlaceholderWithDefault' }, ...conv('conv', 'image'), ...gate, ...mean('pooled', 'gated')])).rejects.toMatchObject(refused(/"training" \(PlaceholderWithDefault\)/));
    const above = [image(), training, ...conv('conv', 'image'), ...mean('pooled', 'conv'), node('Cast', 'gate', ['training']), node('Mul', 'out', ['pooled', 'gate'])];
    expect((await load(above, { layer: 'pooled' })).layer).toBe('pooled');
    await expect(load([image(), image([-1, 16, 16, 3], 'DT_FLOAT', 'other'), node('AddV2', 'sum', ['image', 'other']), ...conv('conv', 'sum'), ...HEAD])).rejects.toMatchObject(refused(/2 inputs \("image", "other"\)/));
    await expect(load([{ ...image(), op: 'PlaceholderWithDefault' }, ...conv('conv', 'image'), ...HEAD])).rejects.toMatchObject(refused('PlaceholderWithDefault'));
    await expect(load([...conv('conv', 'conv/kernel'), ...HEAD])).rejects.toMatchObject(refused('0 inputs'));
  });

  it('takes real numbers for an image of four sizes', async () => {
    await expect(load(withImage(image([-1, 16, 16, 3], 'DT_UINT8')))).rejects.toMatchObject(refused('DT_UINT8'));
    await expect(load(withImage(image([-1, 16])))).rejects.toMatchObject(refused('[null,16]'));
    await expect(load(withImage(image([-1, 16, 16, -1])))).rejects.toMatchObject(refused('[null,16,16,null]'));
  });
});

describe('operations that no image network needs', () => {
  const opNames = (file: string): string[] => [...readFileSync(packagePath('node_modules/@tensorflow/tfjs-converter/dist/operations/op_list', `${file}.js`), 'utf8').matchAll(/'tfOpName': '(\w+)'/g)].map((match) => match[1]!);
  const RANDOM = ['Multinomial', 'RandomStandardNormal', 'RandomUniform', 'RandomUniformInt', 'TruncatedNormal'];
  const through = (op: string): NodeJson[] => [image(), ...conv('conv', 'image'), node(op, 'path/special', ['conv']), ...mean('pooled', 'path/special')];

  it('are refused by name: all that TF.js counts as control flow, lists, tables, text, or computes in steps', async () => {
    const ops = [...['control', 'dynamic', 'hash_table', 'string'].flatMap(opNames), ...RANDOM, 'PartitionedCall', 'StatefulPartitionedCall', 'VarHandleOp', 'ReadVariableOp', 'DecodeJpeg'];
    expect(ops.length).toBeGreaterThan(60);
    for (const op of ops) await expect(load(through(op)), op).rejects.toMatchObject(refused(`"path/special" is of the operation ${op}: `));
  });

  it('are refused when they call a function of the library', async () => {
    const json = graphModel(through('__inference_block_12')) as { modelTopology: object };
    const library = { function: [{ signature: { name: '__inference_block_12' } }, null, {}] };
    await expect(loadJson({ ...json, modelTopology: { ...json.modelTopology, library } }, graphBytes(through('x')))).rejects.toMatchObject(refused('__inference_block_12: the call of a function'));
  });

  it('do no harm above the embedding', async () => {
    const labelled = [...tinyGraph(), node('LookupTableFindV2', 'labels', ['Identity'])];
    expect((await load(labelled, { layer: 'pooled' })).layer).toBe('pooled');
  });

  it('are told from a cycle in old loops', async () => {
    const loop = [image(), ...conv('conv', 'image'), node('Merge', 'merge', ['conv', 'next']), node('NextIteration', 'next', ['merge']), ...mean('pooled', 'merge')];
    await expect(load(loop)).rejects.toMatchObject(refused('control flow'));
  });
});

describe('weights of a graph', () => {
  it('are dequantised: float16, uint8 and uint16, of real and whole numbers', async () => {
    const nodes = [image(), ...conv('conv', 'image'), ...mean('pooled', 'conv')];
    const plain = await load(nodes);
    const values = graphValues(nodes);
    const model = graphModel(nodes);
    const half = Buffer.alloc(8);
    [0x3c00, 0xbc00, 0x3800, 0x0000].forEach((bits, i) => half.writeUInt16LE(bits, 2 * i));
    const kernel = quantise(values.get('conv/kernel') as Float32Array, 'uint16');
    const specs = model.weightsManifest[0]!.weights.map((spec) => ({ ...spec, quantization: ({ 'conv/kernel': kernel.quantization, 'conv/bias': { dtype: 'float16', original_dtype: 'float32' }, 'pooled/axes': { dtype: 'uint8', scale: 1, min: 1 } } as Record<string, Record<string, unknown>>)[spec.name]! }));
    const loaded = await loadJson({ ...model, weightsManifest: [{ paths: ['w.bin'], weights: specs }] }, Buffer.concat([kernel.bytes, half, Buffer.of(0, 1)]));
    const { weights, nodes: lowered } = loaded.network;
    expect([...weights.keys()]).toEqual([...plain.network.weights.keys()]);
    const error = Math.max(...[...weights.get('conv/kernel')!.values].map((value, i) => Math.abs(value - values.get('conv/kernel')![i]!)));
    expect(error).toBeLessThan(kernel.quantization.scale);
    expect([...weights.get('conv/bias')!.values]).toEqual([1, -1, 0.5, 0]);
    expect(lowered.at(-1)).toMatchObject({ op: 'reduce', axes: [1, 2] });
  });

  it('must be there for every constant, with a scale that is a number', async () => {
    const model = graphModel(tinyGraph());
    const without = model.weightsManifest[0]!.weights.slice(1);
    await expect(loadJson({ ...model, weightsManifest: [{ paths: ['w.bin'], weights: without }] }, graphBytes(tinyGraph()).subarray(432))).rejects.toMatchObject(refused('"conv/kernel" is not among its weights'));
    const odd = model.weightsManifest[0]!.weights.map((spec) => ({ ...spec, quantization: { dtype: 'uint8', scale: 'x', min: 0 } }));
    await expect(loadJson({ ...model, weightsManifest: [{ paths: ['w.bin'], weights: odd }] }, Buffer.alloc(4))).rejects.toMatchObject(refused('"x"'));
  });
});

describe('malformed graphs', () => {
  const deep = JSON.parse(`${'['.repeat(50_000)}${']'.repeat(50_000)}`) as unknown;
  const changed = (name: string, change: object): unknown => {
    const { modelTopology, ...rest } = graphModel(tinyGraph());
    return { ...rest, modelTopology: { node: (modelTopology as { node: { name: string }[] }).node.map((each) => (each.name === name ? { ...each, ...change } : each)) } };
  };
  const signed = (signature: unknown): unknown => ({ ...graphModel(tinyGraph()), signature });

  it('are refused in words', async () => {
    const wrong: [unknown, string][] = [
      [changed('conv', { input: ['image', 'nowhere', 'conv/bias'] }), '"conv" takes "nowhere"'],
      [changed('conv', { input: ['pooled', 'conv/kernel', 'conv/bias'] }), 'wait for each other'],
      [changed('conv', { input: ['conv', 'conv/kernel', 'conv/bias'] }), 'wait for each other'],
      [changed('pooled', { name: 'conv' }), '"conv" is there twice'],
      ...[null, 7, 'x', [], {}, { name: 'a' }, { op: 'Relu' }, { name: 1, op: 'Relu' }, { name: '', op: 'Relu' }].map((each): [unknown, string] => [{ modelTopology: { node: [each] }, weightsManifest: [] }, 'node[0] does not say a name']),
      ...['__proto__', 'constructor', 'a:1', 'x'.repeat(3_000)].map((name): [unknown, string] => [changed('classes', { name }), 'which no node can have']),
      ...['image', [1], [null], {}].map((input): [unknown, string] => [changed('conv', { input }), 'no list of names']),
      ...[1, 'x', null].map((attr): [unknown, string] => [changed('conv', { attr }), 'attributes that are no object']),
      ...[null, 1, { i: 'two' }, { i: deep }, { i: '' }, { f: 'x' }, { b: 1 }, { s: 5 }, { s: [null] }, { type: {} }, { shape: 3 }, { shape: { dim: 4 } }, { shape: { dim: [{ size: 'x' }] } }, { shape: { dim: [{ size: deep }] } }, { list: null }, { list: 3 }, { list: { i: 4 } }, { list: { i: [deep] } }, { list: { s: [1] } }].map((strides): [unknown, string] => [changed('conv', { attr: { strides } }), 'malformed attribute "strides"']),
      [signed({ outputs: { a: { name: 'nowhere:0' } } }), 'names the output "nowhere"'],
      [{ ...graphModel(tinyGraph()), weightsManifest: undefined }, 'weightsManifest'],
      [{ modelTopology: { node: [{ name: 'a', op: 'Const' }] }, weightsManifest: [] }, '0 outputs'],
    ];
    for (const [json, words] of wrong) await expect(loadJson({ ...graphModel(tinyGraph()), ...(json as object) }, graphBytes(tinyGraph())), words).rejects.toMatchObject(refused(words));
  });

  it('are read where what is odd about them does not matter', async () => {
    for (const signature of [1, 'x', [], { inputs: 3, outputs: null }, { inputs: { a: null, b: { name: 4, tensorShape: deep } }, outputs: { a: {}, b: null } }]) expect((await loadJson(signed(signature), graphBytes(tinyGraph()))).layer).toBe('pooled');
    const odd = changed('conv', { input: ['image:0', 'conv/kernel', 'conv/bias', '^classes/kernel'], attr: { ...tinyGraph()[3]!.attr, note: { func: { name: 'f', attr: deep } }, shape: { shape: { dim: [], more: deep } } } });
    const model = await loadJson(odd, graphBytes(tinyGraph()));
    expect(model.network.nodes.find(({ name }) => name === 'conv')!.inputs).toEqual(['image', 'conv/kernel', 'conv/bias']);
    expect(structuredClone(model)).toEqual(model);
  });

  it('of 10 MB are read or refused, and the reading ends', async () => {
    const many = 30_000;
    const name = (i: number): string => `${'n'.repeat(140)}${i}`;
    const chainOf = (op: string, width: number): NodeJson[] => Array.from({ length: many }, (_, i) => node(op, name(i), Array.from({ length: width }, (_each, j) => (i < width ? 'conv' : name(i - 1 - j)))));
    const graphs: Record<string, NodeJson[]> = {
      chain: chainOf('Relu', 1),
      diamonds: chainOf('Mul', 2),
      outputs: Array.from({ length: many }, (_, i) => node('Identity', name(i), ['conv'])),
      wide: [node('Mul', 'all', Array.from({ length: many }, (_, i) => (i % 2 === 0 ? 'conv' : 'image')))],
      ranks: [integers('zero', 0), ...chainOf('ExpandDims', 1).map((each) => ({ ...each, input: [...each.input!, 'zero'] }))],
    };
    for (const [kind, nodes] of Object.entries(graphs)) {
      const all = [image(), ...conv('conv', 'image'), ...nodes];
      const outcome = await load(all).then(({ layer }) => layer, (error: unknown) => (error as { code?: string }).code);
      expect(outcome, kind).toBe({ chain: name(many - 1), diamonds: name(many - 1), outputs: 'conv', wide: 'EIS_MODEL_FILE', ranks: 'EIS_MODEL_FILE' }[kind]);
    }
    const random = seededRandom(4);
    const junk = { modelTopology: { node: Array.from({ length: many }, (_, i) => ({ name: `n${i}`, op: String(random()), input: [String(random())], attr: { a: { i: '1' } } })) }, weightsManifest: [] };
    await expect(graphLoader.load(jsonFile('junk/model.json', junk), OPTIONS)).rejects.toMatchObject(refused('not there'));
  }, 120_000);
});

it('keeps flags and lists of a graph as they are', () => {
  const { nodes } = parseGraph(graphModel([image(), ...conv('conv', 'image'), ...mean('pooled', 'conv', true), constant('k', [1, 1, 4, 2]), node('Conv2D', 'out', ['pooled', 'k'], { strides: ints(1, 1, 1, 1), padding: text('SAME'), use_cudnn_on_gpu: flag(true) })]), 'x');
  expect(nodes.get('out')!.attr).toEqual({ T: { type: 'DT_FLOAT' }, strides: ints(1, 1, 1, 1), padding: text('SAME'), use_cudnn_on_gpu: flag(true) });
});
