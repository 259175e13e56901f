/** Writes the function's answers: embeddings as JSON or binary, and errors. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { EisError } from '../common/errors.js';
import { HEADERS } from '../common/headers.js';
import { encodeVector } from '../common/vector.js';
import type { EmbedAnswer, Embedding } from '../common/wire.js';
import { allowHeader } from './admission.js';

export function sendJson(response: ServerResponse, statusCode: number, body: unknown): void {
  sendBytes(response, statusCode, jsonContent(body));
}

function jsonContent(body: unknown): { readonly type: string; readonly bytes: Buffer } {
  return { type: 'application/json; charset=utf-8', bytes: Buffer.from(JSON.stringify(body)) };
}

export function sendBytes(response: ServerResponse, statusCode: number, content: { readonly type: string; readonly bytes: Buffer }): void {
  if (writeWhole(response, statusCode, content)) response.end();
}

/** Writes all of an answer without ending its exchange. False when it cannot be answered any more. */
function writeWhole(response: ServerResponse, statusCode: number, { type, bytes }: { readonly type: string; readonly bytes: Buffer }): boolean {
  if (response.headersSent || response.destroyed) return false;
  response.statusCode = statusCode;
  response.setHeader('content-type', type);
  response.setHeader('content-length', bytes.length);
  response.write(bytes);
  return true;
}

/** Answers an error in the words of `common/errors.ts`. */
export function sendError(request: IncomingMessage, response: ServerResponse, error: EisError): void {
  if (writeError(request, response, error)) response.end();
}

/**
 * Answers an error to a client that is still sending; the connection serves no other request. Whoever calls ends the
 * response. False when it cannot be answered any more.
 */
export function sendErrorEarly(request: IncomingMessage, response: ServerResponse, error: EisError): boolean {
  if (!response.headersSent) response.setHeader('connection', 'close');
  return writeError(request, response, error);
}

function writeError(request: IncomingMessage, response: ServerResponse, error: EisError): boolean {
  if (error.retryAfterS !== undefined && !response.headersSent) response.setHeader('retry-after', Math.ceil(error.retryAfterS));
  if (error.code === 'EIS_METHOD_NOT_ALLOWED' && !response.headersSent) response.setHeader('allow', allowHeader(request.url));
  return writeWhole(response, error.statusCode, jsonContent(error.toBody()));
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
