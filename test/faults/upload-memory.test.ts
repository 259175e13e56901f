/** `eis ingest` of many files, as a process of its own: how much memory it takes, and what it does after Ctrl-C. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FolderBucket } from '../../common/bucket/folder-bucket.js';
import type { App } from '../../common/http.js';
import { DEFAULT_LIMITS } from '../../common/limits.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import { packagePath } from '../../common/package-root.js';
import { EmbeddedQueue } from '../../ingest/queue/embedded-queue.js';
import { createWrapperApp } from '../../ingest/wrapper-app.js';
import { MemoryStore } from '../support/memory-store.js';
import { readMemoryMb } from '../support/process-memory.js';

const FEW = 500;
const MANY = 5_000;
const FILE_BYTES = 20_000;
/** Images of the two requests that may be under way when it is interrupted. */
const UNDER_WAY_MAX = 32;

/** Counts what it is sent. */
class CountingBucket extends FolderBucket {
  received = 0;

  override async put(bytes: Parameters<FolderBucket['put']>[0]): ReturnType<FolderBucket['put']> {
    this.received++;
    return super.put(bytes);
  }
}

interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly peakRssMb: number;
}

describe(`eis ingest of ${MANY} files`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'eis-upload-'));
  let queue: EmbeddedQueue;
  let bucket: CountingBucket;
  let app: App;
  let url: string;

  beforeAll(async () => {
    for (const count of [FEW, MANY]) {
      mkdirSync(join(folder, String(count)));
      for (let i = 0; i < count; i++) writeFileSync(join(folder, String(count), `${i}.jpg`), randomBytes(FILE_BYTES));
    }
    queue = new EmbeddedQueue({ folder: join(folder, 'queue'), models: ['m'], deliveryMax: 5, messagesMax: 100_000, log: SILENT_LOG });
    bucket = new CountingBucket({ folder: join(folder, 'bucket'), imageBytesMax: DEFAULT_LIMITS.imageBytesMax });
    app = await createWrapperApp({ queue, store: new MemoryStore(), bucket, ingestModels: ['m'], models: ['m'], limits: DEFAULT_LIMITS, metrics: new Metrics('wrapper'), log: SILENT_LOG });
    await app.listen({ port: 0, host: '127.0.0.1' });
    url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  }, 120_000);

  afterAll(async () => {
    await app.close();
    await queue.close();
    rmSync(folder, { recursive: true });
  });

  const start = (count: number): ChildProcess =>
    spawn(process.execPath, [packagePath('dist/cli.js'), 'ingest', join(folder, String(count)), '--gateway', url, '--no-wait', '--json'], { env: { ...process.env, EIS_DATA_DIR: join(folder, 'data') } });

  it('holds its memory flat: what is garbage for a while fills it at first, and then nothing does', async () => {
    const few = await finish(start(FEW));
    const before = bucket.received;
    const running = start(MANY);
    let halfway = 0;
    const watching = expect.poll(() => bucket.received - before, { timeout: 60_000, interval: 5 }).toBeGreaterThan(MANY / 2).then(() => (halfway = readMemoryMb(running.pid, 'VmHWM')));
    const many = await finish(running);
    await watching;
    console.log(`peak RSS: ${few.peakRssMb.toFixed(0)} MB for ${FEW} files; ${halfway.toFixed(0)} MB after ${MANY / 2} of ${MANY}, ${many.peakRssMb.toFixed(0)} MB in the end`);
    expect([few.code, many.code]).toEqual([0, 0]);
    expect(JSON.parse(many.stdout)).toMatchObject({ sent: MANY, rejected: [] });
    expect(many.peakRssMb).toBeLessThan(halfway * 1.1);
  }, 120_000);

  it('goes on after Ctrl-C without sending again what was confirmed', async () => {
    const before = bucket.received;
    const first = start(MANY);
    const ended = finish(first);
    await expect.poll(() => bucket.received - before, { timeout: 30_000, interval: 5 }).toBeGreaterThan(MANY / 5);
    first.kill('SIGINT');
    expect((await ended).code).toBe(130);
    const sentFirst = bucket.received - before;
    expect(sentFirst).toBeLessThan(MANY);
    const second = await finish(start(MANY));
    expect(second.stderr).toContain('Going on with submission');
    expect(JSON.parse(second.stdout)).toMatchObject({ sent: MANY, rejected: [] });
    const total = bucket.received - before;
    console.log(`sent ${sentFirst}, interrupted, sent ${total - sentFirst}: ${total - MANY} twice`);
    expect(total - MANY).toBeLessThanOrEqual(UNDER_WAY_MAX);
  }, 120_000);
});

async function finish(child: ChildProcess): Promise<Finished> {
  let [stdout, stderr, peakRssMb] = ['', '', 0];
  child.stdout?.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  let isRunning = true;
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve)).finally(() => (isRunning = false));
  while (isRunning) {
    peakRssMb = Math.max(peakRssMb, readMemoryMb(child.pid, 'VmHWM'));
    await sleep(20);
  }
  return { code: await closed, stdout, stderr, peakRssMb };
}
