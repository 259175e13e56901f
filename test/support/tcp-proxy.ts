/** A TCP proxy whose connections a test cuts, or holds up in one direction. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export class TcpProxy {
  readonly #server: Server;
  readonly #targetPort: number;
  readonly #pairs = new Set<{ readonly client: Socket; readonly target: Socket }>();

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    this.#targetPort = targetPort;
    server.on('connection', (client) => this.#join(client));
  }

  static async start(targetPort: number): Promise<TcpProxy> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new TcpProxy(server, targetPort);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on the connections that stand carry nothing back to the client. */
  muteAnswers(): void {
    for (const { target } of this.#pairs) target.pause().unpipe();
  }

  /** From now on the connections that stand carry nothing on to the target. */
  muteRequests(): void {
    for (const { client } of this.#pairs) client.pause().unpipe();
  }

  /** Resets every connection; new ones are taken. */
  cut(): void {
    for (const { client, target } of this.#pairs) {
      client.resetAndDestroy();
      target.destroy();
    }
    this.#pairs.clear();
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket): void {
    const target = connect(this.#targetPort, '127.0.0.1');
    const pair = { client, target };
    this.#pairs.add(pair);
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      target.destroy();
    };
    for (const socket of [client, target]) socket.on('error', end).on('close', end);
    client.pipe(target).pipe(client);
  }
}
