import { createHash } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import { once } from 'node:events';
import { readFile, readdir } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { downloadModel, type DownloadOptions } from '../../../functions/models/download.js';
import { seededWeights, temporaryFolder, tinyClassifier } from '../support/tiny-model.js';

const MODEL = tinyClassifier();
const MODEL_JSON = JSON.stringify(MODEL);
const WEIGHTS = seededWeights(MODEL);

let server: Server;
let base: string;
let asked: string[];
let files: Record<string, Buffer | string | RequestListener>;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeEach(async () => {
  folder = await temporaryFolder();
  asked = [];
  files = { '/m/model.json': MODEL_JSON, '/m/shard1.bin': WEIGHTS.subarray(0, 300), '/m/more/shard2.bin': WEIGHTS.subarray(300) };
  server = createServer((request, response) => {
    asked.push(request.url!);
    const file = files[request.url!.split('?')[0]!];
    if (typeof file === 'function') file(request, response);
    else response.writeHead(file === undefined ? 404 : 200).end(file);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await folder.remove();
});

const download = (options: Partial<DownloadOptions> = {}): Promise<string> => downloadModel({ url: `${base}/m/model.json`, sha256: undefined, folder: folder.path, ...options });

describe('downloadModel()', () => {
  it('brings the model with its weights, once', async () => {
    const path = await download();
    expect(await readFile(path, 'utf8')).toBe(MODEL_JSON);
    expect(await readFile(join(dirname(path), 'more/shard2.bin'))).toEqual(WEIGHTS.subarray(300));
    expect(await download()).toBe(path);
    expect(asked).toEqual(['/m/model.json', '/m/shard1.bin', '/m/more/shard2.bin']);
  });

  it('takes the URL of a folder, keeps a query, follows redirects', async () => {
    expect(dirname(await download({ url: `${base}/m/` }))).toContain(folder.path);
    await download({ url: `${base}/m/model.json?token=1` });
    expect(asked).toContain('/m/more/shard2.bin?token=1');
    files['/moved/model.json'] = (_request, response) => response.writeHead(302, { location: '/m/model.json' }).end();
    files['/moved/shard1.bin'] = files['/m/shard1.bin']!;
    files['/moved/more/shard2.bin'] = files['/m/more/shard2.bin']!;
    expect(await readFile(await download({ url: `${base}/moved` }), 'utf8')).toBe(MODEL_JSON);
  });

  it('lets processes race for one model', async () => {
    const paths = await Promise.all(Array.from({ length: 5 }, () => download()));
    expect(new Set(paths).size).toBe(1);
    expect(await readdir(folder.path)).toHaveLength(1);
  });

  it('leaves nothing behind when a part is missing or breaks off', async () => {
    delete files['/m/more/shard2.bin'];
    await expect(download()).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD', message: expect.stringContaining('404') as string });
    files['/m/more/shard2.bin'] = (_request, response) => void response.writeHead(200, { 'content-length': 1000 }).write('x', () => response.destroy());
    await expect(download()).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD' });
    expect(await readdir(folder.path)).toEqual([]);
  });

  it('holds the main file to its sha256', async () => {
    await expect(download({ sha256: 'b'.repeat(64) })).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('sha256') as string });
    expect(asked).toEqual(['/m/model.json']);
    await expect(download({ sha256: createHash('sha256').update(MODEL_JSON).digest('hex') })).resolves.toContain(folder.path);
  });

  it('is bounded in bytes, announced or not, and in time', async () => {
    await expect(download({ bytesMax: MODEL_JSON.length + 100 })).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD', message: expect.stringContaining('larger') as string });
    await expect(download({ bytesMax: 100 })).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD' });
    files['/m/shard1.bin'] = (_request, response) => void response.writeHead(200).write('x');
    await expect(download({ timeoutMs: 200 })).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD', message: expect.stringContaining('too long') as string });
  });

  it('refuses weights outside the folder of the model, before it asks for them', async () => {
    files['/m/model.json'] = JSON.stringify({ ...MODEL, weightsManifest: [{ paths: ['../../escaped.bin'], weights: [] }] });
    await expect(download()).rejects.toMatchObject({ code: 'EIS_MODEL_FILE' });
    expect(asked).toEqual(['/m/model.json']);
  });

  it('says so when nobody answers, and when what comes is no JSON', async () => {
    files['/m/model.json'] = '<html>';
    await expect(download()).rejects.toMatchObject({ code: 'EIS_MODEL_FILE', message: expect.stringContaining('not JSON') as string });
    await expect(download({ url: 'http://127.0.0.1:1/model.json' })).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD', message: expect.stringContaining('does not answer') as string });
    await expect(download({ url: 'ftp://host/model.json' })).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD' });
  });
});
