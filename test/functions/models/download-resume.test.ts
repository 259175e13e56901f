import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { digests, outcomeOf, readModel, setUpDownloads, untilHeld, type Downloads } from '../support/model-downloads.js';
import { bigFiles, etagOf, inTurn, sendFile, type ModelServer } from '../support/model-server.js';

const FILES = bigFiles(100_000);
const MAIN = FILES['/m/model.json']!;
const BIG = FILES['/m/big.bin']!;
/** The same file, changed. */
const OTHER = Buffer.from(BIG).reverse();
const IN_PLACE = digests({ 'big.bin': BIG, 'model.json': MAIN });

let downloads: Downloads;
let server: ModelServer;
beforeEach(async () => {
  downloads = await setUpDownloads(FILES);
  ({ server } = downloads);
});

const whole = (bytes = BIG, headers: Record<string, string> = {}): RequestListener => (request, response) => sendFile(request, response, { bytes, headers });
const cut = (cutAfter: number, bytes = BIG, headers: Record<string, string> = {}): RequestListener => (request, response) => sendFile(request, response, { bytes, headers, cutAfter, beforeCut: (position) => untilHeld(downloads.folder, position) });
/** In twenty pieces, with a pause after each. */
const drip: RequestListener = (request, response) => {
  let position = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const headers = { etag: etagOf(BIG), 'content-length': BIG.length - position };
  response.writeHead(position > 0 ? 206 : 200, position > 0 ? { ...headers, 'content-range': `bytes ${position}-${BIG.length - 1}/${BIG.length}` } : headers);
  const timer = setInterval(() => {
    response.write(BIG.subarray(position, (position += BIG.length / 20)));
    if (position >= BIG.length) response.end(() => clearInterval(timer));
  }, 20);
  response.on('close', () => clearInterval(timer));
};
const askedForBig = (): { readonly range: string | undefined; readonly ifRange: string | undefined }[] => server.asked.filter(({ path }) => path.startsWith('/m/big.bin')).map(({ range, ifRange }) => ({ range, ifRange }));
const ANEW = { range: undefined, ifRange: undefined };
const from = (bytes: number, ifRange = etagOf(BIG)): { readonly range: string; readonly ifRange: string } => ({ range: `bytes=${bytes}-`, ifRange });

