/** Stand-ins for what a gateway talks to, over real HTTP on free ports, and a gateway in front of them. */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { parseConfig } from '../../common/config.js';
import { parseEnvironment } from '../../common/environment.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import { compareHits, decodeVector, dot, encodeVector, normalise } from '../../common/vector.js';
import { compileFilter } from '../../common/filter.js';
import type { Metadata } from '../../common/metadata.js';
import type { IndexHit, IndexSearch } from '../../common/wire.js';
import { accessOf } from '../../gateway/access.js';
import { createGateway } from '../../gateway/app.js';
import { closeModels, connectModels } from '../../gateway/served-models.js';
import type { ResolveHost } from '../../gateway/shard-addresses.js';
import { createWrapperClient } from '../../gateway/wrapper-client.js';

export const VERSION = 'v1-0123456789';
export const DIM = 4;

/** What a stub was sent. */
export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface Stub {
  readonly url: string;
  readonly seen: Seen[];
  /** How many requests ended without an answer because the caller closed the connection. */
  aborted: number;
  /** Answers the next requests; put back by `undefined`. */
  behave: RequestListener | undefined;
  close(): Promise<void>;
  /** Answers again on the same port, after `close`. */
  reopen(): Promise<void>;
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export type Answer = (seen: Seen, response: ServerResponse) => void;

/** A server that answers with `answer`, unless told to `behave` otherwise. */
export async function startStub(answer: Answer): Promise<Stub> {
  let port = 0;
  let server = createServer();
  const stub: Stub = {
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    seen: [],
    aborted: 0,
    behave: undefined,
    async close() {
      if (!server.listening) return;
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    async reopen() {
      server = createServer((request, response) => {
        response.once('close', () => {
          if (!response.writableFinished) stub.aborted++;
        });
        if (stub.behave) return void stub.behave(request, response);
        readBody(request).then(
          (body) => {
            const seen = { method: request.method as string, url: request.url as string, headers: request.headers, body };
            stub.seen.push(seen);
            answer(seen, response);
          },
          () => undefined,
        );
      });
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
      port = (server.address() as AddressInfo).port;
    },
  };
  await stub.reopen();
  return stub;
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

/** An error as our services answer it. */
export function sendError(response: ServerResponse, status: number, code: string): void {
  sendJson(response, status, { statusCode: status, code, error: 'Error', message: `It is ${code}.` });
}

/** Embeds bytes by their first four (0 → -1, 255 → 1), and anything else as (1, 1, 1, 1). */
export function startFunction(version = VERSION): Promise<Stub> {
  return startStub(({ url, headers, body }, response) => {
    if (url === '/ready') return sendJson(response, 200, { model_version: version, dim: DIM });
    const bytes = headers['content-type'] === 'application/json' ? Buffer.alloc(DIM, 255) : body;
    const vector = normalise(Array.from({ length: DIM }, (_, i) => ((bytes[i] ?? 255) - 127.5) / 127.5));
    response.writeHead(200, {
      'content-type': 'application/octet-stream', 'x-eis-model': 'stub', 'x-eis-model-version': version, 'x-eis-dim': String(DIM), 'x-eis-sha256': 'a'.repeat(64),
      'x-eis-phash': 'b'.repeat(16), 'x-eis-width': '10', 'x-eis-height': '20', 'x-eis-format': 'jpeg', 'x-eis-timings-ms': '{"fetch":0,"decode":1,"infer":2}',
    });
    response.end(encodeVector(vector));
  });
}

export interface StubImage {
  readonly id: string;
  readonly vector: Float32Array;
  readonly urls: readonly string[];
  readonly metadata?: Metadata;
}

/** An id in the slot range of a shard of two: it starts with 0 or with f. */
export function imageId(shard: 0 | 1, n: number): string {
  return (shard === 0 ? '0' : 'f') + n.toString(16).padStart(63, '0');
}

export function image(shard: 0 | 1, n: number, numbers: readonly number[] = [1, n, 0, 0]): StubImage {
  const id = imageId(shard, n);
  return { id, vector: normalise(numbers), urls: [`eis://${id}#photo-${n}.jpg`] };
}

function toHits(images: readonly StubImage[], query: Float32Array, top: number): IndexHit[] {
  return images
    .map(({ id, vector, urls, metadata }) => ({ id, score: dot(vector, query), url: urls[0] as string, urls: [...urls], width: 30, height: 40, phash: 'c'.repeat(16), ...(metadata && { metadata }) }))
    .sort(compareHits)
    .slice(0, top);
}

/** An index pod: exact over a handful of images. `live` tells which version is searched. */
export function startPod({ shard, images, version = VERSION, live }: { shard: string; images: readonly StubImage[]; version?: string; live?: () => string }): Promise<Stub> {
  return startStub(({ method, url, headers, body }, response) => {
    const { pathname, searchParams } = new URL(url, 'http://stub');
    const route = `${method} ${pathname}`;
    if (route === 'GET /stats') return sendJson(response, 200, { model: 'm', model_version: version, ...(live && { live_version: live() }), shard, algorithm: 'brute', dim: version === '' ? 0 : DIM, vectors: images.length, freshness_s: 0.5, loaded_at: null, memory_bytes: 1 });
    if (route === 'POST /reload') return sendJson(response, 200, { model: 'm', model_version: version, shard, vectors: images.length, load_s: 0.01 });
    if (route === 'POST /search') {
      if (version !== '' && headers['x-eis-model-version'] !== version) return sendError(response, 409, 'EIS_MODEL_VERSION');
      const { vectors, filter } = headers['content-type'] === 'application/json' ? (JSON.parse(body.toString()) as IndexSearch) : { vectors: body.toString('base64'), filter: {} };
      const without = searchParams.get('without')?.split(',') ?? [];
      const matching = images.filter(({ id, metadata = {} }) => !without.includes(id) && compileFilter(filter ?? {})(metadata));
      return sendJson(response, 200, { model_version: version, hits: toHits(matching, decodeVector(Buffer.from(vectors, 'base64')), Number(searchParams.get('top'))), vectors: images.length, freshness_s: Number(shard[0]) + 0.5 });
    }
    const found = images.find(({ id }) => pathname === `/vectors/${id}`);
    if (!found) return sendError(response, 404, 'EIS_IMAGE_UNKNOWN');
    return sendJson(response, 200, { id: found.id, model_version: version, dim: DIM, vector: [...found.vector], urls: found.urls, width: 30, height: 40, ...(found.metadata && { metadata: found.metadata }) });
  });
}

/** A wrapper that tells back what it was sent. */
export function startWrapper(): Promise<Stub> {
  return startStub(({ method, url, headers, body }, response) => {
    if (method === 'GET' && url.startsWith('/images/')) {
      response.writeHead(200, { 'content-type': 'image/png', 'x-content-type-options': 'nosniff', 'content-security-policy': 'sandbox', 'cache-control': 'immutable', connection: 'x-hop', 'x-hop': 'one connection only' });
      return void response.end(Buffer.from([1, 2, 3]));
    }
    return sendJson(response, method === 'POST' ? 202 : 200, { method, url, bytes: body.length, contentType: headers['content-type'] });
  });
}

export interface StubbedModel {
  readonly name: string;
  readonly function: Stub;
  /** By shard, its replicas. */
  readonly pods: readonly (readonly Stub[])[];
  readonly weight?: number;
  /** False: it has a function and an index, and no gateway serves it. */
  readonly isServed?: boolean;
  readonly shadow?: { readonly model: string; readonly share: number };
}

export interface GatewayOptions {
  readonly models: readonly StubbedModel[];
  readonly wrapper: Stub;
  /** Environment variables. No embedding is remembered unless they say so: a stub may answer otherwise the next time. */
  readonly variables?: Record<string, string>;
  readonly random?: () => number;
  readonly resolve?: ResolveHost;
}

export interface RunningGateway {
  readonly url: string;
  close(): Promise<void>;
}

/** A gateway as its entry point makes it, on a free port. */
export async function startGateway({ models, wrapper, variables, random, resolve }: GatewayOptions): Promise<RunningGateway> {
  const named = (entry: (model: StubbedModel) => object): object[] => models.map((model) => ({ name: model.name, ...entry(model) }));
  const services = [
    { name: 'indexing', models: named(({ pods }) => ({ num_indexes: pods.length })) },
    { name: 'serving', models: models.filter(({ isServed = true }) => isServed).map(({ name, shadow }) => ({ name, ...(shadow && { shadow }) })) },
    { name: 'nginx', serving_weights: models.filter(({ isServed = true }) => isServed).map(({ name, weight = 1 }) => ({ name, weight })) },
  ];
  const config = parseConfig(JSON.stringify({ models: named(() => ({})), services }), '/test/config.json');
  const urls = models.flatMap(({ name, function: fn, pods }) => [
    [`FUNCTION_URL_${name.toUpperCase()}`, fn.url],
    [`INDEX_URLS_${name.toUpperCase()}`, pods.map((replicas) => replicas.map(({ url }) => url).join(',')).join(';')],
  ]);
  const environment = parseEnvironment({ EIS_EMBEDDING_CACHE_BYTES_MAX: '0', ...Object.fromEntries(urls), ...variables } as Record<string, string>);
  const metrics = new Metrics('gateway');
  const connected = await connectModels(config, environment, { metrics, log: SILENT_LOG, resolve });
  const client = createWrapperClient({ url: wrapper.url, connections: 16 });
  const app = await createGateway({ models: connected, wrapper: client, access: accessOf(environment), limits: environment.limits, log: SILENT_LOG, metrics, version: '0.0.0', ...(random ? { random } : {}) });
  await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    url: `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`,
    async close() {
     await app.close();
     await Promise.all([closeModels(connected), client.close()]);
    },
  };
}

/** The usual: one model `m` on two shards of one replica each. */
export async function startSystem(options: Partial<GatewayOptions> & { readonly images?: readonly [readonly StubImage[], readonly StubImage[]] } = {}): Promise<{ gateway: RunningGateway; fn: Stub; pods: [Stub, Stub]; wrapper: Stub; close(): Promise<void> }> {
  const [first, second] = options.images ?? [[0, 2, 4].map((n) => image(0, n)), [1, 3, 5].map((n) => image(1, n))];
  const [fn, wrapper, ...pods] = await Promise.all([startFunction(), startWrapper(), startPod({ shard: '0/2', images: first }), startPod({ shard: '1/2', images: second })]);
  const gateway = await startGateway({ models: [{ name: 'm', function: fn, pods: pods.map((pod) => [pod]) }], wrapper, ...options });
  return {
    gateway, fn, pods, wrapper,
    async close() {
     await Promise.all([fn, wrapper, ...pods].map((stub) => stub.close()));
      await gateway.close();
    },
  };
}

/** Until `condition` holds; the test's own timeout bounds it. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** The bytes that the stub function embeds as (1, y, -1, -1)-ish: enough to order the images of `startSystem`. */
export const QUERY = Buffer.from([255, 128, 128, 128, 9, 9, 9, 9]);
