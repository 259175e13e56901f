import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MODEL_NAME_PATTERN, PREPROCESSING } from '../../../common/config-schema.js';
import { chooseEngine } from '../../../functions/engines/choose-engine.js';
import { findModel } from '../../../functions/models/obtain-model.js';
import { KNOWN_MODELS, KNOWN_NAMES } from '../../../functions/models/known-models.js';
import { loadModel } from '../../../functions/models/load-model.js';
import { ARCHITECTURES, architectureNames, type ArchitectureName } from '../../../functions/models/architectures/architectures.js';
import type { LoadedModel } from '../../../functions/models/model.js';
import { everyTenth } from '../../../functions/models/progress.js';
import { resolveModel, type ModelRequest } from '../../../functions/models/registry.js';
import { startFileServer } from '../../support/file-server.js';
import { tempFolder } from '../../support/temp-folder.js';
import { PUBLISHED_SIZES } from './architectures/published-sizes.js';
import { dense, float, functional, input, layer, seededWeights, writeModel, type ModelJson } from '../support/tiny-model.js';

const request = (changes: Partial<ModelRequest> & { readonly name: string }): ModelRequest => ({ modelUrl: undefined, sha256: undefined, layer: undefined, inputSize: undefined, preprocess: undefined, ...changes });
const says = (...parts: string[]): object => ({ code: 'EIS_MODEL_FILE', message: expect.toSatisfy((message: string) => parts.every((part) => message.includes(part)), `a message with ${parts.join(' and ')}`) as string });

/** size×size×3 → averaged (3) → `dim` numbers, which are the embedding: there is no classifier. */
function network(size: number | null, dim: number): ModelJson {
  return {
    format: 'layers-model',
    modelTopology: functional('stand-in', [input(size), layer('GlobalAveragePooling2D', 'averaged', {}, 'image'), dense('features', dim, 'linear', 'averaged')]),
    weightsManifest: [{ paths: ['weights.bin'], weights: [float('features/kernel', [3, dim]), float('features/bias', [dim])] }],
  };
}

async function mirrorWith(name: string, model: ModelJson): Promise<string> {
  const mirror = tempFolder();
  await writeModel(join(mirror, name), model);
  return mirror;
}

async function dimOf(model: LoadedModel): Promise<number> {
  const { engine } = await chooseEngine(model, 'tfjs-wasm', { threads: 1, cacheDir: undefined });
  onTestFinished(() => engine.dispose());
  return engine.dim;
}

describe('KNOWN_MODELS', () => {
  it.each(KNOWN_NAMES)('%s: facts that config.json could state, and a public address or a file', (name) => {
    const known = KNOWN_MODELS[name]!;
    expect(name).toMatch(new RegExp(MODEL_NAME_PATTERN));
    expect(PREPROCESSING).toContain(known.preprocess ?? 'raw');
    expect(known.inputSize).toBeGreaterThanOrEqual(8);
    expect(known.inputSize).toBeLessThanOrEqual(2048);
    expect(known.dim).toBeGreaterThan(0);
    expect(known.licence).not.toBe('');
    const { source } = known;
    if (source.kind === 'package') expect(existsSync(source.path)).toBe(true);
    else expect(source.url).toMatch(/^https:\/\/storage\.googleapis\.com\/.*(\/model\.json|no_?top(_v2)?\.h5)$/);
  });

  it('has the models of Keras at the addresses that Keras fetches them from, with what its networks are', () => {
    const published: Readonly<Record<string, readonly [ArchitectureName, string]>> = {
      mobilenet_v3: ['mobilenet_v3_large', 'tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5'],
      mobilenet_v3_small: ['mobilenet_v3_small', 'tensorflow/keras-applications/mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5'],
      resnet: ['resnet50', 'tensorflow/keras-applications/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5'],
      resnet101_v2: ['resnet101_v2', 'tensorflow/keras-applications/resnet/resnet101v2_weights_tf_dim_ordering_tf_kernels_notop.h5'],
      vgg19: ['vgg19', 'tensorflow/keras-applications/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5'],
      efficientnet: ['efficientnet_b0', 'keras-applications/efficientnetb0_notop.h5'],
      efficientnet_b3: ['efficientnet_b3', 'keras-applications/efficientnetb3_notop.h5'],
      inception_v3: ['inception_v3', 'tensorflow/keras-applications/inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5'],
      xception: ['xception', 'tensorflow/keras-applications/xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5'],
      densenet201: ['densenet201', 'tensorflow/keras-applications/densenet/densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5'],
    };
    for (const [name, [architecture, path]] of Object.entries(published)) {
      const { inputSize, preprocess } = ARCHITECTURES[architecture];
      const [, parameters, dim] = PUBLISHED_SIZES[architecture];
      const known = KNOWN_MODELS[name]!;
      expect(known).toMatchObject({ inputSize, preprocess, dim, source: { kind: 'url', url: `https://storage.googleapis.com/${path}` } });
      const bytes = known.source.kind === 'url' ? known.source.bytes : 0;
      expect(bytes / (4 * parameters), `${name}: bytes of its file for those of its weights`).toBeGreaterThan(1);
      expect(bytes / (4 * parameters), `${name}: bytes of its file for those of its weights`).toBeLessThan(1.2);
    }
    const alike = KNOWN_NAMES.filter((name): name is ArchitectureName => (architectureNames as readonly string[]).includes(name));
    for (const name of alike) expect(KNOWN_MODELS[name]!.dim, name).toBe(PUBLISHED_SIZES[name][2]);
  });

  it('says of builtin what its file is', async () => {
    const model = await loadModel(request({ name: 'builtin' }), { dataDir: 'unused' });
    const { inputSize, preprocess, dim } = KNOWN_MODELS['builtin']!;
    expect(model).toMatchObject({ input: { height: inputSize, width: inputSize }, preprocess });
    expect(await dimOf(model)).toBe(dim);
  });

  it('knows two names for one model', () => {
    expect(KNOWN_MODELS['mobilenet_v2']).toBe(KNOWN_MODELS['mobilenet']);
    expect(KNOWN_MODELS['resnet50']).toBe(KNOWN_MODELS['resnet']);
  });
});

