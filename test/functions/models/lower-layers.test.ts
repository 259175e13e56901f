/** Every layer that tfjs-layers has and that images flow through: lowered and interpreted, it gives the numbers that tfjs-layers gives. */
import type { SymbolicTensor } from '@tensorflow/tfjs-layers';
import { beforeAll, describe, expect, it } from 'vitest';
import { isBatchable } from '../../../functions/network/shapes.js';
import { compute, core, difference, drawImages, INPUT, layers as tfl, lower, predict, write } from '../support/layers-reference.js';

beforeAll(async () => {
  await core.setBackend('cpu');
});

type Layer = InstanceType<typeof tfl.layers.Layer>;
type Build = (x: SymbolicTensor) => SymbolicTensor;

const chain = (...all: readonly Layer[]): Build => (x) => all.reduce((value, layer) => layer.apply(value) as SymbolicTensor, x);
const merge = (layer: Layer): Build => (x) => layer.apply([tfl.layers.conv2d({ filters: 3, kernelSize: 1 }).apply(x) as SymbolicTensor, x]) as SymbolicTensor;
const { layers: l } = tfl;
const flat = (): Layer => l.reshape({ targetShape: [24, 9] });
const first = (layer: Layer): Build => chain(l.permute({ dims: [3, 1, 2] }), layer);

const ACTIVATIONS = ['elu', 'hardSigmoid', 'linear', 'relu', 'relu6', 'selu', 'sigmoid', 'softmax', 'softplus', 'softsign', 'tanh', 'swish', 'mish', 'gelu', 'gelu_new', 'logSoftmax'] as const;
type Activation = 'relu';

