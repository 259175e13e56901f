/** A Service as a cluster has it: requests go to one of the addresses that are ready now, each in its turn, and to no second. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent, request } from 'undici';

export class Balancer {
  readonly #server: Server;
  readonly #agent = new Agent();
  readonly #underWay = new Map<string, number>();
  #addresses: readonly string[];
  #turn = 0;

  private constructor(server: Server, addresses: readonly string[]) {
    this.#server = server;
    this.#addresses = addresses;
    server.on('request', (incoming: IncomingMessage, answer: ServerResponse) => void this.#pass(incoming, answer));
  }

  static async start(addresses: readonly string[]): Promise<Balancer> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Balancer(server, addresses);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on. What is under way elsewhere is answered from there. */
  use(addresses: readonly string[]): void {
    this.#addresses = addresses;
  }

  /** How many requests an address has in hand. */
  inHand(address: string): number {
    return this.#underWay.get(address) ?? 0;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await this.#agent.destroy();
  }

  async #pass(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const address = this.#addresses[this.#turn++ % this.#addresses.length] as string;
    this.#underWay.set(address, this.inHand(address) + 1);
    try {
      const { statusCode, headers, body } = await request(`${address}${incoming.url ?? '/'}`, { method: 'POST', headers: { 'content-type': incoming.headers['content-type'] ?? '' }, body: incoming, dispatcher: this.#agent });
      answer.writeHead(statusCode, { 'content-type': String(headers['content-type']) }).end(await body.text());
    } catch (error) {
      answer.writeHead(502).end(String(error));
    } finally {
      this.#underWay.set(address, this.inHand(address) - 1);
    }
  }
}
