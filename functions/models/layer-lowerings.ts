/** What each class of layers is in a network. */
import { KERAS_OPERATION } from './keras3-topology.js';
import type { LayerUse } from './layer-use.js';
import { lowerActivation } from './layer-activations.js';
import { lowerConv1d, lowerConv2d, lowerConvTranspose, lowerDense, lowerDepthwise, lowerSeparable } from './lower-convolutions.js';
import { lowerCenterCrop, lowerFill, lowerRescaling, lowerResizing, lowerUpSampling2d } from './lower-images.js';
import { lowerAverage, lowerConcatenate, lowerDot, lowerLayerScale, lowerMerge, lowerSubtract } from './lower-merges.js';
import { lowerBatchNorm, lowerGroupNorm, lowerLayerNorm, lowerNormalization, lowerUnitNorm } from './lower-normalisations.js';
import { lowerOperation } from './lower-operations.js';
import { lowerGlobalPooling, lowerPooling1d, lowerPooling2d } from './lower-poolings.js';
import { lowerCropping2d, lowerFlatten, lowerPermute, lowerRepeatVector, lowerReshape, lowerZeroPadding2d } from './lower-reshapes.js';

/** Writes the nodes of a layer and returns the names of its results: one, or the tensors that it splits into. */
export type Lowering = (use: LayerUse) => string | readonly string[];

const LOWERINGS = new Map<string, Lowering>([
  ['Conv1D', lowerConv1d],
  ['Conv2D', lowerConv2d],
  ['Convolution2D', lowerConv2d],
  ['DepthwiseConv2D', lowerDepthwise],
  ['SeparableConv2D', lowerSeparable],
  ['Conv2DTranspose', lowerConvTranspose],
  ['Dense', lowerDense],
  ...['Activation', 'ReLU', 'LeakyReLU', 'ELU', 'ThresholdedReLU', 'Softmax'].map((name) => [name, lowerActivation] as const),
  ['PReLU', lowerPrelu],
  ['BatchNormalization', lowerBatchNorm],
  ...['SyncBatchNormalization', 'BatchNormalizationV1', 'BatchNormalizationV2'].map((name) => [name, lowerBatchNorm] as const),
  ['LayerNormalization', lowerLayerNorm],
  ['GroupNormalization', lowerGroupNorm],
  ['UnitNormalization', lowerUnitNorm],
  ['Normalization', lowerNormalization],
  ['MaxPooling2D', (use) => lowerPooling2d(use, 'max')],
  ['AveragePooling2D', (use) => lowerPooling2d(use, 'average')],
  ['MaxPooling1D', (use) => lowerPooling1d(use, 'max')],
  ['AveragePooling1D', (use) => lowerPooling1d(use, 'average')],
  ['GlobalAveragePooling2D', (use) => lowerGlobalPooling(use, 'mean', 4)],
  ['GlobalMaxPooling2D', (use) => lowerGlobalPooling(use, 'max', 4)],
  ['GlobalAveragePooling1D', (use) => lowerGlobalPooling(use, 'mean', 3)],
  ['GlobalMaxPooling1D', (use) => lowerGlobalPooling(use, 'max', 3)],
  ['Add', (use) => lowerMerge(use, 'add')],
  ['Multiply', (use) => lowerMerge(use, 'mul')],
  ['Maximum', (use) => lowerMerge(use, 'max')],
  ['Minimum', (use) => lowerMerge(use, 'min')],
  ['Subtract', lowerSubtract],
  ['Average', lowerAverage],
  ['Concatenate', lowerConcatenate],
  ['Dot', lowerDot],
  ['LayerScale', lowerLayerScale],
  ['Flatten', lowerFlatten],
  ['Reshape', lowerReshape],
  ['Permute', lowerPermute],
  ['RepeatVector', lowerRepeatVector],
  ['ZeroPadding2D', lowerZeroPadding2d],
  ['Cropping2D', lowerCropping2d],
  ['UpSampling2D', lowerUpSampling2d],
  ['Rescaling', lowerRescaling],
  ['Resizing', lowerResizing],
  ['CenterCrop', lowerCenterCrop],
  ['RandomCrop', lowerFill],
  ['TFOpLambda', lowerOperation],
  ['SlicingOpLambda', lowerOperation],
]);

/** Layers that do something while a network is trained, and nothing afterwards. */
const IDLE = [
  'Dropout', 'SpatialDropout1D', 'SpatialDropout2D', 'SpatialDropout3D', 'GaussianDropout', 'GaussianNoise', 'AlphaDropout', 'FixedDropout', 'StochasticDepth', 'DropPath', 'ActivityRegularization', 'Identity', 'MixUp', 'CutMix', 'RandAugment', 'AugMix',
  ...['Brightness', 'ColorDegeneration', 'ColorJitter', 'Contrast', 'ElasticTransform', 'Erasing', 'Flip', 'GaussianBlur', 'Grayscale', 'Height', 'Hue', 'Invert', 'Perspective', 'Posterization', 'Rotation', 'Saturation', 'Sharpness', 'Shear', 'Translation', 'Width', 'Zoom'].map((what) => `Random${what}`),
];
for (const name of IDLE) LOWERINGS.set(name, (use) => use.input);

/** Classes beside Keras's own, which files name with or without the package that they were registered for: `Custom>LayerScale`. */
const REGISTERED = new Set(['LayerScale', 'StochasticDepth', 'DropPath', 'FixedDropout']);

/** Undefined: a layer of that class cannot be computed here. */
export function loweringOf(className: string): Lowering | undefined {
  if (className.startsWith(KERAS_OPERATION)) return lowerOperation;
  const name = className.slice(className.lastIndexOf('>') + 1);
  return LOWERINGS.get(REGISTERED.has(name) ? name : className);
}

/** Axes that share a slope are of size 1 in its weight. */
function lowerPrelu(use: LayerUse): string {
  const shape = use.shape(use.input);
  const shared = use.config.raw('shared_axes') === undefined ? [] : use.config.axes('shared_axes', shape.length, 1);
  const alpha = use.weight('alpha', shape.slice(1).map((size, i) => (shared.includes(i + 1) ? 1 : size)));
  return use.add({ op: 'prelu', inputs: [use.input, alpha] });
}
