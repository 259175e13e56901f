/** What clients may hold of a gateway by being many, or slow: connections, and what waits in them. Bodies: `search-input.ts`, `forward.ts`. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { App } from '../common/http.js';
import type { Limits } from '../common/limits.js';
import type { Metrics } from '../common/metrics.js';

/** Before the app listens. */
export function boundConnections({ server }: App, { limits, metrics }: { readonly limits: Limits; readonly metrics: Metrics }): void {
  const dropped = metrics.counter('connections_dropped_total', 'Connections that were closed at once, because as many as may be were open');
  server.maxConnections = limits.connectionsMax;
  server.on('drop', () => dropped.inc());
  server.headersTimeout = limits.headersTimeoutMs;
  server.keepAliveTimeout = limits.idleTimeoutMs;
  server.setTimeout(limits.answerTimeoutMs); // Node closes what is still for so long, unless a response says otherwise
  server.on('request', (_request, response: ServerResponse) => response.on('timeout', cutOffReader));
}

/** While an answer is made nothing moves; only bytes that its client does not take are a reason to close. */
function cutOffReader(socket: Socket): void {
  if (socket.writableLength > 0) socket.destroy();
}
