import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { graphLoader } from '../../../functions/models/graph-loader.js';
import type { LoadedModel, LoadOptions } from '../../../functions/models/model.js';
import { constant, conv, graphBytes, graphModel, image, integers, ints, matMul, mean, node, text, tinyGraph, type NodeJson } from '../support/tiny-graph.js';
import { OPTIONS, jsonFile, writeModel } from '../support/tiny-model.js';

const folder = mkdtempSync(join(tmpdir(), 'eis-function-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Options extends Partial<LoadOptions> {
  readonly outputs?: readonly string[];
}

async function load(nodes: readonly NodeJson[], { outputs, ...options }: Options = {}): Promise<LoadedModel> {
  const json = graphModel(nodes, outputs);
  return graphLoader.load(jsonFile(await writeModel(mkdtempSync(join(folder, 'm-')), json, graphBytes(nodes)), json), { ...OPTIONS, ...options });
}

const choose = async (nodes: readonly NodeJson[], options: Options = {}): Promise<string> => (await load(nodes, options)).layer;
const opsOf = ({ network }: LoadedModel): string[] => network.nodes.map(({ op }) => op);

const BASE = [image(), ...conv('conv', 'image')];
const POOLED = [...BASE, ...mean('pooled', 'conv')];
const softmax = (from: string): NodeJson => node('Softmax', 'probabilities', [from]);
/** A convolution of 1×1, its bias added apart. */
const conv1x1 = (name: string, from: string, sizes: readonly [number, number]): NodeJson[] => [constant(`${name}/kernel`, [1, 1, ...sizes]), node('Conv2D', `${name}/conv`, [from, `${name}/kernel`], { strides: ints(1, 1, 1, 1), padding: text('VALID') }), constant(`${name}/bias`, [sizes[1]]), node('BiasAdd', name, [`${name}/conv`, `${name}/bias`])];
const hardSwish = (from: string): NodeJson[] => [constant('three', [], [3]), constant('sixth', [], [1 / 6]), node('AddV2', 'shifted', [from, 'three']), node('Relu6', 'clipped', ['shifted']), node('Mul', 'gate', ['clipped', 'sixth']), node('Mul', 'swished', [from, 'gate'])];

describe('the embedding of a graph, when no layer is named', () => {
  it('is the pooled features under a classifier, hidden layers, dropout and normalisation aside', async () => {
    expect(await choose(tinyGraph())).toBe('pooled');
    expect(await choose([...POOLED, ...matMul('hidden', 'pooled', [4, 8], 'Relu'), constant('keep', [], [0.5]), node('Mul', 'dropout', ['hidden', 'keep']), ...matMul('class', 'dropout', [8, 1]), node('Sigmoid', 'p', ['class'])])).toBe('pooled');
    expect(await choose([...POOLED, ...matMul('class', 'pooled', [4, 1], 'Sigmoid')])).toBe('pooled');
    expect(await choose([...POOLED, ...matMul('class', 'pooled', [4, 3]), softmax('class'), integers('axis', 1), node('ArgMax', 'best', ['probabilities', 'axis'])], { outputs: ['best'] })).toBe('pooled');
  });

  it('is the vector after the pooling: its Squeeze, Reshape or Flatten', async () => {
    const average = node('AvgPool', 'average', ['conv'], { ksize: ints(1, 8, 8, 1), strides: ints(1, 8, 8, 1), padding: text('VALID') });
    const squeeze = node('Squeeze', 'squeezed', ['average'], { squeeze_dims: ints(1, 2) });
    expect(await choose([...BASE, average, squeeze, ...matMul('class', 'squeezed', [4, 3]), softmax('class')])).toBe('squeezed');
    expect(await choose([...BASE, { ...average, op: 'MaxPool' }, integers('flat/shape', -1, 4), node('Reshape', 'flat', ['average', 'flat/shape']), ...matMul('class', 'flat', [4, 3]), softmax('class')])).toBe('flat');
    expect(await choose([...BASE, ...mean('mean', 'conv', true), { ...squeeze, input: ['mean'] }, ...matMul('class', 'squeezed', [4, 3]), softmax('class')])).toBe('squeezed');
  });

  it('is the pooled map, made a vector, under classifiers that are convolutions (MobileNetV1)', async () => {
    const model = await load([...BASE, ...mean('pooled', 'conv', true), ...conv1x1('class', 'pooled', [4, 3]), node('Squeeze', 'squeezed', ['class'], { squeeze_dims: ints(1, 2) }), softmax('squeezed')]);
    expect(model.layer).toBe('pooled');
    expect(model.network.nodes.at(-1)).toMatchObject({ name: 'eis_pooled', op: 'reduce', axes: [1, 2], keepDims: false });
  });

  it('is found under an activation that is written out (MobileNetV3: hard swish)', async () => {
    expect(await choose([...BASE, ...mean('pooled', 'conv', true), ...conv1x1('hidden', 'pooled', [4, 8]), ...hardSwish('hidden'), ...conv1x1('class', 'swished', [8, 3]), integers('shape', -1, 3), node('Reshape', 'flat', ['class', 'shape']), softmax('flat')])).toBe('pooled');
  });

  it('is found where the shape of the Flatten is computed', async () => {
    const flatten = [node('Shape', 'shape', ['pooled']), integers('from', 0), integers('to', 1), integers('by', 1), node('StridedSlice', 'batch', ['shape', 'from', 'to', 'by'], { shrink_axis_mask: { i: '1' } }), constant('rest', [], [4], 'int32'), node('Pack', 'target', ['batch', 'rest']), node('Reshape', 'flat', ['pooled', 'target'])];
    const model = await load([...BASE, ...mean('pooled', 'conv', true), ...flatten, ...matMul('class', 'flat', [4, 3]), softmax('class')]);
    expect(model.layer).toBe('flat');
    expect(opsOf(model).at(-1)).toBe('reshape');
  });

  it('is the last hidden layer where nothing is pooled (VGG)', async () => {
    const flat = [integers('shape', -1, 256), node('Reshape', 'flat', ['conv', 'shape'])];
    const hidden = [...flat, ...matMul('fc1', 'flat', [256, 8], 'Relu'), ...matMul('fc2', 'fc1', [8, 8], 'Relu')];
    expect(await choose([...BASE, ...hidden, ...matMul('class', 'fc2', [8, 3]), softmax('class')])).toBe('fc2');
    expect(await choose([...BASE, ...flat, ...matMul('class', 'flat', [256, 3]), softmax('class')])).toBe('flat');
    const some = node('AvgPool', 'some', ['conv'], { ksize: ints(1, 2, 2, 1), strides: ints(1, 2, 2, 1), padding: text('VALID') });
    expect(await choose([...BASE, some, integers('shape', -1, 64), node('Reshape', 'flat', ['some', 'shape']), ...matMul('class', 'flat', [64, 3]), softmax('class')])).toBe('flat');
  });

  it('is what feeds a classifier whose maps are pooled after it (SqueezeNet), averaged', async () => {
    const model = await load([...BASE, ...conv1x1('class', 'conv', [4, 3]), node('Relu', 'relu', ['class']), ...mean('mean', 'relu'), softmax('mean')]);
    expect(model.layer).toBe('conv');
    expect(opsOf(model).at(-1)).toBe('reduce');
  });

  it('is the output of a model that classifies nothing', async () => {
    expect(await choose([...POOLED, ...matMul('embedding', 'pooled', [4, 8]), node('Identity', 'Identity', ['embedding'])])).toBe('embedding');
    expect(await choose(BASE)).toBe('conv');
    expect(await choose([...BASE, ...conv1x1('segments', 'conv', [4, 3]), softmax('segments')])).toBe('probabilities');
  });

  it('takes the classes of ImageNet for a classifier without a softmax, and other numbers for an embedding', async () => {
    expect(await choose([...POOLED, ...matMul('logits', 'pooled', [4, 1001])])).toBe('pooled');
    expect(await choose([...POOLED, ...matMul('logits', 'pooled', [4, 1000])])).toBe('pooled');
    expect(await choose([...POOLED, ...matMul('features', 'pooled', [4, 1002])])).toBe('features');
  });

  it('stops where features join: a squeeze-and-excite or a residual is no head', async () => {
    const joined = [...BASE, ...mean('pooled', 'conv'), ...mean('again', 'conv'), node('AddV2', 'sum', ['pooled', 'again']), ...matMul('class', 'sum', [4, 3]), softmax('class')];
    expect(await choose(joined)).toBe('sum');
  });

  it('is of the output that no other is computed from; of several such, asks for a layer', async () => {
    expect(await choose(tinyGraph(), { outputs: ['probabilities', 'pooled', 'conv'] })).toBe('pooled');
    const two = [...POOLED, ...matMul('a', 'pooled', [4, 3]), ...matMul('b', 'pooled', [4, 3])];
    await expect(load(two)).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringMatching(/2 outputs.*"layer".*"a", "b"/) as string });
    expect(await choose(two, { layer: 'pooled' })).toBe('pooled');
  });

  it('says when there is nothing under the classifier', async () => {
    const nodes = [image([1, 1, 1, 3]), ...conv1x1('class', 'image', [3, 2]), softmax('class')];
    await expect(load(nodes)).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('"layer"') as string });
  });
});

