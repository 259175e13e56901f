/** A model that Keras 3 wrote gives the network that it gives where Keras 2 wrote it. The forms are those of `keras/src/models/functional.py` and `serialization_lib.py`. */
import { beforeAll, describe, expect, it } from 'vitest';
import { loadLayersModel } from '../../../functions/models/layers-model.js';
import type { LayerJson, NamedWeight } from '../../../functions/models/model.js';
import { parseTopology } from '../../../functions/models/topology.js';
import type { Network } from '../../../functions/network/network.js';
import { compute, core, difference, drawImages, FILE, INPUT, lower, weight } from '../support/layers-reference.js';
import { functional, layer, OPTIONS, sequential } from '../support/tiny-model.js';

beforeAll(async () => {
  await core.setBackend('cpu');
});

type Json = Record<string, unknown>;
const SHAPE = [null, INPUT.height, INPUT.width, INPUT.channels];
const POLICY = { module: 'keras', class_name: 'DTypePolicy', config: { name: 'float32' }, registered_name: null };
const INITIALIZER = { module: 'keras.initializers', class_name: 'GlorotUniform', config: { seed: null }, registered_name: null };

/** As Keras 3 writes a tensor. */
const tensor = (name: string, node = 0, index = 0): Json => ({ class_name: '__keras_tensor__', config: { shape: SHAPE, dtype: 'float32', keras_history: [name, node, index] } });
const written = (module: string, className: string, name: string, config: Json, ...calls: readonly Json[]): Json => ({ module, class_name: className, config, registered_name: module === 'keras.layers' ? null : className, build_config: { input_shape: SHAPE }, name, inbound_nodes: calls });
const call = (...args: readonly unknown[]): Json => ({ args, kwargs: {} });
const keras3 = (className: string, name: string, config: Json, ...calls: readonly Json[]): Json => written('keras.layers', className, name, { name, trainable: true, dtype: POLICY, kernel_initializer: INITIALIZER, ...config }, ...calls);
const operation = (module: string, className: string, name: string, config: Json, ...calls: readonly Json[]): Json => written(`keras.src.ops.${module}`, className, name, config, ...calls);
const image3 = (name = 'image'): Json => keras3('InputLayer', name, { batch_shape: SHAPE, sparse: false });
const model3 = (name: string, layers: readonly Json[], outputs: readonly unknown[], ...calls: readonly Json[]): Json => ({ ...written('keras', 'Functional', name, { name, trainable: true, layers, input_layers: [['image', 0, 0]], output_layers: outputs }, ...calls), compile_config: { optimizer: 'adam' } });

const image2 = (): LayerJson => layer('InputLayer', 'image', { batch_input_shape: SHAPE });
const lambda = (name: string, fn: string, use: readonly unknown[]): LayerJson => ({ class_name: 'TFOpLambda', name, config: { name, function: fn }, inbound_nodes: [use] });
const pixelwise = { filters: 3, kernel_size: [1, 1], use_bias: false };
const kernel = (name: string): NamedWeight => weight(`${name}/kernel`, [1, 1, 3, 3]);

const lowered = (topology: Json | LayerJson, weights: readonly NamedWeight[] = []): Network => lower({ topology: parseTopology({ keras_version: '3.8.0', model_config: topology })!, weights });

interface Pair {
  readonly keras3: Json;
  readonly keras2: LayerJson;
  readonly weights?: readonly NamedWeight[];
}

const NESTED3 = model3('inner', [image3(), keras3('Conv2D', 'a', pixelwise, call(tensor('image')))], [['a', 0, 0]]);
const NESTED2 = (...uses: readonly string[]): LayerJson => ({ ...functional('inner', [image2(), layer('Conv2D', 'a', pixelwise, 'image')]), name: 'inner', inbound_nodes: uses.map((from) => [[from, 0, 0, {}]]) });

