import { once } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createNetServer, type AddressInfo, type Server } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { DownloadOptions, DownloadRetry } from '../../../functions/models/download.js';
import { diskFailure, networkFailure } from '../../../functions/models/download-failure.js';
import { digests, readModel, setUpDownloads, type Downloads } from '../support/model-downloads.js';
import { inTurn, sendFile, startModelServer, tinyFiles, type ModelServer } from '../support/model-server.js';
import { CERTIFICATE_FILE, SELF_SIGNED } from '../support/self-signed.js';

const FILES = tinyFiles();
const MAIN = FILES['/m/model.json']!;
const IN_PLACE = digests({ 'model.json': MAIN, 'more/shard2.bin': FILES['/m/more/shard2.bin']!, 'shard1.bin': FILES['/m/shard1.bin']! });

let downloads: Downloads;
let server: ModelServer;
beforeEach(async () => {
  downloads = await setUpDownloads(FILES);
  ({ server } = downloads);
});

async function messageOf(options: Partial<DownloadOptions> = {}, code = 'EIS_MODEL_DOWNLOAD'): Promise<string> {
  const thrown: unknown = await downloads.download(options).then(() => undefined, (error: unknown) => error);
  expect(thrown).toMatchObject({ code });
  return (thrown as Error).message;
}

const answer = (status: number, headers: Record<string, string> = {}): RequestListener => (_request, response) => response.writeHead(status, headers).end();

async function listen(other: Server): Promise<number> {
  onTestFinished(() => void other.close());
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  return (other.address() as AddressInfo).port;
}