describe('resolveModel()', () => {
  it('takes a known name to its published address, with what is known about it', () => {
    expect(resolveModel(request({ name: 'mobilenet_v1' }))).toMatchObject({ from: 'url', location: 'https://storage.googleapis.com/tfjs-models/tfjs/mobilenet_v1_1.0_224/model.json', preprocess: '[-1,1]', expected: { inputSize: 224, dim: 1024 } });
    expect(resolveModel(request({ name: 'mobilenet' }))).toMatchObject({ preprocess: undefined, expected: { dim: 1280 } });
  });

  it('gives the words of the configuration precedence', () => {
    const own = request({ name: 'mobilenet_v1', preprocess: 'raw', layer: 'conv_pw_11', inputSize: 192 });
    expect(resolveModel(own)).toMatchObject({ preprocess: 'raw', layer: 'conv_pw_11', inputSize: 192, expected: { dim: undefined } });
  });

  it('supposes nothing about a file that the configuration names, whatever the model is called', () => {
    for (const modelUrl of ['/models/mine', 'https://example.com/model.json']) {
      expect(resolveModel(request({ name: 'resnet', modelUrl }), { mirror: '/mirror' })).toMatchObject({ location: modelUrl, preprocess: undefined, expected: undefined });
    }
  });

  it('suggests the known name that an unknown one was meant to be', () => {
    expect(messageOf(() => resolveModel(request({ name: 'mobilnet' })))).toContain('Did you mean "mobilenet"?');
    const nothingNear = messageOf(() => resolveModel(request({ name: 'constructor' })));
    expect(nothingNear).not.toContain('Did you mean');
    expect(nothingNear).toContain('"model_url"');
  });

  function messageOf(action: () => unknown): string {
    try {
      action();
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error('It was not refused.');
  }
});

describe('a mirror of the known models', () => {
  it('serves a name from its folder there, with what is known about it, whatever format the file in it has', async () => {
    const mirror = await mirrorWith('resnet', network(224, 2048));
    const model = await loadModel(request({ name: 'resnet' }), { dataDir: 'unused', mirror });
    expect(model).toMatchObject({ file: join(mirror, 'resnet', 'model.json'), preprocess: 'caffe', layer: 'features' });
    expect(await dimOf(model)).toBe(2048);
    expect(await findModel(resolveModel(request({ name: 'resnet' }), { mirror }), 'unused')).toMatchObject({ path: model.file, bytes: JSON.stringify(network(224, 2048)).length + seededWeights(network(224, 2048)).length });
  });

  it('may be a URL, and is asked once', async () => {
    const stand = network(224, 1280);
    const server = await startFileServer({ '/models/mobilenet/model.json': JSON.stringify(stand), '/models/mobilenet/weights.bin': seededWeights(stand) });
    onTestFinished(server.close);
    const options = { dataDir: tempFolder(), mirror: `${server.url}/models/` };
    const model = await loadModel(request({ name: 'mobilenet' }), options);
    expect(await dimOf(model)).toBe(1280);
    await loadModel(request({ name: 'mobilenet' }), options);
    expect(server.asked).toEqual(['/models/mobilenet/model.json', '/models/mobilenet/weights.bin']);
    await expect(loadModel(request({ name: 'mobilenet_v1' }), options)).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD', message: expect.stringMatching(/mobilenet_v1\/model\.json.*404.*EIS_MODEL_MIRROR/s) as string });
  });

  it('that is a URL has the models of Keras as model.h5', () => {
    const { location, absence } = resolveModel(request({ name: 'vgg16' }), { mirror: 'https://h/models?sig=1' });
    expect(location).toBe('https://h/models/vgg16/model.h5?sig=1');
    expect(absence).toBe('EIS_MODEL_MIRROR is https://h/models: its folder vgg16 should hold the .h5 file of Keras VGG16 as model.h5, which is published at https://storage.googleapis.com/tensorflow/keras-applications/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5.');
  });

  it('keeps its query behind the path, and shows neither that nor its login', async () => {
    for (const mirror of ['http://me:hidden@h/good?sig=hidden', 'http://me:hidden@h/good/?sig=hidden']) {
      const { location, absence } = resolveModel(request({ name: 'mobilenet' }), { mirror });
      expect(location).toBe('http://me:hidden@h/good/mobilenet/model.json?sig=hidden');
      expect(absence).toMatch(/EIS_MODEL_MIRROR is http:\/\/h\/good\/?:/);
      expect(absence).not.toContain('hidden');
    }
    expect(resolveModel(request({ name: 'mobilenet' }), { mirror: '/what?/models/' }).location).toBe('/what?/models/mobilenet');
  });

  it('says where it looked and what should lie there', async () => {
    const mirror = tempFolder();
    await expect(loadModel(request({ name: 'mobilenet' }), { dataDir: 'unused', mirror })).rejects.toMatchObject(says(join(mirror, 'mobilenet'), 'EIS_MODEL_MIRROR', 'https://storage.googleapis.com/tfjs-models/savedmodel/mobilenet_v2_1.0_224/'));
    await expect(loadModel(request({ name: 'resnet' }), { dataDir: 'unused', mirror })).rejects.toMatchObject(says(join(mirror, 'resnet'), 'its folder resnet should hold the .h5 file of Keras ResNet50, which is published at https://storage.googleapis.com/tensorflow/keras-applications/resnet/resnet50_weights'));
    expect(await findModel(resolveModel(request({ name: 'mobilenet' }), { mirror }), 'unused')).toBeUndefined();
  });

  it('does not have builtin, which stays in the package', async () => {
    expect((await loadModel(request({ name: 'builtin' }), { dataDir: 'unused', mirror: tempFolder() })).layer).toBe('embedding');
  });

  it('fills in the size that a file leaves open', async () => {
    const mirror = await mirrorWith('inception_v3', network(null, 2048));
    expect((await loadModel(request({ name: 'inception_v3' }), { dataDir: 'unused', mirror })).input).toEqual({ height: 299, width: 299, channels: 3 });
  });

  it('refuses a file of another size or of another number of numbers than its name says', async () => {
    const smaller = await mirrorWith('mobilenet', network(192, 1280));
    await expect(loadModel(request({ name: 'mobilenet' }), { dataDir: 'unused', mirror: smaller })).rejects.toMatchObject(says('it takes 192×192 pixels where mobilenet takes 224×224: it is not the model that was meant'));
    const mirror = await mirrorWith('mobilenet', network(224, 1001));
    const model = await loadModel(request({ name: 'mobilenet' }), { dataDir: 'unused', mirror });
    for (const engine of ['auto', 'tfjs-wasm'] as const) await expect(chooseEngine(model, engine, { threads: 1, cacheDir: undefined })).rejects.toMatchObject(says('it gives 1001 numbers where mobilenet gives 1280: it is not the model that was meant'));
  });

  it('leaves the number of numbers to the layer that the configuration chose', async () => {
    const mirror = await mirrorWith('mobilenet', network(224, 1001));
    // Raw, since the mean of an image between -1 and 1 can be nothing but rounding, which engines do not share.
    expect(await dimOf(await loadModel(request({ name: 'mobilenet', layer: 'averaged', preprocess: 'raw' }), { dataDir: 'unused', mirror }))).toBe(3);
  });

  it('says what is wrong with a damaged file, whatever its size', async () => {
    const mirror = tempFolder();
    await writeModel(join(mirror, 'mobilenet'), network(224, 1280), Buffer.alloc(10));
    await expect(loadModel(request({ name: 'mobilenet' }), { dataDir: 'unused', mirror })).rejects.toMatchObject(says('10 bytes'));
  });
});

describe('everyTenth()', () => {
  const feed = (intervalMs: number, totalBytes: number | undefined): number[] => {
    const reported: number[] = [];
    const listen = everyTenth(({ receivedBytes }) => reported.push(receivedBytes), intervalMs);
    for (let receivedBytes = 1; receivedBytes <= 100; receivedBytes++) listen({ file: 'weights.bin', receivedBytes, totalBytes });
    return reported;
  };

  it('passes on each tenth once', () => {
    expect(feed(0, 100)).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
  });

  it('passes on no more than one in the interval, but the last', () => {
    expect(feed(1e9, 100)).toEqual([100]);
    expect(feed(1e9, undefined)).toEqual([]);
  });
});