const PAIRS: Readonly<Record<string, Pair>> = {
  'a chain of layers': {
    keras3: model3('m', [image3(), keras3('Conv2D', 'a', { ...pixelwise, activation: 'relu', data_format: 'channels_last', groups: 1 }, call(tensor('image'))), keras3('Flatten', 'f', {}, call(tensor('a')))], ['f', 0, 0]),
    keras2: functional('m', [image2(), layer('Conv2D', 'a', { ...pixelwise, activation: 'relu' }, 'image'), layer('Flatten', 'f', {}, 'a')]),
    weights: [kernel('a')],
  },
  'layers that take several tensors': {
    keras3: model3('m', [image3(), keras3('ReLU', 'r', {}, call(tensor('image'))), keras3('Add', 'sum', {}, call([tensor('r'), tensor('image')])), keras3('Concatenate', 'c', { axis: -1 }, { args: [[tensor('sum'), tensor('r')]], kwargs: { mask: null } })], [['c', 0, 0]]),
    keras2: functional('m', [image2(), layer('ReLU', 'r', {}, 'image'), layer('Add', 'sum', {}, ['r', 'image']), layer('Concatenate', 'c', { axis: -1 }, ['sum', 'r'])]),
  },
  'a layer that is called by the names of its arguments': {
    keras3: model3('m', [image3(), keras3('ReLU', 'r', {}, { args: [], kwargs: { inputs: tensor('image') } })], [['r', 0, 0]]),
    keras2: functional('m', [image2(), layer('ReLU', 'r', {}, 'image')]),
  },
  'layers that are shared': {
    keras3: model3('m', [image3(), keras3('Conv2D', 'a', pixelwise, call(tensor('image')), call(tensor('r'))), keras3('ReLU', 'r', {}, call(tensor('a'))), keras3('Subtract', 's', {}, call([tensor('a', 1), tensor('a', 0)]))], [['s', 0, 0]]),
    keras2: functional('m', [image2(), { ...layer('Conv2D', 'a', pixelwise), inbound_nodes: [[['image', 0, 0, {}]], [['r', 0, 0, {}]]] }, layer('ReLU', 'r', {}, 'a'), { ...layer('Subtract', 's'), inbound_nodes: [[['a', 1, 0, {}], ['a', 0, 0, {}]]] }]),
    weights: [kernel('a')],
  },
  'a nested model, whose uses outputs count from 1': {
    keras3: model3('m', [image3(), { ...NESTED3, inbound_nodes: [call(tensor('image'))] }], [['inner', 1, 0]]),
    keras2: { ...functional('m', [image2(), NESTED2('image')]), config: { ...functional('m', [image2(), NESTED2('image')]).config, output_layers: [['inner', 1, 0]] } },
    weights: [kernel('a')],
  },
  'a nested model that is shared, whose uses layers count from 0': {
    keras3: model3('m', [image3(), keras3('ReLU', 'r', {}, call(tensor('image'))), { ...NESTED3, inbound_nodes: [call(tensor('image')), call(tensor('r'))] }, keras3('Subtract', 's', {}, call([tensor('inner', 0), tensor('inner', 1)]))], [['s', 0, 0]]),
    keras2: functional('m', [image2(), layer('ReLU', 'r', {}, 'image'), NESTED2('image', 'r'), { ...layer('Subtract', 's'), inbound_nodes: [[['inner', 1, 0, {}], ['inner', 2, 0, {}]]] }]),
    weights: [kernel('a')],
  },
  'a nested Sequential that is shared': {
    keras3: model3('m', [image3(), keras3('ReLU', 'r', {}, call(tensor('image'))), { ...written('keras', 'Sequential', 's', { name: 's', layers: [image3('own'), keras3('Conv2D', 'a', pixelwise)], build_input_shape: SHAPE }, call(tensor('image')), call(tensor('r'))) }, keras3('Average', 'mean', {}, call([tensor('s', 1), tensor('r')]))], [['mean', 0, 0]]),
    keras2: functional('m', [image2(), layer('ReLU', 'r', {}, 'image'), { ...sequential('s', [layer('Conv2D', 'a', pixelwise)]), inbound_nodes: [[['image', 0, 0, {}]], [['r', 0, 0, {}]]] }, { ...layer('Average', 'mean'), inbound_nodes: [[['s', 2, 0, {}], ['r', 0, 0, {}]]] }]),
    weights: [kernel('a')],
  },
  'a Sequential': {
    keras3: written('keras', 'Sequential', 'm', { name: 'm', trainable: true, dtype: POLICY, layers: [image3(), keras3('Conv2D', 'a', pixelwise)], build_input_shape: SHAPE }),
    keras2: sequential('m', [{ ...image2() }, layer('Conv2D', 'a', pixelwise)]),
    weights: [kernel('a')],
  },
  'arithmetic, as MobileNetV3 has it': {
    keras3: model3('m', [image3(), operation('numpy', 'Add', 'add', { name: 'add' }, call(tensor('image'), 3)), keras3('ReLU', 'r', { max_value: 6 }, call(tensor('add'))), operation('numpy', 'Multiply', 'multiply', { name: 'multiply' }, call(tensor('r'), 1 / 6)), keras3('Multiply', 'out', {}, call([tensor('image'), tensor('multiply')]))], [['out', 0, 0]]),
    keras2: functional('m', [image2(), lambda('add', '__operators__.add', ['image', 0, 0, { y: 3 }]), layer('ReLU', 'r', { max_value: 6 }, 'add'), lambda('multiply', 'math.multiply', ['r', 0, 0, { y: 1 / 6 }]), layer('Multiply', 'out', {}, ['image', 'multiply'])]),
  },
  'arithmetic with a number first, and between tensors': {
    keras3: model3('m', [image3(), operation('numpy', 'Subtract', 's', {}, call(1, tensor('image'))), operation('numpy', 'TrueDivide', 'd', {}, call(tensor('s'), tensor('image')))], [['d', 0, 0]]),
    keras2: functional('m', [image2(), lambda('s', 'math.subtract', ['_CONSTANT_VALUE', -1, 1, { y: ['image', 0, 0] }]), lambda('d', 'math.truediv', ['s', 0, 0, { y: ['image', 0, 0] }])]),
  },
  'operations with settings': {
    keras3: model3('m', [image3(), operation('nn', 'Relu6', 'r', {}, call(tensor('image'))), operation('numpy', 'Mean', 'mean', { axis: [1, 2], keepdims: true }, call(tensor('r'))), operation('numpy', 'Reshape', 'flat', { newshape: [-1, 3] }, call(tensor('mean'))), operation('nn', 'Normalize', 'unit', { axis: -1, order: 2, epsilon: 1e-6 }, call(tensor('flat')))], [['unit', 0, 0]]),
    keras2: functional('m', [image2(), lambda('r', 'nn.relu6', ['image', 0, 0, {}]), lambda('mean', 'math.reduce_mean', ['r', 0, 0, { axis: [1, 2], keepdims: true }]), lambda('flat', 'reshape', ['mean', 0, 0, { shape: [-1, 3] }]), lambda('unit', 'math.l2_normalize', ['flat', 0, 0, { axis: -1, epsilon: (1e-6) ** 2 }])]),
  },
  'slices': {
    keras3: model3('m', [image3(), operation('numpy', 'GetItem', 'part', {}, call(tensor('image'), [{ class_name: '__slice__', config: { start: null, stop: null, step: null } }, { class_name: '__slice__', config: { start: 2, stop: null, step: 2 } }, { class_name: '__ellipsis__', config: {} }, 1]))], [['part', 0, 0]]),
    keras2: functional('m', [image2(), { class_name: 'SlicingOpLambda', name: 'part', config: { name: 'part' }, inbound_nodes: [['image', 0, 0, { slice_spec: [{ start: null, stop: null, step: null }, { start: 2, stop: null, step: 2 }, { class_name: '__ellipsis__' }, 1] }]] }]),
  },
  'activations that are functions or layers, and arrays': {
    keras3: model3('m', [image3(), keras3('Activation', 'a', { activation: { module: 'keras.activations', class_name: 'function', config: 'silu', registered_name: 'silu' } }, call(tensor('image'))), keras3('Activation', 'b', { activation: { module: 'keras.layers', class_name: 'LeakyReLU', config: { negative_slope: 0.2, dtype: POLICY }, registered_name: null } }, call(tensor('a'))), keras3('Normalization', 'n', { axis: [-1], mean: { class_name: '__numpy__', config: { value: [1, 2, 3], dtype: 'float32' } }, variance: [[[[1, 4, 9]]]] }, call(tensor('b')))], [['n', 0, 0]]),
    keras2: functional('m', [image2(), layer('Activation', 'a', { activation: 'swish' }, 'image'), layer('LeakyReLU', 'b', { alpha: 0.2 }, 'a'), layer('Normalization', 'n', { axis: -1, mean: [1, 2, 3], variance: [1, 4, 9] }, 'b')]),
  },
};

