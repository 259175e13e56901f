/** Knows when a client has left, so that nothing more is done for it. */
import type { FastifyReply } from 'fastify';
import { EisError } from '../common/errors.js';

/** Aborted, with EIS_CLIENT_CLOSED, when the client closes the connection before the whole answer was sent. */
export function clientSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const leave = (): void => controller.abort(new EisError('EIS_CLIENT_CLOSED', {}));
  if (reply.raw.destroyed) leave();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) leave();
  });
  return controller.signal;
}
