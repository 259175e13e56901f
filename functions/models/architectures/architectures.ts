/** The networks of `tf.keras.applications` by name: how each is written, and what it takes. */
import type { Preprocess } from '../../../common/config.js';
import type { LayerJson } from '../model.js';
import { writeDenseNet } from './densenet.js';
import { classifyEfficientNet, writeEfficientNet, type EfficientNet } from './efficientnet.js';
import { writeInceptionV3 } from './inception-v3.js';
import { classifyMobileNet, writeMobileNet } from './mobilenet.js';
import { writeMobileNetV2 } from './mobilenet-v2.js';
import { classifyMobileNetV3, LARGE, minimalistic, SMALL, writeMobileNetV3, type MobileNetV3 } from './mobilenet-v3.js';
import { writeResNet, type ResNetDepth } from './resnet.js';
import { writeResNet2015 } from './resnet-2015.js';
import { writeResNetV2 } from './resnet-v2.js';
import { TopologyWriter, type Architecture, type Feature } from './topology-writer.js';
import { classifyVgg, writeVgg } from './vgg.js';
import { writeXception } from './xception.js';

export interface ArchitectureFacts {
  /** As Keras names it. */
  readonly title: string;
  /** Pixels of the square image that it was trained with. */
  readonly inputSize: number;
  /** `raw`: it scales pixels itself. */
  readonly preprocess: Preprocess;
  /** The widths that weights are published for. */
  readonly alphas: readonly number[];
  /** See `WriterOptions`. */
  readonly firstCount?: number;
  /** From the image to the last feature map. */
  readonly write: (w: TopologyWriter, alpha: number) => Feature;
  /** From there to the scores of classes. */
  readonly classify: (w: TopologyWriter, x: Feature, classes: number) => Feature;
  /** Keras's name of the pooling in the form without a classifier; undefined: by a counter. */
  readonly pooling: string | undefined;
}

type Rest = Partial<ArchitectureFacts> & Pick<ArchitectureFacts, 'preprocess' | 'write'>;

function facts(title: string, rest: Rest): ArchitectureFacts {
  return { title, inputSize: 224, alphas: [1], classify: classifyWith('predictions', 'avg_pool'), pooling: 'avg_pool', ...rest };
}

/** Pooled, then one Dense. */
function classifyWith(name: string, pooling: string | undefined): ArchitectureFacts['classify'] {
  return (w, x, classes) => w.dense(w.globalAverage(x, pooling), { name, units: classes, activation: 'softmax' });
}

const resNet = (depth: ResNetDepth): ArchitectureFacts => facts(`ResNet${depth}`, { preprocess: 'caffe', write: (w) => writeResNet(w, depth) });
const resNetV2 = (depth: ResNetDepth): ArchitectureFacts => facts(`ResNet${depth}V2`, { preprocess: '[-1,1]', write: (w) => writeResNetV2(w, depth) });
const vgg = (depth: 16 | 19): ArchitectureFacts => facts(`VGG${depth}`, { preprocess: 'caffe', write: (w) => writeVgg(w, depth), classify: classifyVgg, pooling: undefined });
const denseNet = (depth: 121 | 169 | 201): ArchitectureFacts => facts(`DenseNet${depth}`, { preprocess: 'torch', write: (w) => writeDenseNet(w, depth) });

function mobileNetV3(name: string, network: MobileNetV3, alphas: readonly number[]): ArchitectureFacts {
  return facts(`MobileNetV3${name}`, { preprocess: 'raw', alphas, write: (w, alpha) => writeMobileNetV3(w, network, alpha), classify: (w, x, classes) => classifyMobileNetV3(w, x, { ...network, classes }) });
}

function efficientNet(number: number, inputSize: number, network: EfficientNet): ArchitectureFacts {
  return facts(`EfficientNetB${number}`, { inputSize, preprocess: 'raw', write: (w) => writeEfficientNet(w, network), classify: (w, x, classes) => classifyEfficientNet(w, x, { ...network, classes }) });
}

