/** Layers that nobody trained: whatever stands in their configuration, their calls or their weights, they are lowered or refused in words, soon. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isEisError } from '../../../common/errors.js';
import type { LayerJson, NamedWeight } from '../../../functions/models/model.js';
import { parseTopology } from '../../../functions/models/topology.js';
import { FILE, INPUT, lower, weight } from '../support/layers-reference.js';
import { functional, layer, sequential } from '../support/tiny-model.js';
import { lowerLayers } from '../../../functions/models/lower-layers.js';

const image = (): LayerJson => layer('InputLayer', 'image', { batch_input_shape: [null, INPUT.height, INPUT.width, INPUT.channels] });

/** Whether it is lowered; throws what is no refusal in words. */
function tryLower(topology: LayerJson, weights: readonly NamedWeight[] = []): boolean {
  try {
    return lowerLayers(topology, weights, { input: INPUT, file: FILE }).nodes.length > 0;
  } catch (error) {
    if (isEisError(error) && error.code === 'EIS_MODEL_FILE') return false;
    throw error;
  }
}

const WEIGHTS: readonly NamedWeight[] = [
  weight('l/kernel', [3, 3, 3, 4]), weight('l/bias', [4]), weight('l/depthwise_kernel', [3, 3, 3, 1]), weight('l/pointwise_kernel', [1, 1, 3, 4]), weight('l/gamma', [3]), weight('l/beta', [3]), weight('l/moving_mean', [3]), weight('l/moving_variance', [3]), weight('l/alpha', [9, 8, 3]),
];

/** A class with a configuration that is right. */
const RIGHT: readonly (readonly [string, Record<string, unknown>])[] = [
  ['Conv2D', { filters: 4, kernel_size: [3, 3], strides: [1, 1], padding: 'same', dilation_rate: [1, 1], groups: 1, use_bias: true, activation: 'relu', data_format: 'channels_last' }],
  ['DepthwiseConv2D', { kernel_size: [3, 3], strides: [1, 1], padding: 'same', depth_multiplier: 1, use_bias: false, activation: null }],
  ['SeparableConv2D', { filters: 4, kernel_size: [3, 3], padding: 'valid', use_bias: true }],
  ['Conv2DTranspose', { filters: 3, kernel_size: 3, strides: 2, padding: 'same', output_padding: 1, use_bias: false }],
  ['Dense', { units: 4, use_bias: false, activation: 'softmax' }],
  ['BatchNormalization', { axis: [3], epsilon: 0.001, scale: true, center: true }],
  ['LayerNormalization', { axis: -1, epsilon: 0.001 }],
  ['GroupNormalization', { groups: 3, axis: -1 }],
  ['UnitNormalization', { axis: [1] }],
  ['Normalization', { axis: [-1], mean: [1, 2, 3], variance: [1, 2, 3], invert: false }],
  ['ReLU', { max_value: 6, negative_slope: 0.1, threshold: 0.5 }],
  ['Softmax', { axis: -1 }],
  ['PReLU', { shared_axes: null }],
  ['Activation', { activation: 'relu' }],
  ['MaxPooling2D', { pool_size: [2, 2], strides: [2, 2], padding: 'valid' }],
  ['AveragePooling2D', { pool_size: 2, strides: null, padding: 'same' }],
  ['GlobalAveragePooling2D', { keepdims: true, data_format: 'channels_last' }],
  ['ZeroPadding2D', { padding: [[0, 1], [0, 1]] }],
  ['Cropping2D', { cropping: [1, 1] }],
  ['UpSampling2D', { size: [2, 2], interpolation: 'nearest' }],
  ['Flatten', { data_format: 'channels_last' }],
  ['Reshape', { target_shape: [-1, 3] }],
  ['Permute', { dims: [2, 1, 3] }],
  ['Rescaling', { scale: [1, 2, 3], offset: 0 }],
  ['Resizing', { height: 4, width: 4, interpolation: 'bilinear', crop_to_aspect_ratio: true }],
  ['CenterCrop', { height: 4, width: 4 }],
  ['Add', {}],
  ['Concatenate', { axis: -1 }],
  ['Dot', { axes: -1, normalize: true }],
];

