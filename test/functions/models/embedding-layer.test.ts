import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { packagePath } from '../../../common/package-root.js';
import { cutAt, poolFeatureMap } from '../../../functions/models/cut.js';
import { chooseEmbeddingLayer } from '../../../functions/models/embedding-layer.js';
import type { LayerJson } from '../../../functions/models/model.js';
import { layersOf, listLayers, parseTopology } from '../../../functions/models/topology.js';
import { missingTestData, testDataPath } from '../../support/test-data.js';
import { conv, dense, functional, input, layer, sequential, type ModelJson } from '../support/tiny-model.js';

const choose = (model: LayerJson, wanted?: string): string => chooseEmbeddingLayer(model, { layer: wanted, file: 'model.json' }).join('/');
const withoutName = (json: LayerJson): LayerJson => ({ class_name: json.class_name, config: json.config });

function topologyOf(path: string): LayerJson {
  return parseTopology((JSON.parse(readFileSync(path, 'utf8')) as ModelJson).modelTopology)!;
}

const BASE = [input(), conv('conv', 'image')];
const POOLED = [...BASE, layer('GlobalAveragePooling2D', 'pooled', {}, 'conv')];

describe('chooseEmbeddingLayer()', () => {
  it('takes the pooled layer under a classifier, hidden Dense layers and dropout aside', () => {
    expect(choose(functional('m', [...POOLED, dense('classes', 3, 'softmax', 'pooled')]))).toBe('pooled');
    expect(choose(functional('m', [...POOLED, dense('hidden', 8, 'relu', 'pooled'), layer('Dropout', 'drop', { rate: 0.5 }, 'hidden'), dense('classes', 1, 'sigmoid', 'drop')]))).toBe('pooled');
    expect(choose(functional('m', [...POOLED, dense('logits', 3, 'linear', 'pooled'), layer('Activation', 'softmax', { activation: 'softmax' }, 'logits')]))).toBe('pooled');
  });

  it('takes the Flatten after an average pooling', () => {
    const layers = [...BASE, layer('AveragePooling2D', 'average', { pool_size: [2, 2] }, 'conv'), layer('Flatten', 'flat', {}, 'average'), dense('classes', 3, 'softmax', 'flat')];
    expect(choose(functional('m', layers))).toBe('flat');
  });

  it('takes the pooled layer under a classifier that is a convolution (MobileNetV1)', () => {
    const layers = [...POOLED, layer('Reshape', 'reshape', { target_shape: [1, 1, 4] }, 'pooled'), layer('Conv2D', 'preds', { filters: 3, kernel_size: [1, 1], activation: 'linear' }, 'reshape'), layer('Activation', 'act', { activation: 'softmax' }, 'preds'), layer('Reshape', 'out', { target_shape: [3] }, 'act')];
    expect(choose(functional('m', layers))).toBe('pooled');
  });

  it('takes the last hidden Dense where nothing is averaged (VGG)', () => {
    const layers = [...BASE, layer('MaxPooling2D', 'max', {}, 'conv'), layer('Flatten', 'flat', {}, 'max'), dense('fc1', 8, 'relu', 'flat'), dense('fc2', 8, 'relu', 'fc1'), dense('predictions', 3, 'softmax', 'fc2')];
    expect(choose(functional('m', layers))).toBe('fc2');
    expect(choose(functional('m', [...layers.slice(0, 4), dense('predictions', 3, 'softmax', 'flat')]))).toBe('flat');
  });

  it('takes the output of a model that classifies nothing', () => {
    expect(choose(functional('m', [...POOLED, dense('embedding', 8, 'linear', 'pooled')]))).toBe('embedding');
    expect(choose(functional('m', BASE))).toBe('conv');
  });

  it('looks into nested models', () => {
    const features = sequential('features', [functional('base', BASE), withoutName(layer('GlobalAveragePooling2D', 'pool'))]);
    expect(choose(sequential('whole', [features, sequential('head', [dense('hidden', 8, 'relu'), dense('classes', 3, 'softmax')])]))).toBe('features/pool');
  });

  it('takes the output that feeds no other, of a model that hands out inner layers too', () => {
    expect(choose(functional('m', [...POOLED, dense('classes', 3, 'softmax', 'pooled')], ['conv', 'pooled', 'classes']))).toBe('pooled');
  });

  it('asks for a layer when there are several outputs', () => {
    const model = functional('m', [...POOLED, dense('a', 3, 'softmax', 'pooled'), dense('b', 3, 'softmax', 'pooled')], ['a', 'b']);
    expect(() => choose(model)).toThrow(expect.objectContaining({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('2 outputs') as string }));
    expect(choose(model, 'conv')).toBe('conv');
  });

  it('names the nearest layer, and those there are, when the one asked for is not', () => {
    expect(() => choose(functional('m', [...POOLED, dense('classes', 3, 'softmax', 'pooled')]), 'poled')).toThrow(/no layer "poled"\. Did you mean "pooled"\?.*conv, pooled, classes/);
  });

  it('wants the path of a name that stands in two nested models', () => {
    const twice = sequential('m', [sequential('a', [withoutName(conv('same'))]), sequential('b', [withoutName(conv('same'))])]);
    expect(() => choose(twice, 'same')).toThrow(/2 times: a\/same, b\/same/);
    expect(choose(twice, 'b/same')).toBe('b/same');
  });

  it('finds the embedding of builtin in its own output', () => {
    expect(choose(topologyOf(packagePath('models/builtin/model.json')))).toBe('embedding');
  });

  it.skipIf(missingTestData('models'))(`finds the pooled features of real models ${missingTestData('models') ?? ''}`, () => {
    expect(choose(topologyOf(testDataPath('models/teachable-machine/model.json')))).toBe('sequential_17/global_average_pooling2d_GlobalAveragePooling2D5');
    expect(choose(topologyOf(testDataPath('models/mobilenet-v2-quantized/model.json')))).toBe('flatten_1');
    expect(choose(topologyOf(testDataPath('models/topologies/resnet50-layers-model.json')))).toBe('flatten_1');
    expect(choose(topologyOf(testDataPath('models/topologies/mobilenet-v2-layers-model.json')))).toBe('global_average_pooling2d');
  });
});