describe('a download that breaks off', () => {
  it('goes on where it stopped', async () => {
    server.files['/m/big.bin'] = inTurn(cut(100_000), cut(150_000), whole());
    expect(await readModel(await downloads.download())).toEqual(IN_PLACE);
    expect(askedForBig()).toEqual([ANEW, from(100_000), from(250_000)]);
  });

  it('goes on by Last-Modified where there is no strong ETag, unless two versions could share it', async () => {
    const dated = { etag: '', 'last-modified': 'Sat, 01 Jan 2022 00:00:00 GMT' };
    server.files['/m/big.bin'] = inTurn(cut(1_000, BIG, { ...dated, etag: 'W/"weak"' }), whole(BIG, { ...dated, etag: 'W/"weak"' }));
    expect(await readModel(await downloads.download())).toEqual(IN_PLACE);
    expect(askedForBig()).toEqual([ANEW, from(1_000, dated['last-modified'])]);
    server.asked.length = 0;
    server.files['/m/big.bin'] = inTurn(cut(1_000, BIG, { ...dated, date: dated['last-modified'] }), cut(2_000, BIG, { etag: '' }), whole());
    expect(await readModel(await downloads.download({ url: `${downloads.options.url}?again` }))).toEqual(IN_PLACE);
    expect(askedForBig()).toEqual([ANEW, ANEW, ANEW]);
  });

  it('begins anew when the file changed meanwhile: never a mixture of two', async () => {
    server.files['/m/big.bin'] = inTurn(cut(100_000), whole(OTHER));
    expect(await readModel(await downloads.download())).toEqual(digests({ 'big.bin': OTHER, 'model.json': MAIN }));
    expect(askedForBig()).toEqual([ANEW, from(100_000)]);
  });

  it('begins anew when a host sends a part of another version, or another part, all the same', async () => {
    const part = (headers: Record<string, string | number>, bytes = OTHER): RequestListener => (_request, response) => void response.writeHead(206, headers).end(bytes.subarray(100_000));
    const range = `bytes 100000-${BIG.length - 1}/${BIG.length}`;
    for (const [i, headers] of [
      { etag: etagOf(OTHER), 'content-range': range },
      { 'content-range': range },
      { etag: etagOf(BIG), 'content-range': `bytes 0-${BIG.length - 1}/${BIG.length}` },
      { etag: etagOf(BIG), 'content-range': `bytes 100000-${BIG.length - 1}/${BIG.length + 1}` },
      { etag: etagOf(BIG), 'content-range': `bytes 100000-${BIG.length}/${BIG.length}` },
      { etag: etagOf(BIG), 'content-range': `bytes */${BIG.length}` },
      { etag: etagOf(BIG), 'content-type': 'multipart/byteranges; boundary=x' },
      { etag: etagOf(BIG), 'content-range': range, 'x-goog-hash': 'md5=AAAA' },
    ].entries()) {
      server.asked.length = 0;
      const hashed: Record<string, string> = 'x-goog-hash' in headers ? { 'x-goog-hash': `md5=${createHash('md5').update(BIG).digest('base64')}` } : {};
      server.files['/m/big.bin'] = inTurn(cut(100_000, BIG, hashed), part(headers), whole());
      expect(await readModel(await downloads.download({ url: `${downloads.options.url}?${i}` })), JSON.stringify(headers)).toEqual(IN_PLACE);
      expect(askedForBig(), JSON.stringify(headers)).toEqual([ANEW, from(100_000), ANEW]);
    }
  });

  it('begins anew when a host knows no such part, or no parts at all', async () => {
    server.files['/m/big.bin'] = inTurn(cut(100_000), (_request, response) => response.writeHead(416).end(), whole());
    expect(await readModel(await downloads.download())).toEqual(IN_PLACE);
    expect(askedForBig()).toEqual([ANEW, from(100_000), ANEW]);
    server.files['/m/big.bin'] = inTurn(cut(100_000), (_request, response) => response.writeHead(200, { 'content-length': BIG.length }).end(BIG));
    expect(await readModel(await downloads.download({ url: `${downloads.options.url}?again` }))).toEqual(IN_PLACE);
  });

  it('goes on after a part that was shorter than asked for', async () => {
    const short: RequestListener = (_request, response) => response.writeHead(206, { etag: etagOf(BIG), 'content-range': `bytes 1000-1999/${BIG.length}` }).end(BIG.subarray(1_000, 2_000));
    server.files['/m/big.bin'] = inTurn(cut(1_000), short, whole());
    expect(await readModel(await downloads.download())).toEqual(IN_PLACE);
    expect(askedForBig()).toEqual([ANEW, from(1_000), from(2_000)]);
  });

  it('is tried as often as it brings something, and a few times more', async () => {
    server.files['/m/big.bin'] = inTurn(...Array.from({ length: 10 }, () => cut(40_000)));
    expect(await readModel(await downloads.download())).toEqual(IN_PLACE);
    expect(askedForBig()).toHaveLength(10);
    server.asked.length = 0;
    server.files['/m/big.bin'] = inTurn(cut(1_000), cut(0));
    await expect(downloads.download({ url: `${downloads.options.url}?again` })).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD', message: expect.stringMatching(/broke off, 3 times in a row/) as string });
    expect(askedForBig()).toHaveLength(3);
  });

  it('does not take beginning over for progress', async () => {
    server.files['/m/big.bin'] = cut(100_000, BIG, { etag: '' });
    await expect(downloads.download()).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD' });
    expect(askedForBig()).toEqual([ANEW, ANEW, ANEW]);
  });

  it('goes on when the host is slow, busy or out of order for a moment, and waits as long as it asks', async () => {
    const answer = (status: number, headers: Record<string, string> = {}): RequestListener => (_request, response) => response.writeHead(status, headers).end();
    for (const [i, failure] of [answer(500), answer(503, { 'retry-after': '0' }), answer(429, { 'retry-after': new Date().toUTCString() }), answer(408), (() => undefined) as RequestListener].entries()) {
      server.files['/m/big.bin'] = inTurn(cut(1_000), failure, whole());
      server.asked.length = 0;
      expect(await readModel(await downloads.download({ url: `${downloads.options.url}?${i}`, stallMs: 500 }))).toEqual(IN_PLACE);
      expect(askedForBig()).toEqual([ANEW, from(1_000), from(1_000)]);
    }
    server.files['/m/big.bin'] = inTurn(answer(503, { 'retry-after': '1' }), whole());
    const startMs = performance.now();
    await downloads.download({ url: `${downloads.options.url}?asked` });
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(990);
  });

  it('goes on in the next call, with the files that it has', async () => {
    server.files['/m/big.bin'] = inTurn(cut(100_000), (_request, response) => response.writeHead(403).end(), whole());
    await expect(downloads.download()).rejects.toMatchObject({ message: expect.stringContaining('403') as string });
    const said: number[] = [];
    expect(await readModel(await downloads.download({ onProgress: ({ receivedBytes }) => said.push(receivedBytes) }))).toEqual(IN_PLACE);
    expect(askedForBig()).toEqual([ANEW, from(100_000), from(100_000)]);
    expect(said.at(-1)).toBe(MAIN.length + BIG.length);
    expect(await readdir(downloads.folder)).toHaveLength(1);
  });

  it('discards what belongs to another main file', async () => {
    const forbidden: RequestListener = (_request, response) => response.writeHead(403).end();
    const dated = (date: string): RequestListener => (request, response) => sendFile(request, response, { bytes: MAIN, headers: { 'last-modified': date } });
    server.files['/m/model.json'] = inTurn(dated('Sat, 01 Jan 2022 00:00:00 GMT'), dated('Sun, 02 Jan 2022 00:00:00 GMT'));
    server.files['/m/big.bin'] = inTurn(cut(100_000), forbidden, whole());
    await expect(downloads.download()).rejects.toMatchObject({ message: expect.stringContaining('403') as string });
    expect(await readModel(await downloads.download())).toEqual(IN_PLACE);
    expect(askedForBig()).toEqual([ANEW, from(100_000), ANEW]);
  });

  it('goes on in another process, after the first was killed', async () => {
    server.files['/m/big.bin'] = inTurn(drip, whole());
    const child = downloads.startProcess();
    await new Promise<void>((resolve) => child.on('message', ({ progress }: { progress?: { file: string; receivedBytes: number } }) => progress?.file === 'big.bin' && progress.receivedBytes > MAIN.length && resolve()));
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect((await readdir(downloads.folder)).map((name) => name.replace(/^[0-9a-f]+/, '')).sort()).toEqual(['.lock', '.part']);
    const { path } = await outcomeOf(downloads.startProcess());
    expect(await readModel(path!)).toEqual(IN_PLACE);
    const [first, second, ...others] = askedForBig();
    expect([first, others]).toEqual([ANEW, []]);
    expect(second!.ifRange).toBe(etagOf(BIG));
    expect(Number(/^bytes=(\d+)-$/.exec(second!.range!)?.[1])).toBeGreaterThan(0);
    expect(await readdir(downloads.folder)).toHaveLength(1);
  });

  it('can be killed at any moment: the next one succeeds', async () => {
    server.files['/m/big.bin'] = drip;
    for (let i = 0; i < 6; i++) {
      const child = downloads.startProcess();
      const exited = once(child, 'exit');
      await Promise.race([once(child, 'message'), exited]);
      await sleep(15 * i);
      child.kill('SIGKILL');
      await exited;
    }
    expect(await readModel(await downloads.download())).toEqual(IN_PLACE);
    expect(await readdir(downloads.folder)).toHaveLength(1);
  });
});