describe('a topology of Keras 3', () => {
  it.each(Object.entries(PAIRS))('gives the network of Keras 2: %s', (_, { keras3: three, keras2: two, weights = [] }) => {
    expect(lowered(three, weights)).toEqual(lowered(two, weights));
  });

  it('is read without modules too, as Keras 3 writes it into HDF5', () => {
    const { keras3: three, keras2: two } = PAIRS['arithmetic, as MobileNetV3 has it']!;
    const bare = JSON.parse(JSON.stringify(three, (key, value: unknown) => (['module', 'registered_name', 'build_config'].includes(key) ? undefined : value))) as Json;
    expect(lowered(bare)).toEqual(lowered(two));
  });

  it('has another hard_sigmoid', () => {
    const of = (topology: Json | LayerJson): Float32Array => compute(lowered(topology), drawImages(1));
    const activation = of(model3('m', [image3(), keras3('Activation', 'a', { activation: 'hard_sigmoid' }, call(tensor('image')))], [['a', 0, 0]]));
    const asOperation = of(model3('m', [image3(), operation('nn', 'HardSigmoid', 'a', {}, call(tensor('image')))], [['a', 0, 0]]));
    const expected = drawImages(1).map((x) => Math.min(Math.max(x + 3, 0), 6) / 6);
    expect(difference(activation, expected)).toBeLessThan(1e-6);
    expect(difference(asOperation, expected)).toBeLessThan(1e-6);
    expect(difference(of(functional('m', [image2(), layer('Activation', 'a', { activation: 'hard_sigmoid' }, 'image')])), drawImages(1).map((x) => Math.min(Math.max(0.2 * x + 0.5, 0), 1)))).toBeLessThan(1e-6);
  });

  it('loads as a model whose version does not depend on how its weights were initialised', async () => {
    const load = (initializer: string): ReturnType<typeof loadLayersModel> => {
      const topology = parseTopology(JSON.parse(JSON.stringify(model3('m', [image3(), keras3('Conv2D', 'a', pixelwise, call(tensor('image')))], [['a', 0, 0]])).replaceAll('GlorotUniform', initializer)))!;
      return loadLayersModel({ format: 'test', path: FILE, topology, readWeights: async (isWanted) => [kernel('a'), kernel('b')].filter(({ name }) => isWanted(name)) }, OPTIONS);
    };
    const [model, other] = await Promise.all([load('GlorotUniform'), load('HeNormal')]);
    expect(model).toMatchObject({ layer: 'a', input: INPUT });
    expect([...model.network.weights.keys()]).toEqual(['a/kernel']);
    expect(other.version).toBe(model.version);
  });
});
