/** Stands between a worker and the function, and does to their calls what a test wants. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { request as forward } from 'undici';
import { EisError } from '../../common/errors.js';

/** `down`: every connection is cut; `busy`: every image is answered 429; `silent`: no image is answered. */
export type FunctionMode = 'up' | 'down' | 'busy' | 'silent';

export class FunctionProxy {
  mode: FunctionMode = 'up';
  /** Images (by their sha256) that break the function in a way that nobody expects. */
  readonly poisons = new Set<string>();
  /** Images that were answered with an embedding. */
  embedded = 0;
  /** Calls that were cut, or answered 429. */
  refused = 0;
  readonly #server: Server;
  readonly #target: string;

  private constructor(server: Server, target: string) {
    this.#server = server;
    this.#target = target;
    server.on('request', (request, response) => void this.#answer(request, response).catch(() => response.destroy()));
  }

  static async start(target: string): Promise<FunctionProxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FunctionProxy(server, target);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.mode === 'down') {
      this.refused++;
      return void request.socket.destroy();
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    if (request.method === 'POST' && this.mode === 'silent') return;
    const refusal = request.method === 'POST' ? this.#refuse(body) : undefined;
    if (refusal) return void response.writeHead(refusal.statusCode, { 'content-type': 'application/json', 'retry-after': '1' }).end(JSON.stringify(refusal.toBody()));
    const { accept, 'content-type': type } = request.headers;
    const answer = await forward(`${this.#target}${request.url}`, { method: request.method as 'GET' | 'POST', headers: { ...(accept ? { accept } : {}), ...(type ? { 'content-type': type } : {}) }, body: request.method === 'POST' ? body : null });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    if (request.method === 'POST' && answer.statusCode === 200) this.embedded++;
    const headers = Object.entries(answer.headers).filter(([name]) => name.startsWith('x-eis-') || name === 'content-type' || name === 'retry-after');
    response.writeHead(answer.statusCode, Object.fromEntries(headers)).end(bytes);
  }

  #refuse(body: Buffer): EisError | undefined {
    if (this.mode === 'busy') {
      this.refused++;
      return new EisError('EIS_OVERLOADED', { detail: 'This instance is full.' });
    }
    return this.poisons.has(createHash('sha256').update(body).digest('hex')) ? new EisError('EIS_INTERNAL', {}) : undefined;
  }
}
