/** Models of models: nested, shared, with several inputs and outputs, in any order. */
import { beforeAll, describe, expect, it } from 'vitest';
import { loadLayersModel } from '../../../functions/models/layers-model.js';
import type { LayerJson } from '../../../functions/models/model.js';
import { compute, core, difference, drawImages, FILE, INPUT, layers as tfl, lower, predict, weight, write, type Written } from '../support/layers-reference.js';
import { functional, layer, OPTIONS, sequential } from '../support/tiny-model.js';

beforeAll(async () => {
  await core.setBackend('cpu');
});

const { layers: l } = tfl;
const shape = [INPUT.height, INPUT.width, INPUT.channels];
const image = (name = 'image', channels: number = INPUT.channels): LayerJson => layer('InputLayer', name, { batch_input_shape: [null, INPUT.height, INPUT.width, channels] });
const pixelwise = (name: string, from?: string): LayerJson => layer('Conv2D', name, { filters: 3, kernel_size: 1, use_bias: false }, from);
const used = (json: LayerJson, ...uses: readonly (readonly unknown[])[]): LayerJson => ({ ...json, inbound_nodes: uses.map((use) => (typeof use[0] === 'string' ? [use] : use)) });
const kernel = (name: string): ReturnType<typeof weight> => weight(`${name}/kernel`, [1, 1, 3, 3]);
const renamed = (model: LayerJson, name: string): LayerJson => ({ ...model, name, config: { ...model.config, name } });

/** Both, of an image each: tfjs-layers gives what is expected. */
async function agree(model: ReturnType<typeof tfl.model>): Promise<number> {
  const network = lower(await write(model));
  const images = drawImages(2);
  const half = images.length / 2;
  return difference(compute(network, images), [...predict(model, images.subarray(0, half)), ...predict(model, images.subarray(half))]);
}

