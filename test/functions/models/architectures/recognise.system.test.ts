import { describe, expect, it } from 'vitest';
import { ARCHITECTURES, architectureNames, describeArchitecture, type ArchitectureName, type ArchitectureOptions } from '../../../../functions/models/architectures/architectures.js';
import { ArchitectureMismatch, recogniseArchitecture, type RecognisedArchitecture } from '../../../../functions/models/architectures/recognise.js';
import type { WeightedLayer } from '../../../../functions/models/architectures/weighted-layer.js';
import { withBuilt } from './built.js';

/** The layers of a network as a file of Keras has them: in its order, its weights with `:0`. */
function stored(name: ArchitectureName, options: ArchitectureOptions = {}): WeightedLayer[] {
  return describeArchitecture(name, options).weighted.map((layer) => ({ name: layer.name, weights: layer.weights.map((weight) => ({ name: `${layer.name}/${weight.name}:0`, shape: weight.shape })) }));
}

const renamed = (layers: readonly WeightedLayer[], rename: (name: string, i: number) => string): WeightedLayer[] => layers.map((layer, i) => ({ ...layer, name: rename(layer.name, i) }));
const replaced = (layers: readonly WeightedLayer[], name: string, weights: WeightedLayer['weights']): WeightedLayer[] => layers.map((layer) => (layer.name === name ? { name, weights } : layer));

function recognise(layers: readonly WeightedLayer[]): RecognisedArchitecture {
  const found = recogniseArchitecture(layers);
  if (!found) throw new Error('It was not recognised.');
  return found;
}

/** The topology's layer for the file's. */
const layerFor = ({ weightNames }: RecognisedArchitecture, weight: string): string | undefined => weightNames.get(weight)?.replace(/\/[^/]*$/, '');

