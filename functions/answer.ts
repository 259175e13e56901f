/** Writes the function's answers: embeddings as JSON or binary, and errors. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EisError } from '../common/errors.js';
import { encodeVector } from '../common/vector.js';
import { HEADERS, type EmbedAnswer, type Embedding } from '../common/wire.js';
import { allowHeader } from './admission.js';

export function sendJson(response: ServerResponse, statusCode: number, body: unknown): void {
  sendBytes(response, statusCode, { type: 'application/json; charset=utf-8', bytes: Buffer.from(JSON.stringify(body)) });
}

export function sendBytes(response: ServerResponse, statusCode: number, { type, bytes }: { readonly type: string; readonly bytes: Buffer }): void {
  if (response.headersSent || response.destroyed) return;
  response.statusCode = statusCode;
  response.setHeader('content-type', type);
  response.setHeader('content-length', bytes.length);
  response.end(bytes);
}

/** Answers an error in the words of `common/errors.ts`. */
export function sendError(request: IncomingMessage, response: ServerResponse, error: EisError): void {
  if (error.retryAfterS !== undefined && !response.headersSent) response.setHeader('retry-after', Math.ceil(error.retryAfterS));
  if (error.code === 'EIS_METHOD_NOT_ALLOWED' && !response.headersSent) response.setHeader('allow', allowHeader(request.url));
  sendJson(response, error.statusCode, error.toBody());
}

/** Answers an embedding: as bytes with the rest in headers when the client accepts that, else as JSON. */
export function sendEmbedding(request: IncomingMessage, response: ServerResponse, embedding: Embedding): void {
  if (!acceptsBytes(request)) return sendJson(response, 200, toAnswer(embedding));
  response.setHeader(HEADERS.model, embedding.model);
  response.setHeader(HEADERS.modelVersion, embedding.modelVersion);
  response.setHeader(HEADERS.dim, embedding.vector.length);
  response.setHeader(HEADERS.sha256, embedding.sha256);
  response.setHeader(HEADERS.phash, embedding.phash);
  response.setHeader(HEADERS.width, embedding.width);
  response.setHeader(HEADERS.height, embedding.height);
  response.setHeader(HEADERS.format, embedding.format);
  response.setHeader(HEADERS.timings, JSON.stringify(embedding.timingsMs));
  return sendBytes(response, 200, { type: 'application/octet-stream', bytes: encodeVector(embedding.vector) });
}

function acceptsBytes(request: IncomingMessage): boolean {
  return /(^|,)\s*application\/octet-stream\s*(;|,|$)/i.test(request.headers.accept ?? '');
}

function toAnswer(embedding: Embedding): EmbedAnswer {
  const { model, modelVersion, vector, sha256, phash, width, height, format, timingsMs } = embedding;
  return { model, model_version: modelVersion, dim: vector.length, embedding: [...vector], sha256, phash, width, height, format, timings_ms: timingsMs };
}
