import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as tf from '@tensorflow/tfjs-core';
import { ARCHITECTURES, architectureNames, buildArchitecture, describeArchitecture, type ArchitectureName } from '../../../../functions/models/architectures/architectures.js';
import { checkLayers } from '../../../../functions/models/check-layers.js';
import { chooseEmbeddingLayer } from '../../../../functions/models/embedding-layer.js';
import type { LayerJson } from '../../../../functions/models/model.js';
import { inboundNodes, layerName, layersOf, parseTopology } from '../../../../functions/models/topology.js';
import { withBuilt } from './built.js';
import { PUBLISHED_SIZES } from './published-sizes.js';

/** Keras counts the images that EfficientNet's `Normalization` has seen among its parameters. */
const seen = (name: ArchitectureName): number => (name.startsWith('efficientnet') ? 1 : 0);

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

describe('buildArchitecture()', () => {
  it.each(architectureNames)('%s: TF.js builds it at the size it was trained with, with and without its classifier, and counts the parameters that Keras counts', async (name) => {
    for (const [i, top] of [true, false].entries()) {
      const { topology, weighted } = describeArchitecture(name, { top });
      checkLayers(topology, name);
      await withBuilt(topology, (model) => {
        expect(model.countParams() + seen(name)).toBe(PUBLISHED_SIZES[name][i]);
        expect(model.outputs[0]!.shape).toEqual([null, top ? 1000 : PUBLISHED_SIZES[name][2]]);
        const shapes = Object.fromEntries(model.weights.map((weight) => [weight.originalName, weight.shape]));
        expect(Object.fromEntries(weighted.flatMap((layer) => layer.weights.map((weight) => [`${layer.name}/${weight.name}`, weight.shape])))).toEqual(shapes);
      });
    }
  });

  it('scales channels by a width', () => {
    const parameters = (name: ArchitectureName, alpha: number, top: boolean): number => describeArchitecture(name, { alpha, top }).weighted.flatMap(({ weights }) => weights).reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    expect([0.25, 0.5, 0.75].map((alpha) => parameters('mobilenet_v1', alpha, true))).toEqual([475_544, 1_342_536, 2_601_976]);
    expect([0.35, 0.5, 0.75, 1.3, 1.4].map((alpha) => parameters('mobilenet_v2', alpha, false))).toEqual([410_208, 706_224, 1_382_064, 3_766_048, 4_363_712]);
  });

  it('takes images of another size, which the weights leave open', async () => {
    for (const name of ['mobilenet_v2', 'resnet50', 'vgg16', 'efficientnet_b0', 'mobilenet_v3_large', 'densenet121'] as const) {
      await withBuilt(buildArchitecture(name, { inputSize: 64 }), (model) => {
        expect(model.inputs[0]!.shape).toEqual([null, 64, 64, 3]);
        expect(model.countParams() + seen(name)).toBe(PUBLISHED_SIZES[name][1]);
      });
    }
  });

  it('computes in TF.js what its layers stand for: hard swish, and the normalisation of the input', async () => {
    await tf.setBackend('cpu');
    const hardSigmoid = layersOf(buildArchitecture('mobilenet_v3_small', { inputSize: 32 })).slice(0, 9);
    expect(hardSigmoid.map(({ class_name }) => class_name)).toEqual(['InputLayer', 'Rescaling', 'Conv2D', 'BatchNormalization', 'Rescaling', 'ReLU', 'Rescaling', 'Multiply', 'ZeroPadding2D']);
    const part = (layers: readonly LayerJson[], output: string): LayerJson => ({ class_name: 'Functional', config: { name: 'part', layers, input_layers: [['input_1', 0, 0]], output_layers: [[output, 0, 0]] } });
    const image = { class_name: 'InputLayer', name: 'input_1', config: { name: 'input_1', batch_input_shape: [null, 1, 1, 3], dtype: 'float32' }, inbound_nodes: [] };
    const swish = hardSigmoid.slice(4, 8).map((layer) => ({ ...layer, inbound_nodes: [inboundNodes(layer)[0]!.map(([from]) => [from === 'Conv/BatchNorm' ? 'input_1' : from, 0, 0, {}])] }));
    await withBuilt(part([image, ...swish], 'multiply'), (model) => {
      expect([...(model.predict(tf.tensor4d([-4, 1, 5], [1, 1, 1, 3])) as tf.Tensor).dataSync()]).toEqual([-0, expect.closeTo(4 / 6, 6), 5]);
    });
    const [, rescaling, normalization, second] = layersOf(buildArchitecture('efficientnet_b0', { inputSize: 32 })) as [LayerJson, LayerJson, LayerJson, LayerJson];
    await withBuilt(part([image, rescaling, normalization, second], layerName(second)), (model) => {
      model.getLayer('normalization').setWeights([tf.tensor1d([0.485, 0.456, 0.406]), tf.tensor1d([0.229, 0.224, 0.225])]); // as the published files have them
      const normalised = (model.predict(tf.tensor4d([255, 128, 0], [1, 1, 1, 3])) as tf.Tensor).dataSync();
      for (const [i, expected] of [(1 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (0 - 0.406) / 0.225].entries()) expect(normalised[i]).toBeCloseTo(expected, 5);
    });
  });

  it('ends in a vector that is the embedding; with its classifier the vector below that is', () => {
    const embeddingOf = (name: ArchitectureName, top: boolean): string => chooseEmbeddingLayer(buildArchitecture(name, { top }), { layer: undefined, file: name }).join('/');
    const names = ['mobilenet_v1', 'mobilenet_v2', 'resnet50', 'resnet50_v2', 'vgg16', 'inception_v3', 'xception', 'efficientnet_b0', 'densenet121'] as const;
    expect(names.map((name) => embeddingOf(name, false))).toEqual(['global_average_pooling2d', 'global_average_pooling2d', 'avg_pool', 'avg_pool', 'global_average_pooling2d', 'global_average_pooling2d', 'global_average_pooling2d', 'avg_pool', 'avg_pool']);
    expect(names.map((name) => embeddingOf(name, true))).toEqual(['global_average_pooling2d', 'global_average_pooling2d', 'avg_pool', 'avg_pool', 'fc2', 'avg_pool', 'avg_pool', 'avg_pool', 'avg_pool']);
  });

  it('names layers as Keras does, in its order', () => {
    const names = (name: ArchitectureName, from: number, count: number): string[] => layersOf(buildArchitecture(name, { top: true })).slice(from).slice(0, count).map(layerName);
    expect(names('resnet50', 0, 9)).toEqual(['input_1', 'conv1_pad', 'conv1_conv', 'conv1_bn', 'conv1_relu', 'pool1_pad', 'pool1_pool', 'conv2_block1_1_conv', 'conv2_block1_1_bn']);
    expect(names('resnet50', 12, 7)).toEqual(['conv2_block1_2_relu', 'conv2_block1_0_conv', 'conv2_block1_3_conv', 'conv2_block1_0_bn', 'conv2_block1_3_bn', 'conv2_block1_add', 'conv2_block1_out']);
    expect(names('resnet50_v2', -2, 2)).toEqual(['avg_pool', 'predictions']);
    expect(names('xception', 6, 12)).toEqual(['block1_conv2_act', 'block2_sepconv1', 'block2_sepconv1_bn', 'block2_sepconv2_act', 'block2_sepconv2', 'block2_sepconv2_bn', 'conv2d', 'block2_pool', 'batch_normalization', 'add', 'block3_sepconv1_act', 'block3_sepconv1']);
    expect(names('inception_v3', 18, 10)).toEqual(['conv2d_8', 'batch_normalization_8', 'activation_8', 'conv2d_6', 'conv2d_9', 'batch_normalization_6', 'batch_normalization_9', 'activation_6', 'activation_9', 'average_pooling2d']);
    expect(names('densenet121', 0, 8)).toEqual(['input_1', 'zero_padding2d', 'conv1/conv', 'conv1/bn', 'conv1/relu', 'zero_padding2d_1', 'pool1', 'conv2_block1_0_bn']);
    expect(names('mobilenet_v1', -7, 7)).toEqual(['conv_pw_13_relu', 'global_average_pooling2d', 'reshape_1', 'dropout', 'conv_preds', 'reshape_2', 'predictions']);
    expect(names('efficientnet_b0', 0, 6)).toEqual(['input_1', 'rescaling', 'normalization', 'rescaling_1', 'stem_conv_pad', 'stem_conv']);
    expect(names('vgg19', -4, 4)).toEqual(['flatten', 'fc1', 'fc2', 'predictions']);
  });

  it('says what each was trained with', () => {
    expect(Object.fromEntries(architectureNames.map((name) => [name, ARCHITECTURES[name].preprocess]))).toMatchObject({
      mobilenet_v1: '[-1,1]', mobilenet_v2: '[-1,1]', mobilenet_v3_large: 'raw', resnet50: 'caffe', resnet50_2015: 'caffe', resnet50_v2: '[-1,1]', vgg16: 'caffe', inception_v3: '[-1,1]', xception: '[-1,1]', efficientnet_b0: 'raw', densenet121: 'torch',
    });
  });
});

/** Files that Keras and its converters wrote, without their weights. */
const TOPOLOGIES = '/work/shared/models/topologies';

describe.skipIf(!existsSync(TOPOLOGIES))('a topology that Keras wrote (skipped: the shared files are not here)', () => {
  const real = (file: string): readonly LayerJson[] => layersOf(parseTopology((JSON.parse(readFileSync(`${TOPOLOGIES}/${file}-layers-model.json`, 'utf8')) as { modelTopology: unknown }).modelTopology)!);

  it('is MobileNetV2 layer by layer', () => {
    expect(layersOf(buildArchitecture('mobilenet_v2', { top: true })).map(essence)).toEqual(real('mobilenet-v2').map(essence));
  });

  it('is the ResNet-50 of 2015, but for the padding before its pooling, which Keras added later, and how its features are averaged', () => {
    const written = layersOf(buildArchitecture('resnet50_2015', { top: true })).map(essence);
    const ours = written.filter(({ name }) => name !== 'pool1_pad').map((layer) => ({ ...layer, inputs: layer.inputs.map((input) => (input === 'pool1_pad' ? 'activation_1' : input)) }));
    expect(ours.slice(0, -2)).toEqual(real('resnet50').slice(0, -3).map(essence));
    expect(layerName(real('resnet50').at(-1)!)).toBe(ours.at(-1)!.name);
  });
});

/** What a layer computes, less what is only of training. */
function essence(layer: LayerJson): { readonly name: string; readonly className: string; readonly config: object; readonly inputs: readonly string[] } {
  const training = /initializer|regularizer|constraint|^(trainable|dtype|momentum|name|groups|sparse|ragged|keepdims)$/;
  const config = Object.fromEntries(Object.entries(layer.config).filter(([key]) => !training.test(key)).map(([key, value]) => [key, key === 'axis' ? [value].flat()[0] : value]));
  return { name: layerName(layer), className: layer.class_name, config, inputs: inboundNodes(layer).flat().map(([input]) => input) };
}
