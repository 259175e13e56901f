/** Finds out which ports are taken before anything is started on them. */
import { createServer } from 'node:net';
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