const FUNCTIONS: readonly (readonly [string, Record<string, unknown>])[] = [
  ['__operators__.add', { y: 3 }], ['math.multiply', { y: ['image', 0, 0] }], ['reshape', { shape: [-1, 216] }], ['concat', { axis: 3 }], ['split', { num_or_size_splits: 3, axis: 3 }], ['pad', { paddings: [[0, 0], [1, 1], [0, 0], [0, 0]], mode: 'CONSTANT' }],
  ['math.reduce_mean', { axis: [1, 2], keepdims: false }], ['transpose', { perm: [0, 3, 1, 2] }], ['squeeze', { axis: [1] }], ['expand_dims', { axis: 1 }], ['image.resize', { size: [4, 4], method: 'bilinear' }], ['clip_by_value', { clip_value_min: 0, clip_value_max: 6 }],
  ['__operators__.getitem', { slice_spec: [{ start: null, stop: null, step: null }, { start: 0, stop: 4, step: 2 }] }], ['nn.softmax', { axis: -1 }], ['cast', { dtype: 'float32' }], ['linalg.matmul', { b: ['image', 0, 0], transpose_b: true }], ['l2_normalize', { axis: 3 }], ['nn.gelu', { approximate: true }],
];

/** Numbers that are none, or absurd; words; lists of all sorts. */
const wrong = fc.oneof(
  fc.constantFrom<unknown>(null, undefined, true, '', '3', 'channels_first', 0, -1, 1, 2, 3, 0.5, 1e9, -1e9, 1e300, 2 ** 31, 2 ** 53, NaN, Infinity, [], {}, [[]], [null, null], [1e9, 1e9], [-1, -1], [0, 0, 0, 0], { class_name: 'ReLU' }, { class_name: 'Activation', config: { activation: 'relu' } }, ['image', 0, 0], ['l', 0, 0]),
  fc.jsonValue({ maxDepth: 3 }),
  fc.array(fc.integer({ min: -5, max: 20_000 }), { maxLength: 5 }),
);

const broken = (right: readonly (readonly [string, Record<string, unknown>])[]): fc.Arbitrary<readonly [string, Record<string, unknown>]> => fc.constantFrom(...right).chain(([name, config]) => {
  const keys = Object.keys(config);
  const changes = keys.length === 0 ? fc.constant({}) : fc.dictionary(fc.constantFrom(...keys), wrong, { minKeys: 1, maxKeys: 3 });
  return fc.tuple(changes, fc.subarray(keys, { maxLength: Math.min(1, keys.length) })).map(([changed, gone]) => [name, Object.fromEntries(Object.entries({ ...config, ...changed }).filter(([key]) => !gone.includes(key)))] as const);
});

const RUNS = { numRuns: 600 };

