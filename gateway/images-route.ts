/** /images: taking images in, what became of them, their bytes, removing them. All of it is the wrapper's work. */
import { Type } from 'typebox';
import { EisError } from '../common/errors.js';
import type { App } from '../common/http.js';
import { Metadata } from '../common/metadata.js';
import { DeleteAnswer, DeleteQuery, IMAGE_ID, IngestAnswer, LedgerAnswer, LedgerQuery, SUBMISSION_ID } from '../common/wire.js';
import { createForward, type ForwardParts } from './forward.js';
import { Binary, documented, type Bodies } from './openapi.js';

const tags = ['images'];
const Params = Type.Object({ id: Type.String({ description: 'sha256 of the image bytes, 64 lowercase hexadecimal digits' }) });

const INGEST = {
  schema: {
    tags,
    operationId: 'ingest',
    summary: 'Take images in',
    description: 'Images as multipart files, or URLs. Each may come with metadata, which results carry and searches are filtered by: what is given last replaces what an image had, an empty object takes it away, and an image that comes without keeps what it has. Answered 202 only after the queue confirmed every one; what becomes of each is in the ledger, `GET /images?submission=`.',
    querystring: Type.Object({ submission: Type.Optional(Type.String({ pattern: SUBMISSION_ID.source, description: 'continues a submission' })) }),
  },
  config: documented({ scope: 'write', body: ingestBodies(), response: { 202: IngestAnswer } }),
};

const LEDGER = {
  schema: { tags, operationId: 'ledger', summary: 'What became of images', querystring: LedgerQuery },
  config: documented({ scope: 'write', response: { 200: LedgerAnswer } }),
};

const IMAGE = {
  schema: { tags, operationId: 'image', summary: 'A stored image', params: Params },
  config: documented({ scope: 'search', response: { 200: { description: 'Its bytes', content: { 'image/*': { schema: Binary('as they were taken in') } } } } }),
};

const REMOVE = {
  schema: { tags, operationId: 'remove', summary: 'Remove an image', description: 'From every model that holds it; with `object=true` its bytes from the bucket, too. Taking it in again brings it back.', params: Params, querystring: DeleteQuery },
  config: documented({ scope: 'write', response: { 200: DeleteAnswer } }),
};

export function addImagesRoutes(scope: App, parts: ForwardParts): void {
  const forward = createForward(parts);
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

function requireImageId(id: string): void {
  if (!IMAGE_ID.test(id)) throw new EisError('EIS_IMAGE_ID_INVALID', {});
}

function ingestBodies(): Bodies {
  const url = Type.String({ description: 'http(s):// or gs://' });
  const urls = Type.Array(Type.Union([url, Type.Object({ url, metadata: Type.Optional(Metadata) })]));
  return {
    'multipart/form-data': Type.Object({ metadata: Type.Optional(Type.String({ description: 'JSON, as text: of the image that follows it' })), image: Type.Array(Binary('an image')) }),
    'application/json': Type.Object({ urls }),
    'application/x-ndjson': Type.String({ description: 'one JSON text or { "url", "metadata" } a line' }),
  };
}