describe('the embedding of a graph, by name', () => {
  const nodes = [image(), ...conv('net/a/conv', 'image'), ...conv('net/b/conv', 'net/a/conv', [4, 4]), ...mean('net/Logits/AvgPool', 'net/b/conv'), ...matMul('class', 'net/Logits/AvgPool', [4, 3])];

  it('is found by its name, its first output, or the ending of its path', async () => {
    for (const layer of ['net/Logits/AvgPool', 'net/Logits/AvgPool:0', 'Logits/AvgPool', 'AvgPool']) expect(await choose(nodes, { layer })).toBe('net/Logits/AvgPool');
    expect(await choose(nodes, { layer: 'b/conv' })).toBe('net/b/conv');
  });

  it('must be one node, and one that is computed', async () => {
    await expect(load(nodes, { layer: 'conv' })).rejects.toMatchObject({ message: expect.stringMatching(/2 times: "net\/a\/conv", "net\/b\/conv"/) as string });
    await expect(load(nodes, { layer: 'AvgPol' })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringMatching(/no node "AvgPol"\. Did you mean "AvgPool"\?.*"class"/) as string });
    await expect(load(nodes, { layer: 'class/kernel' })).rejects.toMatchObject({ message: expect.stringContaining('no node "class/kernel" that is computed') as string });
    await expect(load(nodes, { layer: 'vgPool' })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
  });

  it('takes its weights alone', async () => {
    expect([...(await load(nodes, { layer: 'a/conv' })).network.weights.keys()]).toEqual(['net/a/conv/kernel', 'net/a/conv/bias']);
  });
});

