import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFile, readdir, truncate } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { basename, dirname, join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { findDownloaded } from '../../../functions/models/download.js';
import { loadModel } from '../../../functions/models/load-model.js';
import { asKeras, kerasArchive, kerasH5, kerasWeights, tinyH5, tinyKeras, type H5Layer } from '../support/keras-files.js';
import { digests, outcomeOf, readModel, setUpDownloads, untilHeld, type Downloads } from '../support/model-downloads.js';
import { etagOf, inTurn, sendFile, type ModelServer } from '../support/model-server.js';
import { tinyClassifier } from '../support/tiny-model.js';

/** A Keras model of 400 kB, and the same retrained. */
let large: Buffer;
let other: Buffer;
let archive: Buffer;
let downloads: Downloads;
let server: ModelServer;

beforeAll(async () => {
  const { topology, layers } = asKeras(tinyClassifier());
  const more = (value: number): H5Layer => ({ name: 'pooled', weights: [{ name: 'pooled/more:0', shape: [100_000], values: new Float32Array(100_000).fill(value) }] });
  const model = (value: number): Promise<Buffer> => kerasH5(topology, layers.map((layer) => (layer.name === 'pooled' ? more(value) : layer)));
  [large, other] = [await model(1), await model(2)];
  archive = kerasArchive(topology, await kerasWeights({ 'layers/conv2d': { variables: layers[1]!.weights }, 'layers/more': { variables: more(1).weights } }));
});

beforeEach(async () => {
  downloads = await setUpDownloads({ '/m/model-finetuned.h5': large, '/m/model.keras': archive });
  ({ server } = downloads);
});

const url = (name = 'model-finetuned.h5'): string => `${server.base}/m/${name}`;
const download = (options: Parameters<Downloads['download']>[0] = {}): Promise<string> => downloads.download({ url: url(), ...options });
const whole = (bytes = large, headers: Record<string, string> = {}): RequestListener => (request, response) => sendFile(request, response, { bytes, headers });
const cut = (cutAfter: number, bytes = large): RequestListener => (request, response) => sendFile(request, response, { bytes, cutAfter, beforeCut: (position) => untilHeld(downloads.folder, position) });
/** Without saying how much there is. */
const unannounced = (bytes: Buffer): RequestListener => (_request, response) => void response.writeHead(200).end(bytes);
const sha256Of = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const asked = (): (string | undefined)[] => server.asked.map(({ range }) => range);
const left = async (): Promise<string[]> => (await readdir(downloads.folder)).filter((name) => !name.endsWith('.lock'));

describe('the download of a Keras file', () => {
  it('is one file, named by what it is, and asked for once', async () => {
    const main = await download();
    expect(basename(main)).toBe('model.h5');
    expect(await readModel(main)).toEqual(digests({ 'model.h5': large }));
    expect(await download()).toBe(main);
    expect(server.paths()).toEqual(['/m/model-finetuned.h5']);
    expect(await readModel(await download({ url: url('model.keras') }))).toEqual(digests({ 'model.keras': archive }));
  });

  it('goes by the content, whatever the address ends in', async () => {
    Object.assign(server.files, { '/m/model.json': large, '/m/x.h5': archive });
    expect(basename(await download({ url: `${server.base}/m` }))).toBe('model.h5');
    expect(basename(await download({ url: url('x.h5') }))).toBe('model.keras');
  });

  it('can be loaded, from its host and then from the disk', async () => {
    const bytes = await tinyH5();
    Object.assign(server.files, { '/m/tiny.h5': bytes, '/m/tiny.keras': await tinyKeras() });
    const load = (name: string, sha256?: string): ReturnType<typeof loadModel> => loadModel({ name: 'tiny', modelUrl: url(name), sha256, layer: undefined, inputSize: undefined, preprocess: '[-1,1]' }, { dataDir: downloads.folder });
    const model = await load('tiny.h5', sha256Of(bytes));
    expect(model).toMatchObject({ format: 'Keras .h5', layer: 'pooled' });
    expect((await load('tiny.keras')).version).toBe(model.version);
    server.close();
    expect((await load('tiny.h5', sha256Of(bytes))).version).toBe(model.version);
  });

  it('tells how far it is', async () => {
    const said: [string, number, number | undefined][] = [];
    await download({ onProgress: ({ file, receivedBytes, totalBytes }) => said.push([file, receivedBytes, totalBytes]) });
    expect(said.at(-1)).toEqual(['model-finetuned.h5', large.length, large.length]);
  });

  it('is found without asking the network, with its size', async () => {
    const options = { url: url(), sha256: undefined, folder: downloads.folder };
    expect(await findDownloaded(options)).toBeUndefined();
    const main = await download();
    expect(await findDownloaded(options)).toEqual({ path: main, bytes: large.length, isDamaged: false });
    await truncate(main, 1_000);
    expect(await findDownloaded(options)).toMatchObject({ isDamaged: true });
    expect(await readModel(await download())).toEqual(digests({ 'model.h5': large }));
  });

  it('of an archive that was cut since is repeated', async () => {
    const main = await download({ url: url('model.keras') });
    await truncate(main, archive.length - 10);
    expect(await readModel(await download({ url: url('model.keras') }))).toEqual(digests({ 'model.keras': archive }));
  });
});

describe('the download of a Keras file that breaks off', () => {
  it('goes on where it stopped, within a call and in the next one', async () => {
    server.files['/m/model-finetuned.h5'] = inTurn(cut(100_000), cut(150_000), whole());
    expect(await readModel(await download())).toEqual(digests({ 'model.h5': large }));
    expect(asked()).toEqual([undefined, 'bytes=100000-', 'bytes=250000-']);
    server.asked.length = 0;
    server.files['/m/model-finetuned.h5'] = inTurn(cut(100_000), (_request, response) => void response.writeHead(404).end(), whole());
    await expect(download({ url: `${url()}?again` })).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD' });
    expect(await readModel(await download({ url: `${url()}?again` }))).toEqual(digests({ 'model.h5': large }));
    expect(asked()).toEqual([undefined, 'bytes=100000-', 'bytes=100000-']);
  });

  it('begins anew when the file changed meanwhile: never a mixture of two', async () => {
    server.files['/m/model-finetuned.h5'] = inTurn(cut(100_000), whole(other));
    expect(await readModel(await download())).toEqual(digests({ 'model.h5': other }));
  });

  it('goes on after a process was killed', async () => {
    server.files['/m/model-finetuned.h5'] = (request, response) => {
      response.writeHead(200, { etag: etagOf(large), 'content-length': large.length });
      response.write(large.subarray(0, 200_000));
    };
    const child = downloads.startProcess({ url: url() });
    await untilHeld(downloads.folder, 200_000);
    child.kill('SIGKILL');
    await once(child, 'exit');
    server.asked.length = 0;
    server.files['/m/model-finetuned.h5'] = whole();
    expect((await outcomeOf(downloads.startProcess({ url: url() }))).path).toMatch(/model\.h5$/);
    expect(asked()).toEqual(['bytes=200000-']);
  });
});

describe('the download of what is not the file', () => {
  it('that was meant, by its sha256, is kept out', async () => {
    await expect(download({ sha256: 'a'.repeat(64) })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining(sha256Of(large)) as string });
    expect(await left()).toEqual([]);
    expect(await readModel(await download({ sha256: sha256Of(large) }))).toEqual(digests({ 'model.h5': large }));
  });

  it('that is too large is given up, announced or not', async () => {
    const tooLarge = { code: 'EIS_MODEL_DOWNLOAD', message: expect.stringContaining('larger than what is downloaded') as string };
    await expect(download({ bytesMax: 100_000 })).rejects.toMatchObject(tooLarge);
    server.files['/m/model-finetuned.h5'] = unannounced(large);
    await expect(download({ bytesMax: 100_000 })).rejects.toMatchObject(tooLarge);
    expect(await left()).toEqual([]);
  });

  it('of more than 100 MB is given up as soon as it shows that it is no file of Keras', async () => {
    server.files['/m/model-finetuned.h5'] = (_request, response) => void response.writeHead(200, { 'content-length': 150 * 1024 ** 2 }).write(Buffer.alloc(8_192, ' '));
    await expect(download()).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD', message: expect.stringContaining('at most 104857600 are downloaded') as string });
  });

  it.each<[string, () => Buffer, string]>([
    ['is cut short although its host says nothing of it', () => large.subarray(0, 300_000), 'cut short'],
    ['is an archive cut short', () => archive.subarray(0, 300_000), 'cut short'],
    ['is a page that says so', () => Buffer.from('<!doctype html><title>Sign in</title>'), 'no file of Keras'],
    ['is empty', () => Buffer.alloc(0), 'no file of Keras'],
  ])('but %s is refused', async (_what, bytes, words) => {
    server.files['/m/model-finetuned.h5'] = unannounced(bytes());
    await expect(download()).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining(words) as string });
    expect(await left()).toEqual([]);
  });

  it('takes the place of another of its kind at once and as a whole', async () => {
    const main = await download();
    await truncate(main, 5_000);
    server.files['/m/model-finetuned.h5'] = archive;
    const next = await download();
    expect(await readFile(next)).toEqual(archive);
    expect(await readdir(dirname(next))).toEqual(['model.keras']);
    expect(await readdir(join(downloads.folder))).toHaveLength(1);
  });
});