const BY_NAME = {
  mobilenet_v1: facts('MobileNet', { preprocess: '[-1,1]', alphas: [0.25, 0.5, 0.75, 1], write: writeMobileNet, classify: classifyMobileNet, pooling: undefined }),
  mobilenet_v2: facts('MobileNetV2', { preprocess: '[-1,1]', alphas: [0.35, 0.5, 0.75, 1, 1.3, 1.4], write: writeMobileNetV2, classify: classifyWith('predictions', undefined), pooling: undefined }),
  mobilenet_v3_small: mobileNetV3('Small', SMALL, [0.75, 1]),
  mobilenet_v3_large: mobileNetV3('Large', LARGE, [0.75, 1]),
  mobilenet_v3_small_minimalistic: mobileNetV3('Small, minimalistic', minimalistic(SMALL), [1]),
  mobilenet_v3_large_minimalistic: mobileNetV3('Large, minimalistic', minimalistic(LARGE), [1]),
  resnet50: resNet(50),
  resnet101: resNet(101),
  resnet152: resNet(152),
  resnet50_2015: facts('ResNet50', { preprocess: 'caffe', firstCount: 1, write: writeResNet2015, classify: classifyWith('fc1000', 'avg_pool'), pooling: undefined }),
  resnet50_v2: resNetV2(50),
  resnet101_v2: resNetV2(101),
  resnet152_v2: resNetV2(152),
  vgg16: vgg(16),
  vgg19: vgg(19),
  inception_v3: facts('InceptionV3', { inputSize: 299, preprocess: '[-1,1]', write: writeInceptionV3, pooling: undefined }),
  xception: facts('Xception', { inputSize: 299, preprocess: '[-1,1]', write: writeXception, pooling: undefined }),
  efficientnet_b0: efficientNet(0, 224, { width: 1, depth: 1, dropout: 0.2 }),
  efficientnet_b1: efficientNet(1, 240, { width: 1, depth: 1.1, dropout: 0.2 }),
  efficientnet_b2: efficientNet(2, 260, { width: 1.1, depth: 1.2, dropout: 0.3 }),
  efficientnet_b3: efficientNet(3, 300, { width: 1.2, depth: 1.4, dropout: 0.3 }),
  efficientnet_b4: efficientNet(4, 380, { width: 1.4, depth: 1.8, dropout: 0.4 }),
  efficientnet_b5: efficientNet(5, 456, { width: 1.6, depth: 2.2, dropout: 0.4 }),
  efficientnet_b6: efficientNet(6, 528, { width: 1.8, depth: 2.6, dropout: 0.5 }),
  efficientnet_b7: efficientNet(7, 600, { width: 2, depth: 3.1, dropout: 0.5 }),
  densenet121: denseNet(121),
  densenet169: denseNet(169),
  densenet201: denseNet(201),
} as const satisfies Readonly<Record<string, ArchitectureFacts>>;

export type ArchitectureName = keyof typeof BY_NAME;
export const ARCHITECTURES: Readonly<Record<ArchitectureName, ArchitectureFacts>> = BY_NAME;
export const architectureNames = Object.keys(BY_NAME) as readonly ArchitectureName[];

export interface ArchitectureOptions {
  /** Pixels of the square input; by default what it was trained with. */
  readonly inputSize?: number | undefined;
  /** With its classifier; without it ends in a global average pooling. By default without. */
  readonly top?: boolean;
  /** Width; by default 1. */
  readonly alpha?: number;
  /** Of the classifier; by default ImageNet's 1000. */
  readonly classes?: number;
}

/** The topology of a network of Keras, with the weights of its layers. */
export function describeArchitecture(name: ArchitectureName, { inputSize, top = false, alpha = 1, classes = 1000 }: ArchitectureOptions = {}): Architecture {
  const { title, inputSize: trainedSize, firstCount, write, classify, pooling } = ARCHITECTURES[name];
  const w = new TopologyWriter({ name: title.toLowerCase().replace(/\W+/g, '_'), inputSize: inputSize ?? trainedSize, ...(firstCount !== undefined && { firstCount }) });
  const features = write(w, alpha);
  return w.finish(top ? classify(w, features, classes) : w.globalAverage(features, pooling));
}

/** The topology of a network of Keras. */
export function buildArchitecture(name: ArchitectureName, options: ArchitectureOptions = {}): LayerJson {
  return describeArchitecture(name, options).topology;
}
