/** Reads what is searched for from a request, in each of the forms that POST /search takes. */
import type { Readable } from 'node:stream';
import multipart from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { EisError } from '../common/errors.js';
import type { App } from '../common/http.js';
import type { Limits } from '../common/limits.js';
import { readBounded } from '../common/read-bounded.js';
import { mediaType, readWithin } from '../common/request-body.js';
import type { Filter } from '../common/filter.js';
import type { QueryImage, QueryImages } from './query-vector.js';
import { readSearchForm, requireFew, requireImage } from './search-form.js';
import { readQuery } from './search-json.js';

const ACCEPTED = 'the bytes of an image as image/* or application/octet-stream, multipart/form-data with the file in the field "image", or application/json with "url" or "id"';

/** Bytes of a JSON body: URLs, ids and a filter. Images have a limit of their own. */
export const JSON_BYTES_MAX = 64 * 1024;

type OnBytes = (bytes: number) => void;

/** Lets the routes of `scope` take images: every body stays a stream until `readSearchQuery` reads it. */
export async function acceptImages(scope: App): Promise<void> {
  const asStream = (_request: FastifyRequest, payload: Readable, done: (error: Error | null, body?: unknown) => void): void => done(null, payload);
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser(/^image\//, asStream);
  scope.addContentTypeParser(['application/octet-stream', 'application/json'], asStream);
  scope.addContentTypeParser('*', (request, _payload, done) => {
    const { 'content-type': received = 'none', 'content-length': length } = request.headers;
    done(length === '0' ? new EisError('EIS_IMAGE_MISSING', {}) : new EisError('EIS_MEDIA_TYPE', { received, accepted: ACCEPTED }));
  });
  await scope.register(multipart);
}

export interface SearchQuery {
  readonly images: QueryImages;
  readonly filter: Filter | undefined;
}

/**
 * What a request searches for, in whichever form its body has.
 *
 * @param onBytes told of what arrives of an image, before it is kept; may throw
 * @throws EisError EIS_IMAGE_MISSING, EIS_IMAGE_TOO_LARGE, EIS_BODY_TOO_LARGE, EIS_IMAGE_ID_INVALID, EIS_URL_INVALID,
 *   EIS_FILTER_INVALID, EIS_BAD_REQUEST with what would be right; EIS_BODY_TIMEOUT, EIS_CLIENT_CLOSED
 */
export async function readSearchQuery(request: FastifyRequest, limits: Limits, onBytes?: OnBytes): Promise<SearchQuery> {
  if (request.body === undefined && !request.isMultipart()) throw new EisError('EIS_IMAGE_MISSING', {});
  return readWithin(request.raw, { timeoutMs: limits.bodyTimeoutMs, mode: 'whole' }, async () => {
    if (request.isMultipart()) return toSearchQuery(await readSearchForm(request, limits, onBytes), limits);
    if (mediaType(request.headers) === 'application/json') return toSearchQuery(readQuery(await readText(request), limits), limits);
    const bytes = requireImage(await readBytes(request, limits.imageBytesMax, onBytes), limits.imageBytesMax);
    return { images: [{ input: { bytes }, weight: 1 }], filter: undefined };
  });
}

function toSearchQuery({ images, filter }: { readonly images: readonly QueryImage[]; readonly filter: Filter | undefined }, limits: Limits): SearchQuery {
  requireFew(images, limits);
  return { images: images as QueryImages, filter }; // each form has one at least
}

/** The body, or undefined when it is longer than `bytesMax`; where it says so, without reading it. */
async function readBytes(request: FastifyRequest, bytesMax: number, onBytes?: OnBytes): Promise<Buffer | undefined> {
  return Number(request.headers['content-length'] ?? 0) > bytesMax ? undefined : readBounded(request.raw, bytesMax, onBytes);
}

async function readText(request: FastifyRequest): Promise<string> {
  const bytes = await readBytes(request, JSON_BYTES_MAX);
  if (bytes === undefined) throw new EisError('EIS_BODY_TOO_LARGE', { bytesMax: JSON_BYTES_MAX });
  return bytes.toString('utf8');
}