describe('lowerLayers()', () => {
  it.each(RIGHT.filter(([name]) => name !== 'Dense' && name !== 'Conv2DTranspose' && name !== 'Dot'))('lowers the layers that are broken below: %s', (name, config) => {
    expect(tryLower(functional('m', [image(), layer(name, 'l', config, 'image')]), WEIGHTS)).toBe(true);
  });

  it('refuses configurations in words, whatever they are', () => {
    fc.assert(fc.property(broken(RIGHT), ([name, config]) => {
      tryLower(functional('m', [image(), layer(name, 'l', config, 'image')]), WEIGHTS);
    }), RUNS);
  });

  it('refuses arguments of functions in words, whatever they are', () => {
    fc.assert(fc.property(broken(FUNCTIONS), fc.option(wrong), ([name, named], first) => {
      tryLower(functional('m', [image(), { class_name: 'TFOpLambda', name: 'l', config: { name: 'l', function: name }, inbound_nodes: [first === null ? ['image', 0, 0, named] : ['_CONSTANT_VALUE', -1, first, { ...named, y: ['image', 0, 0] }]] }]));
    }), RUNS);
  });

  it('refuses calls and references in words, whatever they are', () => {
    const reference = fc.oneof(wrong, fc.tuple(fc.constantFrom('image', 'a', 'l', 'gone'), fc.integer({ min: -1, max: 2 }), fc.integer({ min: -1, max: 2 }), fc.dictionary(fc.constantFrom('y', 'args'), wrong, { maxKeys: 1 })));
    fc.assert(fc.property(fc.array(fc.array(reference, { maxLength: 3 }), { maxLength: 3 }), fc.array(reference, { maxLength: 3 }), fc.constantFrom('Add', 'ReLU', 'TFOpLambda', 'Concatenate', 'InputLayer'), (uses, outputs, name) => {
      const model = functional('m', [image(), { ...layer('ReLU', 'a'), inbound_nodes: uses }, { ...layer(name, 'l', { function: 'math.add' }), inbound_nodes: uses }]);
      tryLower({ ...model, config: { ...model.config, output_layers: outputs } });
    }), RUNS);
  });

  it('takes a tensor whose history is no history for a value', () => {
    const odd = { class_name: 'Add', name: 'a', config: {}, inbound_nodes: [{ args: [[{ class_name: '__keras_tensor__', config: { keras_history: [{ toString: 0 }, [], null] } }]], kwargs: {} }] };
    expect(() => parseTopology({ class_name: 'Functional', config: { name: 'm', layers: [odd], input_layers: [], output_layers: [['a', 0, 0]] } })).not.toThrow(TypeError);
  });

  it('reads what pretends to be of Keras 3 without failing, whatever it is', () => {
    const tensor = fc.oneof(wrong, fc.tuple(wrong, wrong, wrong).map((history) => ({ class_name: '__keras_tensor__', config: { keras_history: history } })), fc.constantFrom('image', 'a').map((name) => ({ class_name: '__keras_tensor__', config: { keras_history: [name, 0, 0] } })));
    const args = fc.array(fc.oneof(tensor, fc.array(tensor, { maxLength: 2 })), { maxLength: 3 });
    fc.assert(fc.property(args, fc.oneof(wrong, fc.dictionary(fc.string(), tensor, { maxKeys: 2 })), wrong, fc.constantFrom(undefined, 'keras.src.ops.numpy', 'keras.layers', 3), (called, kwargs, outputs, module) => {
      const odd = { class_name: 'Add', module, name: 'a', config: { dtype: outputs }, inbound_nodes: [{ args: called, kwargs }] };
      const topology = parseTopology({ class_name: 'Functional', config: { name: 'm', layers: [image(), odd], input_layers: [['image', 0, 0]], output_layers: outputs ?? [['a', 0, 0]] } });
      if (topology) tryLower(topology);
    }), RUNS);
  });

  it.each<[string, LayerJson]>([
    ['models that are shared within models that are shared', sharedModels(30)],
    ['a layer that takes the same tensor over and over', functional('m', [image(), layer('Add', 'l', {}, Array.from({ length: 110_000 }, () => 'image'))])],
    ['more units than memory', functional('m', [image(), layer('Dense', 'l', { units: 2 ** 24, use_bias: false }, 'image')])],
    ['upsampling beyond memory', functional('m', [image(), layer('UpSampling2D', 'l', { size: [16_000, 16_000] }, 'image')])],
    ['a normalisation of what is upsampled to the edge of memory', functional('m', [image(), layer('UpSampling2D', 'u', { size: [1_000, 1_000] }, 'image'), layer('Flatten', 'f', {}, 'u'), layer('BatchNormalization', 'l', { scale: false, center: false }, 'f')])],
    ['vectors that are repeated beyond memory', functional('m', [image(), layer('GlobalAveragePooling2D', 'g', {}, 'image'), layer('RepeatVector', 'l', { n: 2 ** 40 }, 'g')])],
    ['a layer that waits for itself', functional('m', [image(), layer('ReLU', 'l', {}, 'l')])],
    ['a model without layers', functional('m', [image(), { ...sequential('l', []), inbound_nodes: [[['image', 0, 0, {}]]] }])],
    ['a model without an output', { ...functional('m', [image()]), config: { name: 'm', layers: [image()], input_layers: [], output_layers: [] } }],
    ['calls in calls in calls', functional('m', [image(), { ...layer('Add', 'l'), inbound_nodes: deep(100_000) }])],
    ['a split into millions of parts', functional('m', [image(), { class_name: 'TFOpLambda', name: 'l', config: { function: 'split' }, inbound_nodes: [['image', 0, 0, { num_or_size_splits: 2 ** 40, axis: 3 }]] }])],
  ])('refuses %s soon', (_, topology) => {
    const [began, memory] = [performance.now(), process.memoryUsage().arrayBuffers];
    expect(tryLower(topology)).toBe(false);
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(process.memoryUsage().arrayBuffers - memory).toBeLessThan(50e6);
  });

  it('lowers long chains, and long sums', () => {
    const layers = Array.from({ length: 4_990 }, (_, i) => layer('ReLU', `r${i}`, {}, i === 0 ? 'image' : `r${i - 1}`));
    expect(lower({ topology: functional('m', [image(), ...layers]), weights: [] }).nodes.length).toBe(4_990 + 2);
    expect(lower({ topology: functional('m', [image(), layer('Add', 'l', {}, Array.from({ length: 10_000 }, () => 'image'))]), weights: [] }).nodes.length).toBe(10_001);
  });
});

/** A model within a model within a model, each used twice by the one around it: 2 to the power of their number. */
function sharedModels(depth: number): LayerJson {
  let model = functional('m0', [image(), layer('ReLU', 'r', {}, 'image')]);
  for (let i = 1; i < depth; i++) {
    const inner = { ...model, name: `m${i - 1}`, inbound_nodes: [[['image', 0, 0, {}]], [[`m${i - 1}`, 1, 0, {}]]] };
    model = functional(`m${i}`, [image(), inner]);
    model = { ...model, config: { ...model.config, output_layers: [[`m${i - 1}`, 2, 0]] } };
  }
  return model;
}

function deep(depth: number): unknown[] {
  let list: unknown[] = ['image', 0, 0, {}];
  for (let i = 0; i < depth; i++) list = [list];
  return list;
}
