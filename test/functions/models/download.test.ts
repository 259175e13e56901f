import { createHash } from 'node:crypto';
import { mkdir, open, readFile, readdir, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { findDownloaded, type DownloadProgress } from '../../../functions/models/download.js';
import { digests, readModel, setUpDownloads, type Downloads } from '../support/model-downloads.js';
import { MODEL, inTurn, modelJson, sendFile, tinyFiles, type ModelServer } from '../support/model-server.js';

const FILES = tinyFiles();
const MAIN = FILES['/m/model.json']!;
const IN_PLACE = digests({ 'model.json': MAIN, 'more/shard2.bin': FILES['/m/more/shard2.bin']!, 'shard1.bin': FILES['/m/shard1.bin']! });

let downloads: Downloads;
let server: ModelServer;
beforeEach(async () => {
  downloads = await setUpDownloads(FILES);
  ({ server } = downloads);
});

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('downloadModel()', () => {
  it('brings the model with its weights, once', async () => {
    const path = await downloads.download();
    expect(await readModel(path)).toEqual(IN_PLACE);
    expect(await downloads.download()).toBe(path);
    expect(server.paths()).toEqual(['/m/model.json', '/m/shard1.bin', '/m/more/shard2.bin']);
    expect(await readdir(downloads.folder)).toHaveLength(1);
  });

  it('takes the URL of a folder, keeps a query, follows redirects', async () => {
    expect(dirname(await downloads.download({ url: `${server.base}/m/` }))).toContain(downloads.folder);
    await downloads.download({ url: `${server.base}/m/model.json?token=1` });
    expect(server.paths()).toContain('/m/more/shard2.bin?token=1');
    server.files['/moved/model.json'] = (_request, response) => response.writeHead(302, { location: '/m/model.json' }).end();
    server.files['/moved/shard1.bin'] = FILES['/m/shard1.bin']!;
    server.files['/moved/more/shard2.bin'] = FILES['/m/more/shard2.bin']!;
    expect(await readFile(await downloads.download({ url: `${server.base}/moved` }))).toEqual(MAIN);
  });

  it('sends the user name and password of the URL to its origin, asks for bytes as they are, and names neither in errors', async () => {
    const headers: unknown[] = [];
    server.files['/m/model.json'] = (request, response) => {
      headers.push(request.headers.authorization, request.headers['accept-encoding']);
      response.writeHead(404).end();
    };
    const url = `http://me:p%40ss@127.0.0.1:${server.port}/m/model.json?signature=secret`;
    const error = (await downloads.download({ url }).catch((thrown: unknown) => thrown)) as Error;
    expect(headers).toEqual([`Basic ${Buffer.from('me:p@ss').toString('base64')}`, 'identity']);
    expect(error.message).toContain(`${server.base}/m/model.json`);
    expect(error.message).not.toMatch(/p%40ss|p@ss|secret/);
  });

  it('holds the main file to its sha256: another is refused, with both, and nothing of it stays', async () => {
    const actual = sha256(MAIN);
    const error = { code: 'EIS_MODEL_FILE', message: expect.stringMatching(`${actual}.*${'b'.repeat(64)}`) as string };
    await expect(downloads.download({ sha256: 'b'.repeat(64) })).rejects.toMatchObject(error);
    expect(server.paths()).toEqual(['/m/model.json']);
    expect(await readdir(downloads.folder)).toEqual([]);
    expect(await readModel(await downloads.download({ sha256: actual }))).toEqual(IN_PLACE);
  });

  it('refuses weights that are not what the manifest announces, before they are in place, and keeps nothing of them', async () => {
    for (const shard of [Buffer.alloc(299), Buffer.alloc(301)]) {
      server.files['/m/shard1.bin'] = shard;
      await expect(downloads.download()).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringMatching(/\b50[79] bytes where model.json announces 508/) as string });
      expect(await readdir(downloads.folder)).toEqual([]);
    }
    server.files['/m/shard1.bin'] = (_request, response) => void response.writeHead(200).end(Buffer.alloc(509));
    await expect(downloads.download()).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
    server.files['/m/shard1.bin'] = FILES['/m/shard1.bin']!;
    expect(await readModel(await downloads.download())).toEqual(IN_PLACE);
  });

  it("holds files to Google's md5, where they are sent as they are stored", async () => {
    const md5 = createHash('md5').update(FILES['/m/shard1.bin']!).digest('base64');
    const wrong = `md5=${'A'.repeat(22)}==`;
    const sendShard = (headers: Record<string, string>): void => {
      server.files['/m/shard1.bin'] = (request, response) => sendFile(request, response, { bytes: FILES['/m/shard1.bin']!, headers });
    };
    sendShard({ 'x-goog-hash': `crc32c=AAAAAA==,${wrong}` });
    await expect(downloads.download()).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD', message: expect.stringContaining('md5') as string });
    expect(server.paths().filter((path) => path === '/m/shard1.bin')).toHaveLength(2);
    sendShard({ 'x-goog-hash': `crc32c=AAAAAA==,md5=${md5}` });
    await downloads.download();
    sendShard({ 'x-goog-hash': wrong, 'x-goog-stored-content-encoding': 'gzip' });
    expect(await readModel(await downloads.download({ url: `${server.base}/m/model.json?again` }))).toEqual(IN_PLACE);
  });

  it('asks again for a file that arrived damaged once', async () => {
    const headers = { 'x-goog-hash': `md5=${createHash('md5').update(FILES['/m/shard1.bin']!).digest('base64')}` };
    server.files['/m/shard1.bin'] = inTurn(
      (request, response) => sendFile(request, response, { bytes: Buffer.alloc(300), headers }),
      (request, response) => sendFile(request, response, { bytes: FILES['/m/shard1.bin']!, headers }),
    );
    expect(await readModel(await downloads.download())).toEqual(IN_PLACE);
    expect(server.asked.every(({ range }) => range === undefined)).toBe(true);
  });

  it('is bounded in bytes, announced or not', async () => {
    const tooLarge = { code: 'EIS_MODEL_DOWNLOAD', message: expect.stringContaining('larger') as string };
    await expect(downloads.download({ bytesMax: MAIN.length + 100 })).rejects.toMatchObject(tooLarge);
    await expect(downloads.download({ bytesMax: 100 })).rejects.toMatchObject(tooLarge);
    server.files['/m/model.json'] = (_request, response) => void response.writeHead(200).write(Buffer.alloc(200));
    await expect(downloads.download({ bytesMax: 100 })).rejects.toMatchObject(tooLarge);
    expect(await readdir(downloads.folder)).toEqual([]);
    expect(server.paths()).not.toContain('/m/shard1.bin');
  });

  it('refuses what the disk has no room for, before it asks for it', async () => {
    server.files['/m/model.json'] = modelJson({ ...MODEL, weightsManifest: [{ paths: ['huge.bin'], weights: [{ name: 'huge', shape: [1e6, 1e8], dtype: 'float32' }] }] });
    await expect(downloads.download({ bytesMax: Number.MAX_SAFE_INTEGER })).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD', message: expect.stringMatching(/needs 3814697\d\d MB more.*EIS_DATA_DIR/) as string });
    expect(server.paths()).toEqual(['/m/model.json']);
  });

  it('refuses weights outside the folder of the model, before it asks for them', async () => {
    server.files['/m/model.json'] = modelJson({ ...MODEL, weightsManifest: [{ paths: ['../../escaped.bin'], weights: [] }] });
    await expect(downloads.download()).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
    expect(server.paths()).toEqual(['/m/model.json']);
    expect(await readdir(downloads.folder)).toEqual([]);
  });

  it('says how far it is, and at the end that it is there', async () => {
    const said: DownloadProgress[] = [];
    await downloads.download({ onProgress: (progress) => said.push(progress) });
    const totalBytes = MAIN.length + 508;
    expect(said[0]).toEqual({ file: 'model.json', receivedBytes: 0, totalBytes: undefined });
    expect(said.at(-1)).toEqual({ file: 'more/shard2.bin', receivedBytes: totalBytes, totalBytes });
    expect(said.length).toBeLessThan(10);
  });

  it('brings a model again whose files are no longer what was downloaded, and leaves whoever reads the old ones alone', async () => {
    const path = await downloads.download({ sha256: sha256(MAIN) });
    const shard = join(dirname(path), 'shard1.bin');
    for (const damage of [
      () => truncate(shard, 299),
      () => rm(shard),
      () => rename(shard, `${shard}.away`),
      () => truncate(path, 20),
      () => writeFile(path, '[]'),
      () => rm(path),
      () => writeFile(path, `${MAIN.toString()} `),
    ]) {
      await damage();
      server.asked.length = 0;
      expect(await findDownloaded({ ...downloads.options, sha256: sha256(MAIN) }), String(damage)).toMatchObject({ path, isDamaged: true });
      const reader = await open(join(dirname(path), 'more', 'shard2.bin'));
      expect(await Promise.all([downloads.download({ sha256: sha256(MAIN) }), downloads.download({ sha256: sha256(MAIN) })])).toEqual([path, path]);
      expect(await readModel(path), String(damage)).toEqual(IN_PLACE);
      expect(server.paths()).toEqual(['/m/model.json', '/m/shard1.bin', '/m/more/shard2.bin']);
      expect(await reader.readFile()).toEqual(FILES['/m/more/shard2.bin']);
      await reader.close();
      expect(await readdir(downloads.folder)).toHaveLength(1);
    }
  });

  it('leaves a damaged model where it is as long as there is no better one', async () => {
    const path = await downloads.download();
    await truncate(join(dirname(path), 'shard1.bin'), 10);
    server.files['/m/shard1.bin'] = (_request, response) => response.writeHead(404).end();
    await expect(downloads.download()).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD' });
    expect(await findDownloaded(downloads.options)).toMatchObject({ path, isDamaged: true });
  });

  it('refuses a model that names no weights, before it is in place', async () => {
    for (const weightsManifest of [[], [{ paths: [], weights: [] }]]) {
      server.files['/m/model.json'] = modelJson({ ...MODEL, weightsManifest });
      await expect(downloads.download()).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('names no weights') as string });
      expect(await readdir(downloads.folder)).toEqual([]);
    }
  });

  it('refuses weights that no folder can hold, before it asks for them', async () => {
    for (const [paths, said] of [
      [['a', 'a/b'], '"a/b", and "a" is a file of it too'],
      [['a/b/c', 'a/b'], '"a/b/c", and "a/b" is a file'],
      [['model.json/a'], '"model.json" is a file of it too'],
      [[`${'é'.repeat(128)}.bin`], 'name has 260 bytes'],
      [[`${'x'.repeat(256)}/a`], 'name has 256 bytes'],
    ] as const) {
      server.asked.length = 0;
      server.files['/m/model.json'] = modelJson({ ...MODEL, weightsManifest: [{ paths, weights: [] }] });
      await expect(downloads.download()).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining(said) as string });
      expect(server.paths()).toEqual(['/m/model.json']);
      expect(await readdir(downloads.folder)).toEqual([]);
    }
    const longest = 'x'.repeat(255);
    server.files['/m/model.json'] = modelJson({ ...MODEL, weightsManifest: [{ ...MODEL.weightsManifest[0]!, paths: [longest, `ab/${longest}`, 'ab.bin'] }] });
    Object.assign(server.files, { [`/m/${longest}`]: Buffer.alloc(300), [`/m/ab/${longest}`]: Buffer.alloc(200), '/m/ab.bin': Buffer.alloc(8) });
    expect(Object.keys(await readModel(await downloads.download()))).toHaveLength(4);
  });

  it('stops when its caller does, for the reason given, and goes on the next time', async () => {
    const controller = new AbortController();
    server.files['/m/more/shard2.bin'] = inTurn(() => controller.abort(new Error('gone')), (request, response) => sendFile(request, response, { bytes: FILES['/m/more/shard2.bin']! }));
    await expect(downloads.download({ signal: controller.signal })).rejects.toThrow('gone');
    await expect(downloads.download({ signal: controller.signal })).rejects.toThrow('gone');
    expect(await readModel(await downloads.download())).toEqual(IN_PLACE);
    expect(server.paths().filter((path) => path === '/m/shard1.bin')).toHaveLength(1);
  });

  it('removes what downloads of long ago left unfinished, and nothing else', async () => {
    const hours = 3_600_000;
    const key = (digit: string): string => digit.repeat(32);
    const old = [`${key('1')}.part`, `${key('2')}.0b9c8d7e-1111-4222-8333-444455556666.part`];
    const kept = [`${key('3')}.part`, `${key('4')}.0b9c8d7e-1111-4222-8333-444455556666.part`, key('5'), 'mine.part'];
    for (const name of [...old, ...kept]) {
      await mkdir(join(downloads.folder, name));
      await writeFile(join(downloads.folder, name, 'model.json'), '{}');
    }
    const set = (name: string, ageMs: number): Promise<void> => utimes(join(downloads.folder, name), new Date(), new Date(Date.now() - ageMs));
    await set(old[0]!, 8 * 24 * hours);
    await set(old[1]!, hours);
    await set(kept[0]!, 6 * 24 * hours);
    for (const name of kept.slice(2)) await set(name, 100 * 24 * hours);
    const path = await downloads.download();
    expect((await readdir(downloads.folder)).sort()).toEqual([...kept, dirname(path).split('/').at(-1)!].sort());
  });
});

describe('findDownloaded()', () => {
  it('says what is there, without asking anybody', async () => {
    expect(await findDownloaded(downloads.options)).toBeUndefined();
    const path = await downloads.download();
    server.asked.length = 0;
    expect(await findDownloaded(downloads.options)).toEqual({ path, bytes: MAIN.length + 508, isDamaged: false });
    expect(await findDownloaded({ ...downloads.options, sha256: sha256(MAIN) })).toBeUndefined();
    expect(server.asked).toEqual([]);
    expect((await stat(path)).size).toBe(MAIN.length);
  });

  it('does not take an unfinished model for one', async () => {
    delete server.files['/m/more/shard2.bin'];
    await expect(downloads.download()).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD' });
    expect(await findDownloaded(downloads.options)).toBeUndefined();
  });
});
