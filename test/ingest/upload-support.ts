/** What tests of `ingest()` share: a wrapper with a worker behind it, in front of which a test may answer in its place. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import type { EmbeddedQueue } from '../../ingest/queue/embedded-queue.js';
import { ingest, type IngestOptions, type IngestSummary } from '../../ingest/upload.js';
import { createWrapperApp } from '../../ingest/wrapper-app.js';
import { MemoryStore } from '../support/memory-store.js';
import { tempFolder } from '../support/temp-folder.js';
import { LIMITS, MODEL, MemoryBucket, StubFunction, openQueue, startWorker } from './support.js';

export const PATIENCE = { firstMs: 500, laterMs: 10_000, backoff: { baseMs: 5, capMs: 20 } };

export interface Proxy {
  readonly url: string;
  /** Answers a request instead of the wrapper when it returns true. */
  intercept: (request: IncomingMessage, response: Parameters<RequestListener>[1]) => boolean;
  requests: number;
  /** Requests that it is at. */
  open: number;
}

export interface UploadFixture {
  readonly queue: EmbeddedQueue;
  readonly store: MemoryStore;
  readonly client: StubFunction;
  readonly gateway: Proxy;
  readonly bucket: MemoryBucket;
  readonly folder: string;
  readonly run: (sources: string[], options?: Partial<IngestOptions>) => Promise<IngestSummary>;
  /** Writes a file under the folder; returns its path. */
  readonly write: (name: string, content?: string) => string;
}

export async function prepareUpload(): Promise<UploadFixture> {
  const folder = tempFolder();
  const [queue, store, client, bucket] = [openQueue(), new MemoryStore(), new StubFunction(), new MemoryBucket()];
  const app = await createWrapperApp({ queue, store, bucket, ingestModels: [MODEL], models: [MODEL], limits: LIMITS, metrics: new Metrics('wrapper'), log: SILENT_LOG });
  onTestFinished(() => app.close());
  await app.ready();
  let gateway: Proxy = { url: '', intercept: () => false, requests: 0, open: 0 };
  const server = createServer((request, response) => {
    gateway.requests++;
    gateway.open++;
    response.once('close', () => gateway.open--);
    if (!gateway.intercept(request, response)) app.routing(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  gateway = Object.assign(gateway, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  await startWorker({ queue, store, client, bucket });
  return {
    queue, store, client, gateway, bucket, folder,
    run: (sources, options = {}) => ingest({ sources, gatewayUrl: gateway.url, wait: true, patience: PATIENCE, ...options }),
    write: (name, content = name) => {
      mkdirSync(join(folder, name, '..'), { recursive: true });
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    },
  };
}
