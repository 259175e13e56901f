/**
 * What is known about models that config.json may name without a `model_url`: where they are published, and what they
 * must turn out to be. An address stands here only where it answers everybody, without a login. Those of Keras are the
 * files that `tf.keras.applications` itself fetches: weights alone, whose network is recognised (`architectures/`).
 */
import type { Preprocess } from '../../common/config.js';
import { packagePath } from '../../common/package-root.js';
import { ARCHITECTURES, type ArchitectureName } from './architectures/architectures.js';

/** In this package, or at an address: a TF.js model.json, or a Keras .h5. */
export type KnownSource =
  | { readonly kind: 'package'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string; readonly bytes: number };

export interface KnownModel {
  /** What it is, in words. */
  readonly title: string;
  readonly source: KnownSource;
  /** Pixels of its square input. */
  readonly inputSize: number;
  /** Undefined: the file shows it, and it differs by who converted it. */
  readonly preprocess: Preprocess | undefined;
  /** Of the embedding; undefined: the loader's rule finds it. */
  readonly layer: string | undefined;
  /** Numbers of the embedding. */
  readonly dim: number;
  /** Of the weights, as SPDX names it. */
  readonly licence: string;
}

const GOOGLE_BUCKET = 'https://storage.googleapis.com/tfjs-models';

const MOBILENET_V2: KnownModel = {
  title: 'MobileNetV2 1.0',
  source: { kind: 'url', url: `${GOOGLE_BUCKET}/savedmodel/mobilenet_v2_1.0_224/model.json`, bytes: 14_000_000 },
  inputSize: 224, preprocess: undefined, layer: undefined, dim: 1280, licence: 'Apache-2.0',
};

const MOBILENET_V1: KnownModel = {
  title: 'MobileNetV1 1.0',
  source: { kind: 'url', url: `${GOOGLE_BUCKET}/tfjs/mobilenet_v1_1.0_224/model.json`, bytes: 17_000_000 },
  inputSize: 224, preprocess: '[-1,1]', layer: undefined, dim: 1024, licence: 'Apache-2.0',
};

const KERAS_BUCKET = 'https://storage.googleapis.com/tensorflow/keras-applications';
const KERAS_EFFICIENTNET_BUCKET = 'https://storage.googleapis.com/keras-applications';

/** A network of `tf.keras.applications`, without its classifier, pooled. */
function keras(architecture: ArchitectureName, facts: { readonly url: string; readonly bytes: number; readonly dim: number; readonly licence: string }): KnownModel {
  const { url, bytes, dim, licence } = facts;
  const { title, inputSize, preprocess } = ARCHITECTURES[architecture];
  return { title: `Keras ${title}`, source: { kind: 'url', url, bytes }, inputSize, preprocess, layer: undefined, dim, licence };
}

/** The name that Keras gives to most of its files. */
const weightsFile = (folder: string, name: string): string => `${KERAS_BUCKET}/${folder}/${name}_weights_tf_dim_ordering_tf_kernels_notop.h5`;

const RESNET50 = keras('resnet50', { url: weightsFile('resnet', 'resnet50'), bytes: 94_765_736, dim: 2048, licence: 'MIT' });
const EFFICIENTNET_B0 = keras('efficientnet_b0', { url: `${KERAS_EFFICIENTNET_BUCKET}/efficientnetb0_notop.h5`, bytes: 16_705_208, dim: 1280, licence: 'Apache-2.0' });