describe('preprocessing of a graph, when none is named', () => {
  const rest = (from: string): NodeJson[] => [...conv('conv', from), ...mean('pooled', 'conv')];
  const preprocess = async (nodes: readonly NodeJson[]): Promise<string> => (await load(nodes, { preprocess: undefined })).preprocess;
  const scale = (op: string, name: string, factor: number | readonly number[]): NodeJson[] => [constant(`${name}/y`, typeof factor === 'number' ? [] : [factor.length], [factor].flat()), node(op, name, ['image', `${name}/y`])];

  it('is [0,1] for TF-Hub, raw where the graph divides pixels itself, and else the default', async () => {
    expect(await preprocess([image(), ...scale('Mul', 'module/hub_input/Mul', 2), ...rest('module/hub_input/Mul')])).toBe('[0,1]');
    for (const factor of [1 / 255, 1 / 127.5, [1 / 255, 1 / 255, 1 / 255]]) expect(await preprocess([image(), ...scale('Mul', 'model/rescaling/mul', factor), ...rest('model/rescaling/mul')])).toBe('raw');
    expect(await preprocess([image(), ...scale('RealDiv', 'truediv', 127.5), constant('one', [], [1]), node('Sub', 'sub', ['truediv', 'one']), ...rest('sub')])).toBe('raw');
    expect(await preprocess([image(), ...scale('Mul', 'double', 2), ...rest('double')])).toBe('[-1,1]');
    expect(await preprocess([image(), ...rest('image')])).toBe('[-1,1]');
  });

  it('is seen behind an Identity or Cast, and is the configuration\'s where it says', async () => {
    const nodes = [image(), node('Identity', 'passed', ['image']), node('Cast', 'cast', ['passed'], { DstT: { type: 'DT_FLOAT' } }), constant('y', [], [1 / 255]), node('Mul', 'mul', ['cast', 'y']), ...rest('mul')];
    expect(await preprocess(nodes)).toBe('raw');
    expect((await load(nodes, { preprocess: 'torch' })).preprocess).toBe('torch');
  });

  it('is not raw where another branch takes the image as it is', async () => {
    expect(await preprocess([image(), ...scale('Mul', 'mul', 1 / 255), node('AddV2', 'both', ['mul', 'image']), ...rest('both')])).toBe('[-1,1]');
  });
});

describe('fused operations', () => {
  it('are read with their strings as bytes too', async () => {
    const bytes = { list: { s: [[...Buffer.from('BiasAdd')], [...Buffer.from('Sigmoid')]] } };
    const nodes = [...POOLED, ...matMul('class', 'pooled', [4, 1]).map((each) => (each.op === 'Const' ? each : { ...each, attr: { ...each.attr, fused_ops: bytes } }))];
    expect(await choose(nodes)).toBe('pooled');
  });
});