describe('a download that fails', () => {
  it('says of every refusal what it means and what to do, and asks once', async () => {
    for (const [status, said] of [
      [404, /answered 404: there is no such file\. Check the address/],
      [410, /answered 410.*Check the address/],
      [401, /answered 401: it wants a login.*Download the model yourself and set "model_url" to its path/],
      [403, /answered 403: it wants a login, or the file is not public.*Download the model yourself/],
      [400, /answered 400\. Check that the address is that of the file itself/],
      [204, /answered 204/],
      [302, /answered 302/],
    ] as const) {
      server.asked.length = 0;
      server.files['/m/model.json'] = answer(status);
      expect(await messageOf(), String(status)).toMatch(said);
      expect(server.asked).toHaveLength(1);
      expect(await readdir(downloads.folder)).toEqual([]);
    }
  });

  it('names the file that is missing, and keeps those that came', async () => {
    delete server.files['/m/more/shard2.bin'];
    expect(await messageOf()).toMatch(/\/m\/more\/shard2\.bin could not be downloaded: its host answered 404/);
    server.files['/m/more/shard2.bin'] = FILES['/m/more/shard2.bin']!;
    expect(await readModel(await downloads.download())).toEqual(IN_PLACE);
    expect(server.paths()).toEqual(['/m/model.json', '/m/shard1.bin', '/m/more/shard2.bin', '/m/model.json', '/m/more/shard2.bin']);
  });

  it('tries a host again that is out of order, and says how often', async () => {
    server.files['/m/model.json'] = inTurn(answer(503), answer(500));
    expect(await messageOf()).toMatch(/answered 500, 3 times in a row\. Try again later/);
    expect(server.asked).toHaveLength(3);
  });

  it('tells of each further attempt why and which it is, before it waits', async () => {
    const said: DownloadRetry[] = [];
    server.files['/m/shard1.bin'] = inTurn(answer(503), answer(500, { 'retry-after': '0' }), (request, response) => sendFile(request, response, { bytes: FILES['/m/shard1.bin']! }));
    expect(await readModel(await downloads.download({ onRetry: (retry) => said.push(retry) }))).toEqual(IN_PLACE);
    const retry = { file: 'shard1.bin', attemptsMax: 3, waitMs: expect.any(Number) as number };
    expect(said).toEqual([{ ...retry, reason: 'its host answered 503', attempt: 2 }, { ...retry, reason: 'its host answered 500', attempt: 3 }]);
  });

  it('gives up a host that sends next to nothing, after it went on a few times with what had come', async () => {
    const shard = FILES['/m/shard1.bin']!;
    const slowly: RequestListener = (request, response) => {
      let position = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const headers = { etag: '"one"', 'content-length': shard.length - position };
      response.writeHead(position > 0 ? 206 : 200, position > 0 ? { ...headers, 'content-range': `bytes ${position}-${shard.length - 1}/${shard.length}` } : headers);
      const timer = setInterval(() => response.write(shard.subarray(position, ++position)), 20);
      response.on('close', () => clearInterval(timer));
    };
    server.files['/m/shard1.bin'] = slowly;
    const slow = { bytesPerSecondMin: 1_000, windowMs: 200 };
    expect(await messageOf({ slow })).toMatch(/sent less than 1 kB\/s over 0\.2 s, 3 times in a row\. .*is kept/);
    const ranges = server.asked.filter(({ path }) => path === '/m/shard1.bin').map(({ range }) => range);
    expect(ranges).toEqual([undefined, expect.stringMatching(/^bytes=\d+-$/), expect.stringMatching(/^bytes=\d+-$/)]);
    server.files['/m/shard1.bin'] = inTurn(slowly, (request, response) => sendFile(request, response, { bytes: shard, headers: { etag: '"one"' } }));
    expect(await readModel(await downloads.download({ slow }))).toEqual(IN_PLACE);
  });

  it('does not wait for as long as a host may ask', async () => {
    server.files['/m/model.json'] = answer(429, { 'retry-after': '4000' });
    expect(await messageOf()).toMatch(/answered 429 and asks to be left alone for 4000 s/);
    expect(server.asked).toHaveLength(1);
  });

  it('tells a host that is silent from a model that takes too long', async () => {
    server.files['/m/model.json'] = () => undefined;
    expect(await messageOf({ stallMs: 50 })).toMatch(/sent nothing for 0\.05 s, 3 times in a row/);
    server.files['/m/model.json'] = (_request, response) => void response.writeHead(200).write('{');
    expect(await messageOf({ stallMs: 50 })).toMatch(/sent nothing for 0\.05 s/);
    server.files['/m/model.json'] = (_request, response) => {
      const timer = setInterval(() => response.write(' '), 5);
      response.on('close', () => clearInterval(timer));
    };
    expect(await messageOf({ stallMs: 5_000, timeoutMs: 200 })).toMatch(/took too long: it was not whole after 0\.2 s/);
  });

  it('says whether a host is unknown, refuses connections, breaks off, or cannot be trusted', async () => {
    expect(await messageOf({ url: 'http://127.0.0.1:1/model.json' })).toMatch(/does not answer.*refuses connections, 3 times in a row\. Check the address and its port/);
    expect(await messageOf({ url: 'http://nowhere.invalid/model.json', retry: { attemptsMax: 1 } })).toMatch(/name of its host.*is not known/);
    const hangsUp = await listen(createNetServer((socket) => socket.destroy()));
    expect(await messageOf({ url: `http://127.0.0.1:${hangsUp}/model.json` })).toMatch(/broke off, 3 times in a row/);
    expect(await messageOf({ url: `https://127.0.0.1:${server.port}/model.json` })).toMatch(/no secure connection.*NODE_EXTRA_CA_CERTS/);
    const port = await listen(createTlsServer(SELF_SIGNED, (_request, response) => response.end(MAIN)));
    expect(await messageOf({ url: `https://127.0.0.1:${port}/model.json` })).toMatch(/no secure connection.*SELF_SIGNED.*NODE_EXTRA_CA_CERTS/);
  });

  it('says what names that are not known are, and that another attempt may find them', () => {
    const failure = (code: string): ReturnType<typeof networkFailure> => networkFailure(Object.assign(new Error(), { code }));
    expect([failure('ENOTFOUND'), failure('EAI_AGAIN')].map(({ what, isTransient }) => [what, isTransient])).toEqual([['the name of its host, or of the proxy, is not known', false], ['the name of its host, or of the proxy, is not known', true]]);
  });

  it('says when a folder cannot be written, or a disk is full', async () => {
    const file = join(downloads.folder, 'file');
    await writeFile(file, '');
    expect(await messageOf({ folder: join(file, 'models') })).toMatch(/folder .*models cannot be written \(ENOTDIR\).*EIS_DATA_DIR/);
    expect(server.asked).toEqual([]);
    const failure = diskFailure(Object.assign(new Error(), { code: 'ENOSPC', syscall: 'write' }), '/data/models');
    expect(failure).toMatchObject({ what: 'the disk of /data/models is full', isUseless: true, isTransient: false });
    expect(diskFailure(Object.assign(new Error(), { code: 'EACCES', syscall: 'connect' }), '/data/models')).toBeUndefined();
  });

  it('refuses what is encoded although it was asked not to, is no JSON, or has no URL to be fetched from', async () => {
    server.files['/m/model.json'] = (request, response) => sendFile(request, response, { bytes: MAIN, headers: { 'content-encoding': 'gzip' } });
    expect(await messageOf()).toMatch(/encoded \(gzip\)/);
    server.files['/m/model.json'] = Buffer.from('<html>');
    expect(await messageOf({}, 'EIS_MODEL_FILE')).toMatch(/not JSON/);
    for (const url of ['ftp://host/model.json', 'no url', 'gs:///model.json']) await messageOf({ url });
    expect(await readdir(downloads.folder)).toEqual([]);
  });
});

