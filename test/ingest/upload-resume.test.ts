import { readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { beforeEach, describe, expect, it } from 'vitest';
import { UploadJournal } from '../../ingest/upload-journal.js';
import type { IngestOptions, IngestSummary } from '../../ingest/upload.js';
import { settled, until } from './support.js';
import { prepareUpload, type UploadFixture } from './upload-support.js';

const FILES = 80;
const INTERRUPTED = new Error('interrupted');

let fixture: UploadFixture;
let journalFolder: string;
/** Images that the wrapper was sent. */
let received: number;

beforeEach(async () => {
  fixture = await prepareUpload();
  journalFolder = join(fixture.folder, '.journal');
  for (let i = 0; i < FILES; i++) fixture.write(`images/${i}.png`);
  received = 0;
  const put = fixture.bucket.put.bind(fixture.bucket);
  fixture.bucket.put = async (bytes) => {
    received++;
    return put(bytes);
  };
});

const images = (): string => join(fixture.folder, 'images');

/** Sends until some requests were confirmed; returns how many images. */
async function interrupt(): Promise<number> {
  const interrupted = new AbortController();
  let sent = 0;
  const onProgress = (progress: { sent: number }): void => {
    sent = progress.sent;
    if (sent >= 16) interrupted.abort(INTERRUPTED);
  };
  await expect(fixture.run([images()], { journalFolder, signal: interrupted.signal, onProgress })).rejects.toBe(INTERRUPTED);
  await until(() => fixture.gateway.open === 0); // what was under way counts with what came before
  return sent;
}

async function resume(): Promise<{ summary: IngestSummary; resumed: number; sentAgain: number }> {
  received = 0;
  let resumed = 0;
  const summary = await fixture.run([images()], { journalFolder, onResume: ({ sent }) => (resumed = sent) });
  return { summary, resumed, sentAgain: received };
}

describe('an ingest that was interrupted', () => {
  it('goes on without sending again what was confirmed, and ends as if nothing had been', async () => {
    const sent = await interrupt();
    expect(sent).toBeLessThan(FILES);
    const { summary, resumed, sentAgain } = await resume();
    expect(resumed).toBeGreaterThanOrEqual(sent);
    expect(sentAgain).toBe(FILES - resumed);
    expect(summary).toMatchObject({ sent: FILES, stored: FILES, duplicates: 0, rejected: [] });
    expect(readdirSync(journalFolder)).toEqual([]);
  });

  it('waits for the outcomes when everything had been sent', async () => {
    const interrupted = new AbortController();
    fixture.client.behave = async () => {
      await until(() => interrupted.signal.aborted);
      return undefined;
    };
    const running = fixture.run([images()], { journalFolder, signal: interrupted.signal, onProgress: ({ expected, sent }) => void (sent === FILES && expected === FILES && interrupted.abort(INTERRUPTED)) });
    await expect(running).rejects.toBe(INTERRUPTED);
    const { summary, sentAgain } = await resume();
    expect(sentAgain).toBe(0);
    expect(summary).toMatchObject({ sent: FILES, stored: FILES, duplicates: 0 });
  });

  it('puts no file into the bucket again that was confirmed', async () => {
    const put = fixture.bucket.put.bind(fixture.bucket);
    const bucket = { put, uri: (sha256: string) => `gs://bucket/${sha256.slice(0, 2)}/${sha256}` };
    const run = (options: Partial<IngestOptions>): Promise<IngestSummary> => fixture.run([images()], { journalFolder, bucket, ...options });
    expect(await run({ signal: AbortSignal.abort(INTERRUPTED) }).catch((error: unknown) => error)).toBe(INTERRUPTED);
    const interrupted = new AbortController();
    fixture.client.behave = async () => {
      await until(() => interrupted.signal.aborted);
      return undefined;
    };
    await expect(run({ signal: interrupted.signal, onProgress: ({ sent }) => void (sent === FILES && interrupted.abort(INTERRUPTED)) })).rejects.toBe(INTERRUPTED);
    received = 0;
    expect(await run({})).toMatchObject({ sent: FILES, stored: FILES, duplicates: 0, rejected: [] });
    expect(received).toBe(0);
  });

  it('sends a file again that was changed meanwhile', async () => {
    await interrupt();
    for (let i = 0; i < FILES; i++) utimesSync(join(images(), `${i}.png`), 1, 1);
    const { sentAgain, summary } = await resume();
    expect(sentAgain).toBe(FILES);
    expect(summary).toMatchObject({ sent: FILES, stored: FILES, duplicates: 0 });
  });

  it('begins anew where the gateway knows nothing of it any more', async () => {
    await interrupt();
    let forgotten: string | null = null;
    fixture.gateway.intercept = (request, response) => {
      const { searchParams } = new URL(request.url!, fixture.gateway.url);
      forgotten ??= searchParams.get('submission');
      if (request.method !== 'GET' || searchParams.get('submission') !== forgotten) return false;
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ entries: [], next: null, counts: { accepted: 0, stored: 0, duplicate: 0, rejected: 0, dead: 0 } }));
      return true;
    };
    const { resumed, sentAgain, summary } = await resume();
    expect({ resumed, sentAgain }).toEqual({ resumed: 0, sentAgain: FILES });
    expect(summary.submission).not.toBe(forgotten);
    expect(summary).toMatchObject({ sent: FILES, rejected: [] });
  });

  it('is left alone while another process is at it', async () => {
    const sent = await interrupt();
    const journal = await UploadJournal.open({ folder: journalFolder, command: [fixture.gateway.url, '', images()], submission: 'mine' });
    expect(journal.size).toBeGreaterThanOrEqual(sent);
    const { resumed, summary, sentAgain } = await resume(); // this process holds it
    expect({ resumed, sentAgain }).toEqual({ resumed: 0, sentAgain: FILES });
    expect(summary.submission).not.toBe(journal.submission);
    await settled(fixture.store, FILES + journal.size);
    await journal.close();
  });

  it('leaves nothing behind where nothing was confirmed', async () => {
    fixture.gateway.intercept = (request, response) => {
      request.resume();
      response.writeHead(500).end();
      return true;
    };
    await expect(fixture.run([images()], { journalFolder, patience: { firstMs: 20, laterMs: 20, backoff: { baseMs: 1, capMs: 1 } } })).rejects.toThrow();
    expect(readdirSync(journalFolder)).toEqual([]);
  });

  it('takes what comes from standard input for another thing each time', async () => {
    const stdin = (name: string): Readable => Readable.from([Buffer.from(`https://example.com/${name}.jpg\n`)]);
    const interrupted = new AbortController();
    fixture.client.behave = async () => {
      await until(() => interrupted.signal.aborted);
      return undefined;
    };
    await expect(fixture.run(['-'], { journalFolder, stdin: stdin('a'), signal: interrupted.signal, onProgress: ({ expected }) => void (expected === 1 && interrupted.abort(INTERRUPTED)) })).rejects.toBe(INTERRUPTED);
    expect(await fixture.run(['-'], { journalFolder, stdin: stdin('b') })).toMatchObject({ sent: 1, stored: 1 });
  });

  it('keeps what it knows of two commands apart', async () => {
    await interrupt();
    received = 0;
    await fixture.run([images(), join(images(), '0.png')], { journalFolder });
    expect(received).toBe(FILES);
  });
});
