/**
 * What a Kubernetes Service does, on one machine: each new connection goes to the next of its targets that says that it is
 * ready. Connections that stand stay where they are.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export interface BalancerOptions {
  /** URLs of the targets. */
  readonly targets: readonly string[];
  readonly readyPath: string;
}

const POLL_MS = 100;

export class Balancer {
  readonly #targets: URL[];
  readonly #ready = new Set<URL>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  readonly #readyPath: string;
  #timer: NodeJS.Timeout | undefined;
  #next = 0;

  private constructor({ targets, readyPath }: BalancerOptions) {
    this.#targets = targets.map((target) => new URL(target));
    this.#server = createServer((client) => this.#join(client));
    this.#readyPath = readyPath;
  }

  /** Resolves when it knows its targets and takes connections. */
  static async start(options: BalancerOptions): Promise<Balancer> {
    const balancer = new Balancer(options);
    await balancer.#checkAll();
    balancer.#timer = setInterval(() => void balancer.#checkAll(), POLL_MS);
    balancer.#server.listen(0, '127.0.0.1');
    await once(balancer.#server, 'listening');
    return balancer;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many targets are sent to. */
  get ready(): number {
    return this.#ready.size;
  }

  /** Another target, which is sent to as soon as it says that it is ready. */
  add(target: string): void {
    this.#targets.push(new URL(target));
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #checkAll(): Promise<void> {
    await Promise.all(this.#targets.map((target) => this.#check(target)));
  }

  /** One that answers late stays what it was. */
  async #check(target: URL): Promise<void> {
    try {
      const response = await fetch(new URL(this.#readyPath, target), { signal: AbortSignal.timeout(3_000), headers: { connection: 'close' } });
      await response.arrayBuffer();
      if (response.ok) this.#ready.add(target);
      else this.#ready.delete(target);
    } catch (error) {
      if ((error as Error).name !== 'TimeoutError') this.#ready.delete(target);
    }
  }

  #join(client: Socket): void {
    const ready = this.#targets.filter((target) => this.#ready.has(target));
    const target = ready[this.#next++ % ready.length];
    if (!target) return void client.destroy();
    const server = connect(Number(target.port), target.hostname);
    const end = (): void => {
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', end).once('close', () => this.#sockets.delete(socket));
    }
    client.once('close', () => server.destroySoon());
    server.once('close', () => client.destroySoon());
    client.pipe(server).pipe(client);
  }
}