describe('a redirect', () => {
  const to = (location: string): RequestListener => answer(302, { location });

  it('is followed five times', async () => {
    for (let i = 1; i <= 6; i++) server.files[`/${i}/model.json`] = to(i === 1 ? '/m/model.json' : `/${i - 1}/model.json`);
    server.files['/5/shard1.bin'] = FILES['/m/shard1.bin']!;
    server.files['/5/more/shard2.bin'] = FILES['/m/more/shard2.bin']!;
    expect(await readModel(await downloads.download({ url: `${server.base}/5` }))).toEqual(IN_PLACE);
    expect(await messageOf({ url: `${server.base}/6` })).toMatch(/redirects more than 5 times/);
  });

  it('is not followed to another host or port at a private address, however that is written', async () => {
    const other = await startModelServer();
    onTestFinished(() => other.close());
    for (const location of [`${other.base}/m/model.json`, `http://localhost:${other.port}/m/model.json`, `http://[::1]:${server.port}/m/model.json`, `http://2130706433:${other.port}/m/model.json`, 'http://169.254.169.254/computeMetadata/v1/', 'http://10.0.0.1/model.json']) {
      server.files['/m/model.json'] = to(location);
      expect(await messageOf(), location).toMatch(/redirects to an address that is not public \(http:\/\/.*If that address is trusted, set "model_url" to it/);
    }
    expect(other.asked).toEqual([]);
    expect(server.paths()).toEqual(Array.from({ length: 6 }, () => '/m/model.json'));
  });

  it('is followed elsewhere, without the login of the first host', async () => {
    const other = await startModelServer();
    onTestFinished(() => other.close());
    const logins: unknown[] = [];
    other.files['/elsewhere'] = (request, response) => {
      logins.push(request.headers.authorization);
      sendFile(request, response, { bytes: MAIN });
    };
    server.files['/m/model.json'] = to(`http://localhost:${other.port}/elsewhere`);
    const url = `http://me:secret@127.0.0.1:${server.port}/m/model.json`;
    expect(await readModel(await downloads.download({ url, redirectAllow: ['127.0.0.0/8', '::1/128'] }))).toEqual(IN_PLACE);
    expect(logins).toEqual([undefined]);
  });

  it('is not followed from https to http, nor to what is neither', async () => {
    server.files['/m/model.json'] = to('file:///etc/passwd');
    expect(await messageOf()).toMatch(/not an http:\/\/ or https:\/\/ URL/);
    const port = await listen(createTlsServer(SELF_SIGNED, answer(302, { location: `${server.base}/m/model.json` })));
    const child = downloads.startProcess({ url: `https://127.0.0.1:${port}/model.json` }, { NODE_EXTRA_CA_CERTS: CERTIFICATE_FILE });
    const [{ error }] = (await once(child, 'message')) as [{ error: string }];
    expect(error).toMatch(/redirects from https to http/);
    expect(server.paths()).toEqual(['/m/model.json']);
  });
});
