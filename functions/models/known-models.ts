/**
 * What is known about models that config.json may name without a `model_url`: where they are published as TF.js files,
 * and what they must turn out to be. An address stands here only where it answers everybody, without a login; the
 * models of Keras have none, and are made with two commands instead (`registry.ts`).
 */
import type { Preprocess } from '../../common/config.js';
import { packagePath } from '../../common/package-root.js';

/** In this package; at an address; or among `tf.keras.applications`, by the name it has there. */
export type KnownSource =
  | { readonly kind: 'package'; readonly path: string }
  | { readonly kind: 'url'; readonly url: string; readonly bytes: number }
  | { readonly kind: 'keras'; readonly application: string };

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

/** A model of `tf.keras.applications`, without its classifier, pooled. `raw`: it scales its input itself. */
function keras(application: string, facts: { readonly preprocess: Preprocess; readonly dim: number; readonly licence: string; readonly inputSize?: number }): KnownModel {
  return { title: `Keras ${application}`, source: { kind: 'keras', application }, layer: undefined, inputSize: 224, ...facts };
}

const RESNET50 = keras('ResNet50', { preprocess: 'caffe', dim: 2048, licence: 'MIT' });

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
  mobilenet_v3: keras('MobileNetV3Large', { preprocess: 'raw', dim: 960, licence: 'Apache-2.0' }),
  resnet: RESNET50,
  resnet50: RESNET50,
  vgg16: keras('VGG16', { preprocess: 'caffe', dim: 512, licence: 'CC-BY-4.0' }),
  vgg19: keras('VGG19', { preprocess: 'caffe', dim: 512, licence: 'CC-BY-4.0' }),
  efficientnet: keras('EfficientNetB0', { preprocess: 'raw', dim: 1280, licence: 'Apache-2.0' }),
  inception_v3: keras('InceptionV3', { preprocess: '[-1,1]', dim: 2048, licence: 'Apache-2.0', inputSize: 299 }),
  xception: keras('Xception', { preprocess: '[-1,1]', dim: 2048, licence: 'MIT', inputSize: 299 }),
  densenet121: keras('DenseNet121', { preprocess: 'torch', dim: 1024, licence: 'BSD-3-Clause' }),
};

export const KNOWN_NAMES: readonly string[] = Object.keys(KNOWN_MODELS);

export function findKnown(name: string): KnownModel | undefined {
  return Object.hasOwn(KNOWN_MODELS, name) ? KNOWN_MODELS[name] : undefined;
}
