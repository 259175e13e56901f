/**
 * A function that embeds nothing: its answer follows from the bytes, or from the URL, that it is sent, after a fixed
 * time. For what is measured or broken around the function, not in it.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { HEADERS } from '../../common/headers.js';
import { encodeVector, normalise } from '../../common/vector.js';

export const STUB_VERSION = 'f'.repeat(64);

export interface StubFunctionOptions {
  readonly model: string;
  readonly dim: number;
  /** Time that an embedding takes. */
  readonly delayMs: number;
  /** The content that a URL stands for; default: the URL itself. */
  readonly contentOf?: (url: string) => string;
  /** Default: a free one. */
  readonly port?: number;
  /** What it runs now; default: STUB_VERSION. Each version makes other vectors. */
  readonly version?: () => string;
}

export async function startStubFunction(options: StubFunctionOptions): Promise<{ readonly url: string; readonly server: Server }> {
  const server = createServer((request, response) => void answer(request, response, options).catch(() => response.destroy()));
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

async function answer(request: IncomingMessage, response: ServerResponse, options: StubFunctionOptions): Promise<void> {
  const { model, dim, delayMs, version: versionNow = () => STUB_VERSION } = options;
  const version = versionNow();
  if (request.method === 'GET') return void response.setHeader('content-type', 'application/json').end(JSON.stringify({ status: 'ready', model, model_version: version, dim }));
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  if (delayMs > 0) await sleep(delayMs);
  const content = contentOf(Buffer.concat(chunks), request, options);
  const id = createHash('sha256').update(content).digest('hex');
  response.writeHead(200, {
    'content-type': 'application/octet-stream',
    [HEADERS.model]: model,
    [HEADERS.modelVersion]: version,
    [HEADERS.dim]: dim,
    [HEADERS.sha256]: id,
    [HEADERS.phash]: id.slice(0, 16),
    [HEADERS.width]: 32,
    [HEADERS.height]: 32,
    [HEADERS.format]: 'png',
    [HEADERS.timings]: JSON.stringify({ fetch: 0, decode: 0, infer: delayMs }),
  });
  response.end(encodeVector(stubVector(content, { dim, version })));
}

function contentOf(body: Buffer, { headers }: IncomingMessage, { contentOf: name = (url) => url }: StubFunctionOptions): Buffer | string {
  return headers['content-type'] === 'application/json' ? name((JSON.parse(body.toString()) as { url: string }).url) : body;
}

/** The embedding of a content by a version. */
export function stubVector(content: Buffer | string, { dim, version }: { readonly dim: number; readonly version: string }): Float32Array {
  const digest = createHash('sha256').update(content).update(version === STUB_VERSION ? '' : version).digest();
  return normalise(Array.from({ length: dim }, (_, i) => (digest[i % digest.length] as number) - 127.5 + i / dim));
}
