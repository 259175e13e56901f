/** Closing a server whose clients keep their connections open: Node and Fastify look for idle ones once, at the beginning. */
import type { Server } from 'node:http';

const CHECK_MS = 20;

/**
 * Closes every connection that becomes idle, until the returned function is called. For a server that is closing. What has
 * arrived is read first: a request that lies unread makes its connection look idle, as timers run before sockets are read.
 */
export function closeIdleConnections(server: Server): () => void {
  const timer = setInterval(() => setImmediate(() => server.closeIdleConnections()), CHECK_MS);
  return () => clearInterval(timer);
}
