/** Layers that tfjs-layers lacks, or computes otherwise than Keras: lowered and interpreted, against Keras's definitions in tfjs-core. */
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import type { LayerJson, NamedWeight } from '../../../functions/models/model.js';
import { isBatchable } from '../../../functions/network/shapes.js';
import { compute, core, difference, drawImages, INPUT, lower, weight } from '../support/layers-reference.js';
import { functional, input, layer } from '../support/tiny-model.js';

beforeAll(async () => {
  await core.setBackend('cpu');
});

interface Case {
  readonly layers: readonly LayerJson[];
  readonly weights?: readonly NamedWeight[];
  readonly expected: (x: Tensor4D) => Tensor;
}

const image = (): LayerJson => layer('InputLayer', 'image', { batch_input_shape: [null, INPUT.height, INPUT.width, INPUT.channels] });
const one = (className: string, config: Record<string, unknown>, expected: Case['expected'], weights: readonly NamedWeight[] = []): Case => ({ layers: [layer(className, 'l', config, 'image')], weights, expected });
const called = (className: string, config: Record<string, unknown>, use: unknown): LayerJson => ({ class_name: className, name: 'l', config: { name: 'l', ...config }, inbound_nodes: [use] });
const fn = (name: string, use: unknown, expected: Case['expected'], before: readonly LayerJson[] = []): Case => ({ layers: [...before, called('TFOpLambda', { function: name }, use)], expected });
const unary = (name: string, expected: Case['expected'], named: Record<string, unknown> = {}): Case => fn(name, ['image', 0, 0, named], expected);
const tensorOf = ({ values, shape }: NamedWeight): Tensor => core.tensor(values, [...shape]);
const moments = (x: Tensor, axes: number[], epsilon: number): Tensor => {
  const { mean, variance } = core.moments(x, axes, true);
  return core.div(core.sub(x, mean), core.sqrt(core.add(variance, epsilon)));
};
const hardSigmoid = (x: Tensor): Tensor => core.div(core.relu6(core.add(x, 3)), 6);
const half = (x: Tensor4D, size: [number, number], method: 'resizeBilinear' | 'resizeNearestNeighbor' = 'resizeBilinear'): Tensor4D => core.image[method](x, size, false, true);
const unit = (x: Tensor, axis: number | number[]): Tensor => core.div(x, core.sqrt(core.maximum(core.sum(core.square(x), axis, true), 1e-12)));

const kernel = weight('l/kernel', [3, 3, 1, 6]);
const [gamma, beta, mean, variance] = [weight('l/gamma', [9]), weight('l/beta', [9]), weight('l/moving_mean', [9]), weight('l/moving_variance', [9], [1, 2, 3, 4, 5, 6, 7, 8, 9])];
const depthwise = weight('l/depthwise_kernel', [3, 3, 3, 1]);
const transposed = weight('l/kernel', [3, 3, 2, 3]);
const channels = { gamma: weight('l/gamma', [3]), beta: weight('l/beta', [3]) };
const grouped = { gamma: weight('l/gamma', [4]), beta: weight('l/beta', [4]), kernel: weight('c/kernel', [1, 1, 3, 4]) };
const column = (w: NamedWeight): Tensor => core.reshape(tensorOf(w), [9, 1, 1]);
const causal = weight('l/kernel', [3, 9, 4]);

