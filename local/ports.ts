/** Finds out which ports are taken before anything is started on them, and one that is not. */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import type { ProcessSpec } from './processes.js';

/** The processes whose port another program listens on. */
export async function findTakenPorts(specs: readonly ProcessSpec[]): Promise<ProcessSpec[]> {
  const taken = await Promise.all(specs.map(({ port }) => isTaken(port)));
  return specs.filter((_, i) => taken[i]);
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(true));
    server.listen({ port, host: '127.0.0.1' }, () => server.close(() => resolve(false)));
  });
}

/** A port of this machine that nothing listened on a moment ago. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