describe('recogniseArchitecture()', () => {
  it.each(architectureNames)('%s: by its own weights, of every width, with its classifier and without', (name) => {
    const { alphas, title, preprocess, inputSize } = ARCHITECTURES[name];
    for (const alpha of alphas) {
      for (const top of [false, true]) {
        const found = recognise(stored(name, { alpha, top }));
        expect(found).toMatchObject({ title: `${title}${alpha === 1 ? '' : ` ${alpha}`} of Keras`, preprocess, inputSize });
        const { topology, weighted } = describeArchitecture(name, { alpha, top });
        expect(found.topology).toEqual(topology);
        expect([...found.weightNames]).toEqual(weighted.flatMap((layer) => layer.weights.map((weight) => [`${layer.name}/${layer.name}/${weight.name}:0`, `${layer.name}/${weight.name}`])));
      }
    }
  });

  it('gives the weights the names that TF.js has for them', async () => {
    for (const name of ['mobilenet_v3_small', 'xception', 'densenet121'] as const) {
      const found = recognise(stored(name, { top: true }));
      await withBuilt(found.topology, (model) => expect([...found.weightNames.values()].sort()).toEqual(model.weights.map(({ originalName }) => originalName).sort()));
    }
  });

  it('takes the names of weights as they come, for their order says what they are', () => {
    const old = stored('vgg16', { top: true }).map((layer) => ({ name: layer.name, weights: layer.weights.map(({ shape }, i) => ({ name: `${layer.name}_${'Wb'[i]}_1:0`, shape })) }));
    const found = recognise(old);
    expect(found.weightNames.get('block1_conv1/block1_conv1_W_1:0')).toBe('block1_conv1/kernel');
    expect(found.weightNames.get('fc2/fc2_b_1:0')).toBe('fc2/bias');
  });

  it('takes counters that begin anywhere', () => {
    const later = (name: string): string => name.replace(/^(conv2d|batch_normalization)(?:_(\d+))?$/, (_, base: string, number = '0') => `${base}_${Number(number) + (base === 'conv2d' ? 94 : 7)}`);
    for (const name of ['inception_v3', 'xception'] as const) {
      const layers = stored(name);
      const found = recognise(renamed(layers, later));
      expect(found.title).toBe(`${ARCHITECTURES[name].title} of Keras`);
      for (const layer of layers) expect(layerFor(found, `${later(layer.name)}/${layer.weights[0]!.name}`)).toBe(layer.name);
    }
  });

  it('takes a classifier by any name, for any classes', () => {
    const layers = stored('mobilenet_v2', { top: true, classes: 5 });
    const found = recognise(renamed(layers, (name, i) => (i === layers.length - 1 ? 'dense_3' : name)));
    expect(found.topology).toEqual(describeArchitecture('mobilenet_v2', { top: true, classes: 5 }).topology);
    expect(layerFor(found, 'dense_3/predictions/kernel:0')).toBe('predictions');
  });

  it('goes by names before order, and by order where names say nothing', () => {
    const layers = stored('resnet50');
    const sorted = layers.toSorted((a, b) => a.name.localeCompare(b.name));
    for (const layer of layers) expect(layerFor(recognise(sorted), `${layer.name}/${layer.weights[0]!.name}`)).toBe(layer.name);
    const anonymous = recognise(renamed(layers, (_name, i) => `layer ${i}`));
    for (const [i, layer] of layers.entries()) expect(layerFor(anonymous, `layer ${i}/${layer.weights[0]!.name}`)).toBe(layer.name);
  });

  it('tells the ResNet-50 of 2015 from today\'s', () => {
    const found = recognise(stored('resnet50_2015', { top: true }));
    expect(layerFor(found, 'res2a_branch1/res2a_branch1/kernel:0')).toBe('res2a_branch1');
    const anonymous = recognise(renamed(stored('resnet50_2015'), (_name, i) => `layer ${i}`));
    expect([...anonymous.weightNames.values()]).toContain('bn5c_branch2c/moving_variance');
  });

  it('passes over how many images a normalisation has seen, and layers without weights', () => {
    const layers = stored('efficientnet_b0');
    const counting = layers.map((layer) => (layer.name === 'normalization' ? { ...layer, weights: ['mean', 'variance', 'count'].map((name) => ({ name: `normalization/${name}:0`, shape: name === 'count' ? [] : [3] })) } : layer));
    const found = recognise([{ name: 'input_1', weights: [] }, ...counting]);
    expect([...found.weightNames].slice(0, 2)).toEqual([['normalization/normalization/mean:0', 'normalization/moving_mean'], ['normalization/normalization/variance:0', 'normalization/moving_variance']]);
    expect([...found.weightNames.keys()]).not.toContain('normalization/normalization/count:0');
  });

  it('gives the topology another size of image, where the weights leave it open', () => {
    expect(recogniseArchitecture(stored('efficientnet_b1'), { inputSize: 200 })).toMatchObject({ inputSize: 200, topology: describeArchitecture('efficientnet_b1', { inputSize: 200 }).topology });
    expect(recogniseArchitecture(stored('vgg16', { top: true }), { inputSize: 200 })).toMatchObject({ inputSize: 224, topology: describeArchitecture('vgg16', { top: true }).topology });
  });

  it('knows nothing of other networks', () => {
    const conv = (name: string, from: number, to: number): WeightedLayer => ({ name, weights: [{ name: 'kernel:0', shape: [3, 3, from, to] }, { name: 'bias:0', shape: [to] }] });
    expect(recogniseArchitecture([])).toBeUndefined();
    expect(recogniseArchitecture([{ name: 'input_1', weights: [] }])).toBeUndefined();
    expect(recogniseArchitecture([conv('conv2d', 3, 32), conv('conv2d_1', 32, 64), { name: 'dense', weights: [{ name: 'kernel:0', shape: [64, 10] }, { name: 'bias:0', shape: [10] }] }])).toBeUndefined();
    expect(recogniseArchitecture(Array.from({ length: 94 }, (_, i) => conv(`conv2d_${i}`, 8, 8)))).toBeUndefined();
  });

  it('says where weights differ from those of a network that they resemble', () => {
    const v2 = stored('mobilenet_v2', { top: true });
    const kernel = (shape: readonly number[]): WeightedLayer['weights'] => [{ name: 'kernel:0', shape }];
    const wrong: readonly (readonly [WeightedLayer[], RegExp])[] = [
      [replaced(v2, 'block_3_expand', kernel([1, 1, 24, 100])), /^its layers are those of MobileNetV2 of Keras, but the weights of its layer "block_3_expand" are of the shapes \[1,1,24,100\] and not \[1,1,24,144\]\. Known are its widths 0\.35, .*1\.4\. Save the whole model in Keras/],
      [stored('mobilenet_v2', { alpha: 0.6 }), /MobileNetV2.*the weights of its layer ".*" are of the shapes/],
      [v2.filter(({ name }) => name !== 'block_9_project_BN'), /MobileNetV2 of Keras, but it has no weights for the layer "block_9_project_BN"\./],
      [[...v2.slice(0, -1), { name: 'dense', weights: kernel([1280, 128]) }, { name: 'dense_1', weights: kernel([128, 5]) }], /MobileNetV2 of Keras, but it has weights for one more, "dense"\./],
      [replaced(stored('inception_v3'), 'conv2d_50', kernel([3, 3, 1, 1])), /InceptionV3 of Keras, but the weights of its layer "conv2d_50"/],
      [replaced(stored('vgg16'), 'block5_conv3', kernel([3, 3, 512, 512])), /VGG16 of Keras, but the weights of its layer "block5_conv3" are of the shapes \[3,3,512,512\] and not \[3,3,512,512\] \[512\]\. Save/],
    ];
    for (const [layers, words] of wrong) {
      expect(() => recogniseArchitecture(layers)).toThrow(words);
      expect(() => recogniseArchitecture(layers)).toThrow(ArchitectureMismatch);
    }
  });
});