const CASES: Readonly<Record<string, Case>> = {
  'Conv2D of groups': one('Conv2D', { filters: 6, kernel_size: [3, 3], strides: [2, 2], padding: 'same', groups: 3, use_bias: false }, (x) => core.concat(core.split<Tensor4D>(x, 3, 3).map((part, i) => core.conv2d(part, core.slice(tensorOf(kernel) as Tensor4D, [0, 0, 0, 2 * i], [3, 3, 1, 2]), 2, 'same')), 3), [kernel]),
  'DepthwiseConv2D dilated': one('DepthwiseConv2D', { kernel_size: 3, dilation_rate: 2, padding: 'same', use_bias: false }, (x) => core.depthwiseConv2d(x, tensorOf(depthwise) as Tensor4D, 1, 'same', 'NHWC', 2), [depthwise]),
  'DepthwiseConv2D whose kernel Keras 3 named': one('DepthwiseConv2D', { kernel_size: 3, use_bias: false }, (x) => core.depthwiseConv2d(x, tensorOf(depthwise) as Tensor4D, 1, 'valid'), [{ ...depthwise, name: 'l/kernel:0' }]),
  'Conv2DTranspose with output padding': one('Conv2DTranspose', { filters: 2, kernel_size: 3, strides: 2, padding: 'same', output_padding: [1, 0], use_bias: false }, (x) => core.conv2dTranspose(x, tensorOf(transposed) as Tensor4D, [x.shape[0], 18, 15, 2], 2, 'same'), [transposed]),
  'Conv1D causal': { layers: [layer('Reshape', 'r', { target_shape: [24, 9] }, 'image'), layer('Conv1D', 'l', { filters: 4, kernel_size: [3], padding: 'causal', dilation_rate: [2], use_bias: false }, 'r')], weights: [causal], expected: (x) => core.conv1d(core.pad(core.reshape(x, [-1, 24, 9]), [[0, 0], [4, 0], [0, 0]]) as never, tensorOf(causal) as never, 1, 'valid', 'NWC', 2) },
  'BatchNormalization of rows': one('BatchNormalization', { axis: [1], epsilon: 0.01 }, (x) => core.add(core.mul(core.div(core.sub(x, column(mean)), core.sqrt(core.add(column(variance), 0.01))), column(gamma)), column(beta)), [gamma, beta, mean, variance]),
  GroupNormalization: { layers: [layer('Conv2D', 'c', { filters: 4, kernel_size: 1, use_bias: false }, 'image'), layer('GroupNormalization', 'l', { groups: 2 }, 'c')], weights: Object.values(grouped), expected: (x) => {
    const maps = core.conv2d<Tensor4D>(x, tensorOf(grouped.kernel) as Tensor4D, 1, 'valid');
    const normalised = core.split(maps, 2, 3).map((group) => moments(group, [1, 2, 3], 1e-3));
    return core.add(core.mul(core.concat(normalised, 3), tensorOf(grouped.gamma)), tensorOf(grouped.beta));
  } },
  'GroupNormalization of each channel': one('GroupNormalization', { groups: -1, epsilon: 0.1, center: false }, (x) => core.mul(moments(x, [1, 2], 0.1), tensorOf(channels.gamma)), [channels.gamma]),
  UnitNormalization: one('UnitNormalization', { axis: -1 }, (x) => unit(x, 3)),
  'UnitNormalization of several axes': one('UnitNormalization', { axis: [1, 2] }, (x) => unit(x, [1, 2])),
  LayerScale: one('LayerScale', { projection_dim: 3, init_values: 1e-6 }, (x) => core.mul(x, tensorOf(channels.gamma)), [channels.gamma]),
  'Normalization by its configuration': one('Normalization', { axis: [-1], mean: [0.1, 0.2, 0.3], variance: [1, 4, 9] }, (x) => core.div(core.sub(x, [0.1, 0.2, 0.3]), [1, 2, 3])),
  'Normalization by its weights': one('Normalization', { axis: [3], mean: null, variance: null }, (x) => core.div(core.sub(x, [0.5, -1, 2]), [1, 2, 1e-7]), [weight('l/mean', [3], [0.5, -1, 2]), weight('l/variance', [3], [1, 4, 0]), { name: 'l/count', shape: [], dtype: 'int32', values: Int32Array.of(0) }]),
  'Normalization of rows': one('Normalization', { axis: [1], mean: [1, 2, 3, 4, 5, 6, 7, 8, 9], variance: 4 }, (x) => core.div(core.sub(x, core.reshape([1, 2, 3, 4, 5, 6, 7, 8, 9], [9, 1, 1])), 2)),
  'Normalization by two numbers, inverted': one('Normalization', { axis: null, mean: 0.5, variance: 4, invert: true }, (x) => core.add(core.mul(x, 2), 0.5)),
  'Rescaling of each channel': one('Rescaling', { scale: [1, 2, 3], offset: [0.5, 0, -1] }, (x) => core.add(core.mul(x, [1, 2, 3]), [0.5, 0, -1])),
  Resizing: one('Resizing', { height: 5, width: 12, interpolation: 'bilinear', crop_to_aspect_ratio: false }, (x) => half(x, [5, 12])),
  'Resizing to the nearest': one('Resizing', { height: 5, width: 12, interpolation: 'nearest' }, (x) => half(x, [5, 12], 'resizeNearestNeighbor')),
  'Resizing that crops to the aspect ratio': one('Resizing', { height: 4, width: 8, crop_to_aspect_ratio: true }, (x) => half(core.slice(x, [0, 2, 0, 0], [-1, 4, 8, 3]), [4, 8])),
  CenterCrop: one('CenterCrop', { height: 4, width: 5 }, (x) => core.slice(x, [0, 2, 1, 0], [-1, 4, 5, 3])),
  'CenterCrop of more than there is': one('CenterCrop', { height: 12, width: 6 }, (x) => half(core.slice(x, [0, 0, 2, 0], [-1, 9, 4, 3]), [12, 6])),
  RandomCrop: one('RandomCrop', { height: 6, width: 6 }, (x) => half(core.slice(x, [0, 0, 0, 0], [-1, 8, 8, 3]), [6, 6])),
  'UpSampling2D bilinear': one('UpSampling2D', { size: [2, 2], interpolation: 'bilinear' }, (x) => half(x, [18, 16])),
  'GlobalAveragePooling2D that keeps its axes': one('GlobalAveragePooling2D', { keepdims: true }, (x) => core.mean(x, [1, 2])),
  'GlobalMaxPooling2D that keeps its axes': one('GlobalMaxPooling2D', { keepdims: true }, (x) => core.max(x, [1, 2])),
  'ReLU with a slope': one('ReLU', { negative_slope: 0.1, max_value: null, threshold: 0 }, (x) => core.leakyRelu(x, 0.1)),
  'ReLU with a threshold': one('ReLU', { threshold: 0.5, max_value: 1.5 }, (x) => core.where(core.greater(x, 0.5), core.minimum(x, 1.5), core.zerosLike(x))),
  'ReLU with slope, threshold and maximum': one('ReLU', { threshold: 0.5, max_value: 1.5, negative_slope: 0.2 }, (x) => core.where(core.greater(x, 0.5), core.minimum(x, 1.5), core.mul(core.sub(x, 0.5), 0.2))),
  'LeakyReLU of Keras 3': one('LeakyReLU', { negative_slope: 0.05 }, (x) => core.leakyRelu(x, 0.05)),
  'ELU of another alpha': one('ELU', { alpha: 0.5 }, (x) => core.where(core.greater(x, 0), x, core.mul(core.sub(core.exp(x), 1), 0.5))),
  'Softmax of rows': one('Softmax', { axis: [1] }, (x) => core.transpose(core.softmax(core.transpose(x, [0, 2, 3, 1])), [0, 3, 1, 2])),
  'Activation hard_sigmoid of Keras 2': one('Activation', { activation: 'hard_sigmoid' }, (x) => core.clipByValue(core.add(core.mul(x, 0.2), 0.5), 0, 1)),
  'Activation hard_swish': one('Activation', { activation: 'hard_swish' }, (x) => core.mul(x, hardSigmoid(x))),
  'Activation silu': one('Activation', { activation: 'silu' }, (x) => core.mul(x, core.sigmoid(x))),
  'Activation exponential': one('Activation', { activation: 'exponential' }, (x) => core.exp(x)),
  'Activation leaky_relu': one('Activation', { activation: 'leaky_relu' }, (x) => core.leakyRelu(x, 0.2)),
  'Activation log_sigmoid': one('Activation', { activation: 'log_sigmoid' }, (x) => core.logSigmoid(x)),
  'Activation tanh_shrink': one('Activation', { activation: 'tanh_shrink' }, (x) => core.sub(x, core.tanh(x))),
  'Activation hard_tanh': one('Activation', { activation: 'hard_tanh' }, (x) => core.clipByValue(x, -1, 1)),
  'Activation by an object': one('Activation', { activation: { class_name: 'LeakyReLU', config: { alpha: 0.4 } } }, (x) => core.leakyRelu(x, 0.4)),
  'Activation by a function': one('Activation', { activation: { class_name: 'function', config: 'relu6', registered_name: 'function' } }, (x) => core.relu6(x)),
  ...Object.fromEntries(['RandomFlip', 'RandomRotation', 'RandomHeight', 'RandomBrightness', 'ActivityRegularization', 'SpatialDropout2D', 'Custom>StochasticDepth'].map((name) => [name, one(name, { factor: 0.2 }, (x) => x)])),

  'tf.__operators__.add of a number': unary('__operators__.add', (x) => core.add(x, 3), { y: 3, name: null }),
  'tf.math.multiply of a list': unary('math.multiply', (x) => core.mul(x, [1, 2, 3]), { y: [[[[1, 2, 3]]]] }),
  'tf.math.subtract of a constant first': fn('math.subtract', ['_CONSTANT_VALUE', -1, 1.5, { y: ['image', 0, 0] }], (x) => core.sub(1.5, x)),
  'tf.math.divide of tensors': fn('math.divide', ['image', 0, 0, { y: ['a', 0, 0] }], (x) => core.div(x, core.exp(x)), [layer('Activation', 'a', { activation: 'exponential' }, 'image')]),
  'tf.math.maximum': unary('math.maximum', (x) => core.maximum(x, 0.5), { y: 0.5 }),
  'tf.nn.relu': unary('nn.relu', (x) => core.relu(x)),
  'tf.nn.relu6': unary('nn.relu6', (x) => core.relu6(x)),
  'tf.nn.silu': unary('nn.silu', (x) => core.mul(x, core.sigmoid(x)), { beta: 1 }),
  'tf.nn.gelu': unary('nn.gelu', (x) => core.mul(core.mul(x, 0.5), core.add(core.erf(core.mul(x, Math.SQRT1_2)), 1)), { approximate: false }),
  'tf.nn.leaky_relu': unary('nn.leaky_relu', (x) => core.leakyRelu(x, 0.3), { alpha: 0.3 }),
  'tf.nn.softmax': unary('nn.softmax', (x) => core.softmax(x), { axis: -1 }),
  'tf.math.sigmoid': unary('math.sigmoid', (x) => core.sigmoid(x)),
  'tf.math.reduce_mean': unary('math.reduce_mean', (x) => core.mean(x, [1, 2]), { axis: [1, 2], keepdims: false }),
  'tf.math.reduce_max that keeps axes': unary('math.reduce_max', (x) => core.max(x, [2], true), { axis: -2, keepdims: true }),
  'tf.math.l2_normalize': unary('math.l2_normalize', (x) => unit(x, 3), { axis: -1 }),
  'tf.clip_by_value': unary('clip_by_value', (x) => core.clipByValue(x, -0.5, 0.25), { clip_value_min: -0.5, clip_value_max: 0.25 }),
  'tf.cast': unary('cast', (x) => x, { dtype: 'float32' }),
  'tf.identity': unary('identity', (x) => x),
  'tf.reshape': unary('reshape', (x) => x, { shape: [-1, 72, 3] }),
  'tf.squeeze and tf.expand_dims': fn('compat.v1.squeeze', ['e', 0, 0, { axis: [3] }], (x) => x, [{ class_name: 'TFOpLambda', name: 'e', config: { name: 'e', function: 'expand_dims' }, inbound_nodes: [['image', 0, 0, { axis: -2 }]] }]),
  'tf.transpose': unary('transpose', (x) => core.transpose(x, [0, 3, 1, 2]), { perm: [0, 3, 1, 2] }),
  'tf.concat': fn('concat', [['image', 0, 0, { axis: -1 }], ['image', 0, 0, { axis: -1 }]], (x) => core.concat([x, x], 3)),
  'tf.split, of which the second part': { layers: [{ class_name: 'TFOpLambda', name: 's', config: { name: 's', function: 'split' }, inbound_nodes: [['image', 0, 0, { num_or_size_splits: [2, 1], axis: 3 }]] }, { ...layer('Activation', 'l', { activation: 'linear' }), inbound_nodes: [[['s', 0, 1, {}]]] }], expected: (x) => core.slice(x, [0, 0, 0, 2], [-1, -1, -1, 1]) },
  'tf.pad': unary('pad', (x) => core.mirrorPad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], 'reflect'), { paddings: [[0, 0], [1, 2], [0, 1], [0, 0]], mode: 'REFLECT' }),
  'tf.image.resize': unary('image.resize', (x) => half(x, [4, 12]), { size: [4, 12], method: 'bilinear', antialias: false }),
  'tf.compat.v1.image.resize_bilinear': unary('compat.v1.image.resize_bilinear', (x) => core.image.resizeBilinear(x, [4, 12], true), { size: [4, 12], align_corners: true }),
  'tf.linalg.matmul': fn('linalg.matmul', ['image', 0, 0, { b: ['image', 0, 0], transpose_b: true }], (x) => core.matMul(x, x, false, true)),
  'x[:, 1:-1, ::2, 0]': { layers: [called('SlicingOpLambda', { function: '__operators__.getitem' }, ['image', 0, 0, { slice_spec: [{ start: null, stop: null, step: null }, { start: 1, stop: -1, step: null }, { start: null, stop: null, step: 2 }, 0] }])], expected: (x) => core.stridedSlice(x, [0, 1, 0, 0], [x.shape[0], 8, 8, 1], [1, 1, 2, 1]) },
  'x[..., ::-1]': { layers: [called('SlicingOpLambda', {}, ['image', 0, 0, { slice_spec: [{ class_name: '__ellipsis__' }, { start: null, stop: null, step: -1 }] }])], expected: (x) => core.reverse(x, 3) },
};

describe('lowerLayers() of Keras\'s', () => {
  it.each(Object.entries(CASES))('%s', (_, { layers, weights = [], expected }) => {
    const network = lower({ topology: functional('m', [image(), ...layers]), weights });
    const images = drawImages(2);
    expect(isBatchable(network)).toBe(true);
    const wanted = core.tidy(() => expected(core.tensor4d(images, [2, INPUT.height, INPUT.width, INPUT.channels])).dataSync());
    const scale = Math.max(1, ...wanted.map(Math.abs));
    expect(difference(compute(network, images), wanted) / scale).toBeLessThan(1e-5);
  });

  it('layers that do nothing gives no nodes', () => {
    const network = lower({ topology: functional('m', [input(16), layer('Dropout', 'a', { rate: 0.5 }, 'image'), layer('GaussianNoise', 'b', { stddev: 1 }, 'a'), layer('Flatten', 'c', {}, 'b')]), weights: [] });
    expect(network.nodes.map(({ name, inputs }) => [name, inputs])).toEqual([['image', []], ['c', ['image']]]);
  });
});
