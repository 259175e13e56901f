/** Hands requests on to the wrapper, and its answers back, as they are. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callerSignal } from '../common/caller-signal.js';
import type { Limits } from '../common/limits.js';
import { readWithin } from '../common/request-body.js';
import type { WrapperAnswer, WrapperClient } from './wrapper-client.js';

export interface ForwardParts {
  readonly wrapper: WrapperClient;
  readonly limits: Pick<Limits, 'bodyTimeoutMs'>;
}

export type Forward = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

/** The wrapper bounds what it does; here an upload may not stand still, so that it holds no place for nothing. */
export function createForward({ wrapper, limits: { bodyTimeoutMs } }: ForwardParts): Forward {
  return async (request, reply) => {
    const method = request.method as 'GET' | 'POST' | 'DELETE';
    const body = method === 'POST' && request.body !== undefined ? request.raw : undefined;
    const left = callerSignal(request.raw, reply.raw);
    const forward = (signal: AbortSignal): Promise<WrapperAnswer> => wrapper.forward({ method, path: request.url, headers: request.headers, body, requestId: request.id, signal });
    const answer = await (body ? readWithin(body, { timeoutMs: bodyTimeoutMs, mode: 'arrival' }, (stalled) => forward(AbortSignal.any([left, stalled]))) : forward(left));
    for (const [name, value] of Object.entries(answer.headers)) if (value !== undefined) void reply.header(name, value);
    return reply.code(answer.statusCode).send(answer.body);
  };
}