const CASES: Readonly<Record<string, Build>> = {
  ...Object.fromEntries(ACTIVATIONS.map((name) => [`Activation ${name}`, chain(l.activation({ activation: name as Activation }))])),
  ...Object.fromEntries(ACTIVATIONS.map((name) => [`Conv2D with ${name}`, chain(l.conv2d({ filters: 2, kernelSize: 3, activation: name as Activation }))])),
  'Dense with softmax': chain(l.flatten(), l.dense({ units: 4, activation: 'softmax' })),
  ReLU: chain(l.reLU()),
  'ReLU up to a maximum': chain(l.reLU({ maxValue: 1.25 })),
  LeakyReLU: chain(l.leakyReLU()),
  'LeakyReLU of another slope': chain(l.leakyReLU({ alpha: 0.07 })),
  PReLU: chain(l.prelu()),
  'PReLU of channels': chain(l.prelu({ sharedAxes: [1, 2] })),
  ELU: chain(l.elu()),
  ThresholdedReLU: chain(l.thresholdedReLU({ theta: 0.5 })),
  Softmax: chain(l.softmax({ axis: -1 })),
  Conv2D: chain(l.conv2d({ filters: 4, kernelSize: [3, 2] })),
  'Conv2D without bias': chain(l.conv2d({ filters: 4, kernelSize: 3, useBias: false })),
  'Conv2D same': chain(l.conv2d({ filters: 4, kernelSize: [4, 3], padding: 'same' })),
  'Conv2D same by strides over odd and even sizes': chain(l.conv2d({ filters: 4, kernelSize: 3, strides: 2, padding: 'same' })),
  'Conv2D same, even kernel, strides that differ': chain(l.conv2d({ filters: 4, kernelSize: [4, 2], strides: [3, 2], padding: 'same' })),
  'Conv2D dilated': chain(l.conv2d({ filters: 4, kernelSize: 3, dilationRate: 2 })),
  'Conv2D dilated, same': chain(l.conv2d({ filters: 4, kernelSize: 3, dilationRate: [2, 2], padding: 'same' })),
  'Conv2D of channels first': first(l.conv2d({ filters: 4, kernelSize: 3, strides: 2, padding: 'same', dataFormat: 'channelsFirst' })),
  DepthwiseConv2D: chain(l.depthwiseConv2d({ kernelSize: 3 })),
  'DepthwiseConv2D of depth multiplier 2': chain(l.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, padding: 'same', strides: [2, 2], activation: 'relu' })),
  'DepthwiseConv2D, which TF.js does not dilate, without bias': chain(l.depthwiseConv2d({ kernelSize: 3, dilationRate: [2, 2], padding: 'same', useBias: false })),
  SeparableConv2D: chain(l.separableConv2d({ filters: 5, kernelSize: 3, activation: 'tanh' })),
  'SeparableConv2D of depth multiplier 2': chain(l.separableConv2d({ filters: 5, kernelSize: 3, depthMultiplier: 2, strides: [2, 2], padding: 'same' })),
  'SeparableConv2D dilated': chain(l.separableConv2d({ filters: 5, kernelSize: 3, dilationRate: [2, 2], useBias: false })),
  Conv2DTranspose: chain(l.conv2dTranspose({ filters: 4, kernelSize: 3 })),
  'Conv2DTranspose by strides': chain(l.conv2dTranspose({ filters: 4, kernelSize: [3, 2], strides: [2, 3], activation: 'relu' })),
  'Conv2DTranspose same': chain(l.conv2dTranspose({ filters: 4, kernelSize: 3, strides: [2, 2], padding: 'same', activation: 'softmax' })),
  'Conv2DTranspose same, even kernel': chain(l.conv2dTranspose({ filters: 4, kernelSize: 4, strides: [2, 2], padding: 'same', useBias: false })),
  'Conv2DTranspose whose strides are longer than its kernel': chain(l.conv2dTranspose({ filters: 2, kernelSize: 2, strides: [3, 3], padding: 'same' })),
  'Conv2DTranspose of channels first': first(l.conv2dTranspose({ filters: 2, kernelSize: 3, strides: [2, 2], padding: 'same', dataFormat: 'channelsFirst' })),
  Conv1D: chain(flat(), l.conv1d({ filters: 4, kernelSize: 3, strides: 2, padding: 'same' })),
  'Conv1D dilated': chain(flat(), l.conv1d({ filters: 4, kernelSize: 3, dilationRate: 2, activation: 'relu' })),
  Dense: chain(l.flatten(), l.dense({ units: 5 })),
  'Dense with relu, without bias': chain(l.flatten(), l.dense({ units: 5, useBias: false, activation: 'relu' })),
  'Dense on feature maps': chain(l.dense({ units: 5 })),
  'Dense on sequences': chain(flat(), l.dense({ units: 5, activation: 'sigmoid' })),
  BatchNormalization: chain(l.batchNormalization()),
  'BatchNormalization without scale': chain(l.batchNormalization({ scale: false, epsilon: 0.01 })),
  'BatchNormalization without center': chain(l.batchNormalization({ center: false })),
  'BatchNormalization with neither': chain(l.batchNormalization({ center: false, scale: false })),
  'BatchNormalization of vectors': chain(l.flatten(), l.batchNormalization()),
  LayerNormalization: chain(l.layerNormalization()),
  'LayerNormalization of all axes': chain(l.layerNormalization({ axis: [1, 2, 3], epsilon: 0.1 })),
  'LayerNormalization of rows and columns': chain(l.layerNormalization({ axis: [1, 2], scale: false })),
  'LayerNormalization with neither scale nor center': chain(l.layerNormalization({ center: false, scale: false })),
  MaxPooling2D: chain(l.maxPooling2d({})),
  'MaxPooling2D same': chain(l.maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' })),
  AveragePooling2D: chain(l.averagePooling2d({ poolSize: [3, 2], strides: [1, 2] })),
  'AveragePooling2D with padding': chain(l.averagePooling2d({ poolSize: 3, strides: 2, padding: 'same' })),
  'AveragePooling2D with padding, channels first': first(l.averagePooling2d({ poolSize: 2, strides: 2, padding: 'same', dataFormat: 'channelsFirst' })),
  MaxPooling1D: chain(flat(), l.maxPooling1d({ poolSize: 3, strides: 2 })),
  AveragePooling1D: chain(flat(), l.averagePooling1d({ poolSize: 3, padding: 'same' })),
  GlobalAveragePooling2D: chain(l.globalAveragePooling2d({})),
  'GlobalAveragePooling2D of channels first': first(l.globalAveragePooling2d({ dataFormat: 'channelsFirst' })),
  GlobalMaxPooling2D: chain(l.globalMaxPooling2d({})),
  GlobalAveragePooling1D: chain(flat(), l.globalAveragePooling1d()),
  GlobalMaxPooling1D: chain(flat(), l.globalMaxPooling1d()),
  ZeroPadding2D: chain(l.zeroPadding2d()),
  'ZeroPadding2D of rows and columns': chain(l.zeroPadding2d({ padding: [1, 2] })),
  'ZeroPadding2D of four sides': chain(l.zeroPadding2d({ padding: [[0, 1], [2, 3]] })),
  'ZeroPadding2D of channels first': first(l.zeroPadding2d({ padding: [[0, 1], [2, 3]], dataFormat: 'channelsFirst' })),
  Cropping2D: chain(l.cropping2D({ cropping: [[1, 2], [0, 3]] })),
  UpSampling2D: chain(l.upSampling2d({ size: [2, 3] })),
  'UpSampling2D bilinear': chain(l.upSampling2d({ size: [2, 3], interpolation: 'bilinear' })),
  'UpSampling2D of channels first': first(l.upSampling2d({ dataFormat: 'channelsFirst' })),
  Add: merge(l.add()),
  Multiply: merge(l.multiply()),
  Average: merge(l.average()),
  Maximum: merge(l.maximum()),
  Minimum: merge(l.minimum()),
  'Multiply of maps by vectors': (x) => l.multiply().apply([x, l.globalAveragePooling2d({}).apply(x) as SymbolicTensor]) as SymbolicTensor,
  Concatenate: merge(l.concatenate()),
  'Concatenate of rows': merge(l.concatenate({ axis: 1 })),
  Dot: (x) => l.dot({ axes: -1 }).apply([l.globalAveragePooling2d({}).apply(x) as SymbolicTensor, l.globalMaxPooling2d({}).apply(x) as SymbolicTensor]) as SymbolicTensor,
  'Dot of sequences, normalised': (x) => l.dot({ axes: [1, 1], normalize: true }).apply([l.reshape({ targetShape: [12, 18] }).apply(x) as SymbolicTensor, l.reshape({ targetShape: [12, 18] }).apply(x) as SymbolicTensor]) as SymbolicTensor,
  Flatten: chain(l.flatten()),
  'Flatten of channels first': first(l.flatten({ dataFormat: 'channelsFirst' })),
  Reshape: chain(l.reshape({ targetShape: [4, -1, 2] })),
  Permute: chain(l.permute({ dims: [2, 3, 1] })),
  RepeatVector: chain(l.globalAveragePooling2d({}), l.repeatVector({ n: 4 })),
  Rescaling: chain(l.rescaling({ scale: 0.25, offset: -1 })),
  Dropout: chain(l.dropout({ rate: 0.5 })),
  SpatialDropout1D: chain(flat(), l.spatialDropout1d({ rate: 0.5 })),
  GaussianDropout: chain(l.gaussianDropout({ rate: 0.5 })),
  GaussianNoise: chain(l.gaussianNoise({ stddev: 0.5 })),
  AlphaDropout: chain(l.alphaDropout({ rate: 0.5 })),
};

describe('lowerLayers() of', () => {
  it.each(Object.entries(CASES))('%s computes what tfjs-layers does, for each of several images', async (_, build) => {
    const image = tfl.input({ shape: [INPUT.height, INPUT.width, INPUT.channels] });
    const model = tfl.model({ inputs: image, outputs: build(image) });
    const network = lower(await write(model));
    const images = drawImages(2);
    const [one, two] = [images.subarray(0, images.length / 2), images.subarray(images.length / 2)];
    const expected = [...predict(model, one), ...predict(model, two)];
    expect(isBatchable(network)).toBe(true);
    expect(difference(compute(network, images), expected)).toBeLessThan(1e-4);
    model.dispose();
  });
});