describe('cutAt()', () => {
  const names = (model: LayerJson): string[] => listLayers(model).map(({ path }) => path.join('/'));

  it('keeps only what the layer is computed from', () => {
    const model = functional('m', [...POOLED, dense('side', 2, 'relu', 'image'), dense('classes', 3, 'softmax', 'pooled')]);
    const cut = cutAt(model, ['pooled'], 'model.json');
    expect(names(cut)).toEqual(['image', 'conv', 'pooled']);
    expect(cut.config['output_layers']).toEqual([['pooled', 0, 0]]);
  });

  it('cuts nested models where they are', () => {
    const model = sequential('m', [sequential('a', [withoutName(conv('one')), withoutName(conv('two'))]), sequential('b', [dense('classes', 2, 'softmax')])]);
    expect(names(cutAt(model, ['a', 'one'], 'model.json'))).toEqual(['a', 'a/one']);
  });

  it('refuses a layer that is applied twice', () => {
    const shared: LayerJson = { ...conv('shared', 'image'), inbound_nodes: [[['image', 0, 0, {}]], [['conv', 0, 0, {}]]] };
    expect(() => cutAt(functional('m', [...BASE, shared]), ['shared'], 'model.json')).toThrow(/more than once/);
  });
});

describe('poolFeatureMap()', () => {
  it('averages an output that has rows and columns, and leaves a vector alone', () => {
    expect(layersOf(poolFeatureMap(functional('m', BASE))).at(-1)!.class_name).toBe('GlobalAveragePooling2D');
    const vector = functional('m', POOLED);
    expect(poolFeatureMap(vector)).toBe(vector);
    const joined = functional('m', [...POOLED, layer('GlobalMaxPooling2D', 'max', {}, 'conv'), layer('Concatenate', 'both', {}, ['pooled', 'max'])]);
    expect(poolFeatureMap(joined)).toBe(joined);
  });
});
