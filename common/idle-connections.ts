/** Closing a server whose clients keep their connections open: Node and Fastify look for idle ones once, at the beginning. */
import type { Server } from 'node:http';

const CHECK_MS = 20;

/** Closes every connection that becomes idle, until the returned function is called. For a server that is closing. */
export function closeIdleConnections(server: Server): () => void {
  const timer = setInterval(() => server.closeIdleConnections(), CHECK_MS);
  return () => clearInterval(timer);
}
