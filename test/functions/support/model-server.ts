/** A host of models, as a bucket is one: ETags, ranges, If-Range; what it was asked is written down, and it can be told to misbehave. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { seededWeights, tinyClassifier, type ModelJson } from './tiny-model.js';

export interface Asked {
  readonly path: string;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
}

export interface ModelServer {
  readonly base: string;
  readonly port: number;
  /** By path, without the query. */
  readonly files: Record<string, Buffer | RequestListener>;
  readonly asked: Asked[];
  /** Headers that every file is sent with. */
  headers: Record<string, string>;
  paths(): string[];
  close(): void;
}

export async function startModelServer(): Promise<ModelServer> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    asked.push({ path: request.url!, range: request.headers.range, ifRange: request.headers['if-range'] as string | undefined });
    const file = host.files[request.url!.split('?')[0]!];
    if (typeof file === 'function') file(request, response);
    else if (file === undefined) response.writeHead(404).end();
    else sendFile(request, response, { bytes: file, headers: host.headers });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const host: ModelServer = {
    base: `http://127.0.0.1:${port}`,
    port,
    files: {},
    asked,
    headers: {},
    paths: () => asked.map(({ path }) => path),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
  return host;
}

interface SentFile {
  readonly bytes: Buffer;
  /** An `etag` that is empty: none. */
  readonly headers?: Record<string, string>;
  /** The connection is cut after so many bytes of the body, as soon as `beforeCut` of their end in the file allows it. */
  readonly cutAfter?: number;
  readonly beforeCut?: (position: number) => Promise<void>;
}

export function etagOf(bytes: Buffer): string {
  return `"${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}"`;
}

/** Answers as RFC 9110 says: a part only when asked for one, and when If-Range names the version that there is. */
export function sendFile(request: IncomingMessage, response: ServerResponse, { bytes, headers = {}, cutAfter = Infinity, beforeCut = async () => undefined }: SentFile): void {
  const etag = headers['etag'] ?? etagOf(bytes);
  const ifRange = request.headers['if-range'] as string | undefined;
  const isSame = ifRange === undefined || ifRange === etag || ifRange === headers['last-modified'];
  const from = isSame ? Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0) : 0;
  const common = Object.fromEntries(Object.entries({ ...headers, etag, 'accept-ranges': 'bytes' }).filter(([, value]) => value !== ''));
  if (from > 0 && from >= bytes.length) return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
  const body = bytes.subarray(from);
  response.writeHead(from > 0 ? 206 : 200, { ...common, 'content-length': body.length, ...(from > 0 ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}) });
  if (cutAfter >= body.length) response.end(body);
  else response.write(body.subarray(0, cutAfter), () => void beforeCut(from + cutAfter).then(() => response.destroy()));
}

/** One answer after the other; the last one again and again. */
export function inTurn(...answers: readonly RequestListener[]): RequestListener {
  let turn = 0;
  return (request, response) => void answers[Math.min(turn++, answers.length - 1)]!(request, response);
}

export const MODEL = tinyClassifier();

export function modelJson(model: ModelJson = MODEL): Buffer {
  return Buffer.from(JSON.stringify(model));
}

/** The tiny classifier under `/m/`, its weights in two files of 300 and 208 bytes. */
export function tinyFiles(seed = 1): Record<string, Buffer> {
  const weights = seededWeights(MODEL, seed);
  return { '/m/model.json': modelJson(), '/m/shard1.bin': weights.subarray(0, 300), '/m/more/shard2.bin': weights.subarray(300) };
}

/** A model of one weight file of so many float32 numbers, under `/m/`. */
export function bigFiles(count: number): Record<string, Buffer> {
  const model: ModelJson = { ...MODEL, weightsManifest: [{ paths: ['big.bin'], weights: [{ name: 'big', shape: [count], dtype: 'float32' }] }] };
  return { '/m/model.json': modelJson(model), '/m/big.bin': seededWeights(model) };
}
