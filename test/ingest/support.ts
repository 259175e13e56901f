/** What tests of the ingest role share: a queue, a bucket in memory, and a function that does as it is told. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { expect, onTestFinished, vi } from 'vitest';
import type { Bucket, BucketObject } from '../../common/bucket/bucket.js';
import type { EmbedClient, EmbedInput } from '../../common/embed-client.js';
import { EisError } from '../../common/errors.js';
import type { Lane } from '../../common/lanes.js';
import { DEFAULT_LIMITS, type Limits } from '../../common/limits.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import type { LedgerEntry, LiveVersion, Store } from '../../common/store/store.js';
import type { Embedding, ImageMessage } from '../../common/wire.js';
import { EmbeddedQueue } from '../../ingest/queue/embedded-queue.js';
import { createWorkerMetrics } from '../../ingest/worker-metrics.js';
import { Worker } from '../../ingest/worker.js';
import { tempFolder } from '../support/temp-folder.js';

export const MODEL = 'alpha';
/** What `StubFunction` embeds with. */
export const LIVE: LiveVersion = { version: 'version-1', dim: 2 };
export const LIMITS: Limits = { ...DEFAULT_LIMITS, writeBatchWaitMs: 5 };
export const FAST_BACKOFF = { baseMs: 5, capMs: 20 };

export const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');
export const message = (source: string, submission = 's'): ImageMessage => ({ submission, source, acceptedAt: Date.now() });
export const url = (i: number): string => `https://example.com/${i}.jpg`;
export const until = (condition: () => unknown): Promise<void> => vi.waitFor(async () => expect(await condition()).toBe(true), { timeout: 10_000, interval: 5 });

export function openQueue(models: readonly string[] = [MODEL], messagesMax = 10_000): EmbeddedQueue {
  const queue = new EmbeddedQueue({ folder: tempFolder(), models, deliveryMax: LIMITS.deliveryMax, messagesMax, log: SILENT_LOG });
  onTestFinished(() => queue.close());
  return queue;
}

export function embeddingOf(content: string, modelVersion = 'version-1'): Embedding {
  return { model: MODEL, modelVersion, vector: Float32Array.of(1, 0), sha256: sha256(content), phash: '0123456789abcdef', width: 4, height: 3, format: 'jpeg', timingsMs: { fetch: 0, decode: 0, infer: 0 } };
}

/** A function whose answer to each input the test decides; by default the image's content is its URL or its bytes. */
export class StubFunction implements EmbedClient {
  readonly calls: string[] = [];
  isReady = true;
  /** What it says of its version; undefined: it does not say. */
  version: LiveVersion | undefined;
  /** Throws to fail a call; returns to change the embedding. */
  behave: (content: string, call: number) => Embedding | undefined | Promise<Embedding | undefined> = () => undefined;

  async embed(input: EmbedInput): Promise<Embedding> {
    const content = 'url' in input ? input.url : Buffer.from(input.bytes).toString('utf8');
    this.calls.push(content);
    return (await this.behave(content, this.calls.length)) ?? embeddingOf(content);
  }

  async close(): Promise<void> {}
}

export class MemoryBucket implements Bucket {
  readonly objects = new Map<string, Buffer>();

  async put(bytes: Readable): Promise<BucketObject> {
    const chunks: Buffer[] = [];
    for await (const chunk of bytes) chunks.push(Buffer.from(chunk as Uint8Array));
    const whole = Buffer.concat(chunks);
    if (whole.length === 0) throw new EisError('EIS_IMAGE_MISSING', {});
    if (whole.length > LIMITS.imageBytesMax) throw new EisError('EIS_IMAGE_TOO_LARGE', LIMITS);
    this.objects.set(sha256(whole), whole);
    return { sha256: sha256(whole), bytes: whole.length };
  }

  async get(id: string): Promise<Buffer | undefined> {
    return this.objects.get(id);
  }

  async delete(id: string): Promise<boolean> {
    return this.objects.delete(id);
  }

  uri(id: string): string {
    return `eis://${id}`;
  }

  sha256Of(uri: string): string | undefined {
    return /^eis:\/\/([0-9a-f]{64})/.exec(uri)?.[1];
  }

  async close(): Promise<void> {}
}

export interface WorkerFixture {
  readonly worker: Worker;
  readonly metrics: Metrics;
}

/** A worker that runs until the test ends. */
export async function startWorker(parts: { queue: EmbeddedQueue; store: Store; client: StubFunction; bucket?: Pick<Bucket, 'get' | 'sha256Of'>; limits?: Partial<Limits>; lane?: Lane }): Promise<WorkerFixture> {
  const { queue, store, client, bucket = new MemoryBucket(), limits, lane = 'main' } = parts;
  const metrics = new Metrics('worker');
  const worker = new Worker({
    model: MODEL, lane, queue, store, bucket, client,
    isFunctionReady: async () => client.isReady,
    functionVersion: async () => client.version,
    limits: { ...LIMITS, ...limits },
    metrics: createWorkerMetrics(metrics, { model: MODEL, queue }),
    log: SILENT_LOG,
    backoff: FAST_BACKOFF,
    closeGraceMs: 200,
  });
  onTestFinished(() => worker.close());
  await worker.start();
  return { worker, metrics };
}

/** Everything that stands in a ledger. */
export async function entriesOf(store: Store): Promise<LedgerEntry[]> {
  return (await store.ledger.list({ limit: 1000 })).entries;
}

/** Resolves when `count` sources have an outcome. */
export async function settled(store: Store, count: number): Promise<void> {
  await until(async () => (await entriesOf(store)).filter(({ state }) => state !== 'accepted').length === count);
}