describe('lowerLayers() of models', () => {
  it('nested in each other, Sequential and not', async () => {
    const inner = tfl.sequential({ layers: [l.conv2d({ inputShape: shape, filters: 3, kernelSize: 3, padding: 'same' }), l.reLU()] });
    const x = tfl.input({ shape });
    const middle = tfl.model({ inputs: x, outputs: l.add().apply([inner.apply(x) as typeof x, x]) as typeof x });
    const outer = tfl.sequential({ layers: [middle, l.batchNormalization(), l.flatten(), l.dense({ units: 4 })] });
    expect(await agree(outer)).toBeLessThan(1e-4);
  });

  it('shared: a layer and a nested model, each applied twice, have their weights once', async () => {
    const inner = tfl.sequential({ layers: [l.conv2d({ inputShape: shape, filters: 3, kernelSize: 3, padding: 'same' })] });
    const [x, shared] = [tfl.input({ shape }), l.conv2d({ filters: 3, kernelSize: 1 })];
    const apply = (what: { apply(x: never): unknown }, to: typeof x): typeof x => what.apply(to as never) as typeof x;
    const [once, twice] = [apply(shared, x), apply(inner, apply(l.activation({ activation: 'tanh' }), apply(shared, apply(l.reLU(), x))))];
    const model = tfl.model({ inputs: x, outputs: l.maximum().apply([apply(inner, once), twice]) as typeof x });
    expect(await agree(model)).toBeLessThan(1e-4);
    expect(lower(await write(model)).weights.size).toBe(4);
  });

  it('whose layers follow upon themselves', () => {
    const again: Written = { topology: functional('m', [image(), used(pixelwise('a'), ['image', 0, 0, {}], ['a', 0, 0, {}])]), weights: [kernel('a')] };
    const apart: Written = { topology: functional('m', [image(), pixelwise('a', 'image'), pixelwise('b', 'a')]), weights: [kernel('a'), { ...kernel('a'), name: 'b/kernel' }] };
    const topology = { ...again.topology, config: { ...again.topology.config, output_layers: [['a', 1, 0]] } };
    expect(difference(compute(lower({ ...again, topology }), drawImages(1)), compute(lower(apart), drawImages(1)))).toBe(0);
  });

  it('that load with layers which follow upon themselves, named without what was put around them to pool', async () => {
    const topology = functional('m', [image(), used(pixelwise('a'), ['image', 0, 0, {}], ['a', 0, 0, {}]), layer('ReLU', 'r', {}, 'a')]);
    const last = { ...topology, config: { ...topology.config, layers: [...(topology.config['layers'] as LayerJson[]).slice(0, 2), used(layer('ReLU', 'r'), ['a', 1, 0, {}])] } };
    const model = await loadLayersModel({ format: 'test', path: FILE, topology: last, readWeights: async () => [kernel('a')] }, OPTIONS);
    expect(model.network.nodes.map(({ name, inputs }) => [name, inputs[0]])).toEqual([['image', undefined], ['a', 'image'], ['a:1', 'a'], ['r', 'a:1'], ['eis_pooled', 'r']]);
  });

  it('whose layers the file has in any order', () => {
    const layers = [image(), pixelwise('a', 'image'), pixelwise('b', 'a'), layer('Add', 'sum', {}, ['b', 'a', 'image'])];
    const weights = [kernel('a'), kernel('b')];
    const [inOrder, backwards] = [functional('m', layers), functional('m', [image(), ...layers.slice(1).reverse()], ['sum'])].map((topology) => compute(lower({ topology, weights }), drawImages(1)));
    expect(difference(inOrder!, backwards!)).toBe(0);
  });

  it('of several inputs and outputs, of which those are computed that are asked for', () => {
    const inner = functional('inner', [image('left'), image('right'), pixelwise('a', 'left'), layer('Subtract', 'd', {}, ['a', 'right']), layer('LSTM', 'aside', {}, 'right')], ['aside', 'd']);
    const model = { ...inner, config: { ...inner.config, input_layers: [['left', 0, 0], ['right', 0, 0]] } };
    const topology = functional('m', [image(), layer('ReLU', 'r', {}, 'image'), used(renamed(model, 'inner'), [['r', 0, 0, {}], ['image', 0, 0, {}]]), used(layer('Flatten', 'f'), ['inner', 1, 1, {}])]);
    const network = lower({ topology, weights: [kernel('a')] });
    const alone = functional('m', [image(), layer('ReLU', 'r', {}, 'image'), pixelwise('a', 'r'), layer('Subtract', 'd', {}, ['a', 'image']), layer('Flatten', 'f', {}, 'd')]);
    expect(difference(compute(network, drawImages(1)), compute(lower({ topology: alone, weights: [kernel('a')] }), drawImages(1)))).toBe(0);
    expect(network.nodes.map(({ name }) => name)).toEqual(['image', 'r', 'inner/a', 'inner/d', 'f']);
  });

  it('names nodes by the path of their layers, further uses by their number', () => {
    const shared = renamed(sequential('inner', [pixelwise('a'), layer('BatchNormalization', 'b', { scale: false, center: false })]), 'inner');
    const topology = functional('m', [image(), used(shared, ['image', 0, 0, {}], ['image', 0, 0, {}]), used(layer('Add', 'sum'), [['inner', 1, 0, {}], ['inner', 2, 0, {}]])]);
    const network = lower({ topology, weights: [kernel('a'), weight('b/moving_mean', [3]), weight('b/moving_variance', [3], [1, 1, 1])] });
    expect(network.nodes.map(({ name }) => name)).toEqual(['image', 'inner/a', 'inner/b', 'inner/a:1', 'inner/b:1', 'sum', 'sum/vector']);
    expect([...network.weights.keys()]).toEqual(['inner/a/kernel', 'inner/b/moving_mean', 'inner/b/moving_variance', 'inner/b/1', 'inner/b/0']);
  });

  it.each([
    ['TF.js', (name: string) => name],
    ['Keras', (name: string) => `${name}:0`],
    ['Keras, with the models around', (name: string) => `outer/inner/${name}:0`],
    ['a file that has another prefix', (name: string) => `model_1/${name}`],
    ['TensorFlow, with a scope of its own', (name: string) => name.replace('/kernel', '/cell/kernel')],
    ['Keras 3, by their numbers', (name: string) => name.replace('kernel', 'vars/0')],
  ])('finds weights as %s names them', (_, naming) => {
    const topology = functional('outer', [image(), used(renamed(sequential('inner', [pixelwise('a'), pixelwise('x/a')]), 'inner'), ['image', 1, 0, {}])]);
    const weights = (name: (plain: string) => string): Written['weights'] => [{ ...kernel('x/a'), name: name('x/a/kernel') }, { ...kernel('a'), name: name('a/kernel') }];
    const expected = compute(lower({ topology, weights: weights((name) => name) }), drawImages(1));
    expect(difference(compute(lower({ topology, weights: weights(naming) }), drawImages(1)), expected)).toBe(0);
  });
});

