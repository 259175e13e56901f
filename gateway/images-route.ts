/** /images: taking images in, what became of them, their bytes, removing them. All of it is the wrapper's work. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { EisError } from '../common/errors.js';
import type { App } from '../common/http.js';
import type { Limits } from '../common/limits.js';
import { readWithin } from '../common/request-body.js';
import { DeleteAnswer, DeleteQuery, IMAGE_ID, IngestAnswer, LedgerAnswer, LedgerQuery, SUBMISSION_ID } from '../common/wire.js';
import { clientSignal } from './client-signal.js';
import { Binary, documented, type Bodies } from './openapi.js';
import type { WrapperAnswer, WrapperClient } from './wrapper-client.js';

const tags = ['images'];
const Params = Type.Object({ id: Type.String({ description: 'sha256 of the image bytes, 64 lowercase hexadecimal digits' }) });

const INGEST = {
  schema: {
    tags,
    operationId: 'ingest',
    summary: 'Take images in',
    description: 'Images as multipart files, or URLs. Answered 202 only after the queue confirmed every one; what becomes of each is in the ledger, `GET /images?submission=`.',
    querystring: Type.Object({ submission: Type.Optional(Type.String({ pattern: SUBMISSION_ID.source, description: 'continues a submission' })) }),
  },
  config: documented({ body: ingestBodies(), response: { 202: IngestAnswer } }),
};

const LEDGER = {
  schema: { tags, operationId: 'ledger', summary: 'What became of images', querystring: LedgerQuery },
  config: documented({ response: { 200: LedgerAnswer } }),
};

const IMAGE = {
  schema: { tags, operationId: 'image', summary: 'A stored image', params: Params },
  config: documented({ response: { 200: { description: 'Its bytes', content: { 'image/*': { schema: Binary('as they were taken in') } } } } }),
};

const REMOVE = {
  schema: { tags, operationId: 'remove', summary: 'Remove an image', description: 'From every model that holds it; with `object=true` its bytes from the bucket, too. Taking it in again brings it back.', params: Params, querystring: DeleteQuery },
  config: documented({ response: { 200: DeleteAnswer } }),
};

export interface ImagesRouteParts {
  readonly wrapper: WrapperClient;
  readonly limits: Pick<Limits, 'bodyTimeoutMs'>;
}

export function addImagesRoutes(scope: App, { wrapper, limits: { bodyTimeoutMs } }: ImagesRouteParts): void {
  const forward = (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => forwardTo({ wrapper, bodyTimeoutMs }, request, reply);

  scope.post('/images', INGEST, forward);
  scope.get('/images', LEDGER, forward);
  scope.get('/images/:id', IMAGE, (request, reply) => {
    requireImageId(request.params.id);
    return forward(request, reply);
  });
  scope.delete('/images/:id', REMOVE, (request, reply) => {
    requireImageId(request.params.id);
    return forward(request, reply);
  });
}

/** The wrapper bounds what it does; here an upload may not stand still, so that it holds no place for nothing. */
async function forwardTo({ wrapper, bodyTimeoutMs }: { readonly wrapper: WrapperClient; readonly bodyTimeoutMs: number }, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const method = request.method as 'GET' | 'POST' | 'DELETE';
  const body = method === 'POST' && request.body !== undefined ? request.raw : undefined;
  const left = clientSignal(reply);
  const forward = (signal: AbortSignal): Promise<WrapperAnswer> => wrapper.forward({ method, path: request.url, headers: request.headers, body, requestId: request.id, signal });
  const answer = await (body ? readWithin(body, { timeoutMs: bodyTimeoutMs, mode: 'arrival' }, (stalled) => forward(AbortSignal.any([left, stalled]))) : forward(left));
  for (const [name, value] of Object.entries(answer.headers)) if (value !== undefined) void reply.header(name, value);
  return reply.code(answer.statusCode).send(answer.body);
}

function requireImageId(id: string): void {
  if (!IMAGE_ID.test(id)) throw new EisError('EIS_IMAGE_ID_INVALID', {});
}

function ingestBodies(): Bodies {
  const urls = Type.Array(Type.String(), { description: 'http(s):// or gs://' });
  return {
    'multipart/form-data': Type.Object({ image: Type.Array(Binary('an image')) }),
    'application/json': Type.Object({ urls }),
    'application/x-ndjson': Type.String({ description: 'one JSON text or { "url" } a line' }),
  };
}
