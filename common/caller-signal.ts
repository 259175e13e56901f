/** Knows when nobody waits for an answer any more, so that nothing more is done for it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { EisError } from './errors.js';
import { HEADERS } from './headers.js';

/** Longer than any call of ours; beyond it a timer would not fit into 32 bits. */
const TIMEOUT_MS_MAX = 3_600_000;

/**
 * Aborted with EIS_CLIENT_CLOSED when the caller closes the connection before the whole answer was sent, and with
 * EIS_CALLER_TIMEOUT when the time is over that it gives in `X-Eis-Timeout-Ms`: a proxy in between may keep the connection.
 */
export function callerSignal(request: IncomingMessage, response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  const leave = (): void => controller.abort(new EisError('EIS_CLIENT_CLOSED', {}));
  if (response.destroyed) leave();
  const timeoutMs = readTimeout(request.headers[HEADERS.timeout]);
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => controller.abort(new EisError('EIS_CALLER_TIMEOUT', { timeoutMs })), timeoutMs);
  response.once('close', () => {
    clearTimeout(timer);
    if (!response.writableFinished) leave();
  });
  return controller.signal;
}

/** What is no whole number of milliseconds gives no time at all to keep. */
function readTimeout(value: string | string[] | undefined): number | undefined {
  if (typeof value !== 'string' || !/^\d{1,9}$/.test(value)) return undefined;
  return Math.min(Number(value), TIMEOUT_MS_MAX);
}