describe('what cannot be lowered', () => {
  const refusal = (words: string | RegExp): object => ({ code: 'EIS_MODEL_FILE', message: (typeof words === 'string' ? expect.stringContaining(words) : expect.stringMatching(words)) as string });
  const refuse = (layers: readonly LayerJson[], weights: Written['weights'], words: string | RegExp): void => {
    let thrown: unknown;
    try {
      lower({ topology: functional('m', [image(), ...layers]), weights });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject(refusal(words));
  };

  it.each(['LSTM', 'GRU', 'SimpleRNN', 'Bidirectional', 'TimeDistributed', 'Embedding', 'MultiHeadAttention', 'ConvLSTM2D', 'Conv3D', 'MaxPooling3D', 'EinsumDense', 'CategoryEncoding', 'Masking', 'RandomFourierFeatures', 'MyOwnLayer', 'constructor', '__proto__'])('%s is named, with what to do', (name) => {
    refuse([layer(name, 'odd', {}, 'image')], [], new RegExp(`its layer "odd" is of the class ${name}, .*Set "layer" .*model\\.export`));
  });

  it('says that a Lambda is Python, and which layer of which model it is', () => {
    refuse([used(renamed(sequential('inner', [layer('Lambda', 'norm')]), 'inner'), ['image', 1, 0, {}])], [], /"inner\/norm" is of the class Lambda.*Python code/);
  });

  it.each<[string, LayerJson, Written['weights'], string | RegExp]>([
    ['a weight that is not there', pixelwise('a', 'image'), [], /its layer "a" \(Conv2D\): its weight "a\/kernel" is not there/],
    ['a weight of another shape', pixelwise('a', 'image'), [weight('a/kernel', [1, 1, 4, 3])], 'its weight "a/kernel" is of the shape [1,1,4,3]; right is [1,1,3,3]'],
    ['a weight that may be either', pixelwise('a', 'image'), [weight('x/a/kernel', [1, 1, 3, 3]), weight('y/a/kernel', [1, 1, 3, 3])], 'may be any of "x/a/kernel", "y/a/kernel"'],
    ['an activation that nobody knows', layer('Activation', 'a', { activation: 'cube' }, 'image'), [], 'its activation "cube" is not known'],
    ['a function that nobody knows', used(layer('TFOpLambda', 'a', { function: 'signal.fft' }), ['image', 0, 0, {}]), [], 'its function "signal.fft" is not computed here'],
    ['a window that is larger than what it slides over', layer('MaxPooling2D', 'a', { pool_size: 12 }, 'image'), [], /its layer "a" \(MaxPooling2D\): .*too small/],
    ['inputs that do not fit together', used(layer('Concatenate', 'a', { axis: 1 }), [['image', 0, 0, {}], ['p', 0, 0, {}]]), [], /its layer "a" \(Concatenate\).*do not fit/],
    ['a reshape that puts images together', used(layer('TFOpLambda', 'a', { function: 'reshape' }), ['image', 0, 0, { shape: [-1, 3] }]), [], 'does not keep images apart'],
    ['a mean over the batch', used(layer('TFOpLambda', 'a', { function: 'math.reduce_mean' }), ['image', 0, 0, { axis: 0 }]), [], 'right are axes from 1 to 3'],
    ['a cast to whole numbers', used(layer('TFOpLambda', 'a', { function: 'cast' }), ['image', 0, 0, { dtype: 'int32' }]), [], 'it rounds to "int32"'],
  ])('%s', (_, json, weights, words) => refuse([layer('Permute', 'p', { dims: [3, 2, 1] }, 'image'), json], weights, words));
});