export const KNOWN_MODELS: Readonly<Record<string, KnownModel>> = {
  builtin: {
    title: 'small network trained for this project',
    source: { kind: 'package', path: packagePath('models', 'builtin', 'model.json') },
    inputSize: 112, preprocess: '[-1,1]', layer: undefined, dim: 256, licence: 'Apache-2.0',
  },
  mobilenet: MOBILENET_V2,
  mobilenet_v2: MOBILENET_V2,
  mobilenet_v1: MOBILENET_V1,
  mobilenet_v1_025: {
    ...MOBILENET_V1,
    title: 'MobileNetV1 0.25',
    source: { kind: 'url', url: `${GOOGLE_BUCKET}/tfjs/mobilenet_v1_0.25_224/model.json`, bytes: 1_900_000 },
    dim: 256,
  },
  mobilenet_v3: keras('mobilenet_v3_large', { url: `${KERAS_BUCKET}/mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5`, bytes: 12_683_000, dim: 960, licence: 'Apache-2.0' }),
  mobilenet_v3_small: keras('mobilenet_v3_small', { url: `${KERAS_BUCKET}/mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5`, bytes: 4_334_752, dim: 576, licence: 'Apache-2.0' }),
  resnet: RESNET50,
  resnet50: RESNET50,
  resnet101: keras('resnet101', { url: weightsFile('resnet', 'resnet101'), bytes: 171_446_536, dim: 2048, licence: 'MIT' }),
  resnet152: keras('resnet152', { url: weightsFile('resnet', 'resnet152'), bytes: 234_698_864, dim: 2048, licence: 'MIT' }),
  resnet50_v2: keras('resnet50_v2', { url: weightsFile('resnet', 'resnet50v2'), bytes: 94_668_760, dim: 2048, licence: 'BSD-3-Clause' }),
  resnet101_v2: keras('resnet101_v2', { url: weightsFile('resnet', 'resnet101v2'), bytes: 171_317_808, dim: 2048, licence: 'BSD-3-Clause' }),
  vgg16: keras('vgg16', { url: weightsFile('vgg16', 'vgg16'), bytes: 58_889_256, dim: 512, licence: 'CC-BY-4.0' }),
  vgg19: keras('vgg19', { url: weightsFile('vgg19', 'vgg19'), bytes: 80_134_624, dim: 512, licence: 'CC-BY-4.0' }),
  efficientnet: EFFICIENTNET_B0,
  efficientnet_b0: EFFICIENTNET_B0,
  efficientnet_b1: keras('efficientnet_b1', { url: `${KERAS_EFFICIENTNET_BUCKET}/efficientnetb1_notop.h5`, bytes: 27_018_416, dim: 1280, licence: 'Apache-2.0' }),
  efficientnet_b2: keras('efficientnet_b2', { url: `${KERAS_EFFICIENTNET_BUCKET}/efficientnetb2_notop.h5`, bytes: 31_790_344, dim: 1408, licence: 'Apache-2.0' }),
  efficientnet_b3: keras('efficientnet_b3', { url: `${KERAS_EFFICIENTNET_BUCKET}/efficientnetb3_notop.h5`, bytes: 43_941_136, dim: 1536, licence: 'Apache-2.0' }),
  inception_v3: keras('inception_v3', { url: weightsFile('inception_v3', 'inception_v3'), bytes: 87_910_968, dim: 2048, licence: 'Apache-2.0' }),
  xception: keras('xception', { url: weightsFile('xception', 'xception'), bytes: 83_683_744, dim: 2048, licence: 'MIT' }),
  densenet121: keras('densenet121', { url: weightsFile('densenet', 'densenet121'), bytes: 29_084_464, dim: 1024, licence: 'BSD-3-Clause' }),
  densenet169: keras('densenet169', { url: weightsFile('densenet', 'densenet169'), bytes: 51_877_672, dim: 1664, licence: 'BSD-3-Clause' }),
  densenet201: keras('densenet201', { url: weightsFile('densenet', 'densenet201'), bytes: 74_836_368, dim: 1920, licence: 'BSD-3-Clause' }),
};

export const KNOWN_NAMES: readonly string[] = Object.keys(KNOWN_MODELS);

export function findKnown(name: string): KnownModel | undefined {
  return Object.hasOwn(KNOWN_MODELS, name) ? KNOWN_MODELS[name] : undefined;
}
