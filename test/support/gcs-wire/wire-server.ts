/**
 * The JSON API of Cloud Storage, as far as the client uses it here, over real connections: an in-memory bucket named
 * "bucket" that the unmodified client talks to. It keeps to what is documented; what it cannot show stands in
 * ARCHITECTURE.md.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Faults, type Fault, type Operation } from './faults.js';
import { Objects, WireError, crc32c, md5, toResource, type StoredObject } from './objects.js';
import { Sessions, readMultipart } from './uploads.js';

export const WIRE_BUCKET = 'bucket';

export interface SeenRequest {
  readonly operation: Operation;
  readonly query: URLSearchParams;
  readonly range: string | undefined;
}

export class WireServer {
  readonly objects = new Objects();
  readonly sessions = new Sessions(this.objects);
  readonly faults = new Faults();
  /** Every request, in the order they came. */
  readonly seen: SeenRequest[] = [];
  // Connections are kept for longer than any pause of a busy machine: one that closes as it is used again is a fault that no test asked for.
  readonly #server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => void this.#serve(request, response));

  static async start(): Promise<WireServer> {
    const server = new WireServer();
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  count(operation: Operation): number {
    return this.seen.filter((request) => request.operation === operation).length;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.on('error', () => undefined);
    try {
      const url = new URL(request.url ?? '/', this.url);
      const route = routeOf(request, url);
      this.seen.push({ operation: route.operation, query: url.searchParams, range: request.headers['content-range'] ?? request.headers.range });
      const fault = this.faults.take(route.operation);
      if (fault?.kind === 'slow') await sleep(fault.delayMs, undefined, { ref: false });
      if (fault?.kind === 'status') {
        await drain(request);
        throw new WireError(fault.status, `Fault ${fault.status}.`);
      }
      if (route.bucket !== WIRE_BUCKET) throw new WireError(404, 'The specified bucket does not exist.');
      await this.#answer({ ...route, query: url.searchParams, request, response, fault });
    } catch (thrown) {
      if (thrown instanceof WireError) sendJson(response, thrown.status, { error: { code: thrown.status, message: thrown.message, errors: [{ message: thrown.message, domain: 'global', reason: 'test' }] } });
      else request.destroy();
    }
  }

  async #answer(exchange: Exchange): Promise<void> {
    const { operation, query, name, request, response, fault } = exchange;
    if (operation === 'download') return sendObject(this.objects.require(name), exchange);
    if (operation === 'metadata') return sendJson(response, 200, toResource(this.objects.require(name)));
    if (operation === 'list') return sendJson(response, 200, this.objects.list(query));
    if (operation === 'delete') {
      this.objects.require(name);
      this.objects.byName.delete(name);
      return fault?.kind === 'lost' ? void request.destroy() : void response.writeHead(204).end();
    }
    if (operation === 'session') {
      const metadata = JSON.parse((await readBody(request)).toString() || '{}') as { md5Hash?: string };
      const id = this.sessions.open({ name: query.get('name') ?? '', md5Hash: metadata.md5Hash, ifGenerationMatch: query.get('ifGenerationMatch') });
      return void response.writeHead(200, { location: `${this.url}/upload/storage/v1/b/${WIRE_BUCKET}/o?uploadType=resumable&upload_id=${id}`, 'content-length': 0 }).end();
    }
    if (operation === 'insert') return this.#insert(exchange);
    return this.#continue(exchange);
  }

  async #insert({ query, request, response, fault }: Exchange): Promise<void> {
    const { metadata, bytes } = readMultipart(request.headers['content-type'] ?? '', await readBody(request, fault));
    const object = this.objects.insert({ ...metadata, name: query.get('name') ?? '', bytes }, query.get('ifGenerationMatch'));
    if (fault?.kind === 'lost') request.destroy();
    else sendJson(response, 200, toResource(object));
  }

  /** A chunk of a session, or the question how far it is. */
  async #continue({ query, request, response, fault }: Exchange): Promise<void> {
    const session = this.sessions.require(query.get('upload_id') ?? '');
    const range = request.headers['content-range'] ?? '';
    if (fault?.kind === 'forget') session.forget();
    session.begin(range);
    await readBody(request, fault, (bytes) => session.receive(bytes)).catch((error: unknown) => {
      session.cut();
      throw error;
    });
    const object = session.finish(range);
    if (fault?.kind === 'lost') request.destroy();
    else if (object) sendJson(response, 200, toResource(object));
    else response.writeHead(308, { ...(session.size > 0 ? { range: `bytes=0-${session.size - 1}` } : {}), 'content-length': 0 }).end();
  }
}

// ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Route {
  readonly operation: Operation;
  readonly bucket: string;
  readonly name: string;
}

interface Exchange extends Route {
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly fault: Fault | undefined;
}

/** With STORAGE_EMULATOR_HOST the client leaves out /storage/v1 but where it uploads. */
function routeOf({ method, headers }: IncomingMessage, { pathname, searchParams }: URL): Route {
  const [, upload, bucket = '', object] = /^(\/upload)?(?:\/storage\/v1)?\/b\/([^/]+)\/o(?:\/(.+))?$/.exec(pathname) ?? [];
  const name = decodeURIComponent(object ?? '');
  const route = (operation: Operation): Route => ({ operation, bucket, name });
  if (upload !== undefined && method === 'PUT') return route(headers['content-range']?.startsWith('bytes */') ? 'status' : 'chunk');
  if (upload !== undefined) return route(searchParams.get('uploadType') === 'resumable' ? 'session' : 'insert');
  if (method === 'DELETE') return route('delete');
  if (object === undefined) return route('list');
  return route(searchParams.get('alt') === 'media' ? 'download' : 'metadata');
}

/** The body; a fault cuts the connection within it. Every piece is handed to `onBytes` as it comes. */
async function readBody(request: IncomingMessage, fault?: Fault, onBytes: (bytes: Buffer) => void = () => undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    onBytes(chunk);
    chunks.push(chunk);
    size += chunk.length;
    if (fault?.kind === 'reset' && size >= fault.afterBytes) {
      request.socket.resetAndDestroy();
      throw new Error('reset');
    }
  }
  return Buffer.concat(chunks);
}

async function drain(request: IncomingMessage): Promise<void> {
  for await (const chunk of request) void chunk;
}

// ── Answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function sendJson(response: ServerResponse, status: number, body: object): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8', 'content-length': bytes.length }).end(bytes);
}

function sendObject({ bytes, contentType, contentEncoding, generation }: StoredObject, { request, response, fault }: Exchange): void {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  if (from !== undefined && Number(from) >= bytes.length) throw new WireError(416, 'Request range not satisfiable');
  const last = Math.min(to === undefined || to === '' ? Infinity : Number(to), bytes.length - 1);
  const part = Buffer.from(bytes.subarray(Number(from ?? 0), last + 1));
  const hashes = [`crc32c=${crc32c(bytes)}`, ...(fault?.kind === 'corrupt' && fault.hash === 'crc32c' ? [] : [`md5=${md5(bytes)}`])];
  if (fault?.kind === 'corrupt') part[0] = part[0]! ^ 0xff;
  response.writeHead(from === undefined ? 200 : 206, {
    'content-type': contentType, 'content-length': part.length, 'x-goog-hash': hashes.join(','), 'x-goog-generation': String(generation),
    'x-goog-stored-content-encoding': contentEncoding ?? 'identity',
    ...(contentEncoding === undefined ? {} : { 'content-encoding': contentEncoding }),
    ...(from === undefined ? {} : { 'content-range': `bytes ${from}-${last}/${bytes.length}` }),
  });
  if (fault?.kind !== 'reset' && fault?.kind !== 'short' && fault?.kind !== 'stall') return void response.end(part);
  response.write(part.subarray(0, fault.afterBytes), () => {
    if (fault.kind === 'reset') request.socket.resetAndDestroy();
    if (fault.kind === 'short') request.socket.end();
  });
}
