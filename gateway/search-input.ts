/** Reads what is searched for from a request, in each of the forms that POST /search takes. */
import type { Readable } from 'node:stream';
import multipart, { type MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { EisError } from '../common/errors.js';
import type { App } from '../common/http.js';
import type { Limits } from '../common/limits.js';
import { PART_BUFFER_BYTES, toMultipartError } from '../common/multipart.js';
import { readBounded } from '../common/read-bounded.js';
import { mediaType, readWithin } from '../common/request-body.js';
import { IMAGE_ID } from '../common/wire.js';
import type { SearchInput } from './search.js';

const ACCEPTED = 'the bytes of an image as image/* or application/octet-stream, multipart/form-data with the file in the field "image", or application/json with "url" or "id"';

/** Bytes of a JSON body: one URL or one id. Images have a limit of their own. */
export const JSON_BYTES_MAX = 64 * 1024;

type OnBytes = (bytes: number) => void;

/** Lets the routes of `scope` take images: every body stays a stream until `readSearchInput` reads it. */
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

/**
 * What a request searches for.
 *
 * @param onBytes told of what arrives of an image, before it is kept; may throw
 * @throws EisError EIS_IMAGE_MISSING, EIS_IMAGE_TOO_LARGE, EIS_BODY_TOO_LARGE, EIS_IMAGE_ID_INVALID, EIS_URL_INVALID,
 *   EIS_BAD_REQUEST with what would be right; EIS_BODY_TIMEOUT, EIS_CLIENT_CLOSED
 */
export async function readSearchInput(request: FastifyRequest, limits: Limits, onBytes?: OnBytes): Promise<SearchInput> {
  if (request.body === undefined && !request.isMultipart()) throw new EisError('EIS_IMAGE_MISSING', {});
  return readWithin(request.raw, { timeoutMs: limits.bodyTimeoutMs, mode: 'whole' }, async () => {
    if (request.isMultipart()) return { bytes: await readMultipart(request, limits, onBytes) };
    if (mediaType(request.headers) === 'application/json') return readJson(await readText(request), limits);
    return { bytes: requireImage(await readBytes(request, limits.imageBytesMax, onBytes), limits.imageBytesMax) };
  });
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

function requireImage(bytes: Buffer | undefined, imageBytesMax: number): Buffer {
  if (bytes === undefined) throw new EisError('EIS_IMAGE_TOO_LARGE', { imageBytesMax });
  if (bytes.length === 0) throw new EisError('EIS_IMAGE_MISSING', {});
  return bytes;
}

/** The file of the field `image`; other fields are read over. */
async function readMultipart(request: FastifyRequest, { imageBytesMax }: Limits, onBytes?: OnBytes): Promise<Buffer> {
  let image: Buffer | undefined;
  try {
    for await (const part of request.parts({ limits: { fileSize: imageBytesMax, files: 4, fields: 16, parts: 20, fieldSize: 64 * 1024, headerPairs: 100 }, fileHwm: PART_BUFFER_BYTES })) {
      if (part.type === 'file' && part.fieldname === 'image' && !image) image = await readPart(part, imageBytesMax, onBytes);
      else if (part.fieldname === 'image') throw badRequest(part.type === 'file' ? 'There are several files in the field "image". Send one.' : 'The field "image" is text. Send it as a file, with a filename: curl -F image=@photo.jpg');
      else if (part.type === 'file') part.file.resume();
    }
  } catch (thrown) {
    throw toMultipartError(thrown);
  }
  if (!image) throw badRequest('There is no file in the field "image". Send the image in it: curl -F image=@photo.jpg');
  return image;
}

async function readPart(part: MultipartFile, imageBytesMax: number, onBytes?: OnBytes): Promise<Buffer> {
  const bytes = await readBounded(part.file, imageBytesMax, onBytes).catch((thrown: unknown) => {
    if ((thrown as { code?: unknown }).code === 'FST_REQ_FILE_TOO_LARGE') return undefined;
    throw thrown;
  });
  return requireImage(part.file.truncated ? undefined : bytes, imageBytesMax);
}

function readJson(text: string, { urlLengthMax }: Limits): SearchInput {
  const right = 'Send { "url": "https://…" } or { "id": "<64 hexadecimal digits>" }, one of the two.';
  const body = parseJson(text, right);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw badRequest(`The JSON in the body is not an object. ${right}`);
  const { url, id, ...others } = body as Record<string, unknown>;
  const [other] = Object.keys(others);
  if (other !== undefined) throw badRequest(`${JSON.stringify(other)} is not part of the body. ${right} "model" and "top" stand in the query: /search?top=20.`);
  if ((url === undefined) === (id === undefined)) throw badRequest(`The JSON in the body has ${url === undefined ? 'neither "url" nor "id"' : 'both "url" and "id"'}. ${right}`);
  if (id !== undefined) {
    if (typeof id !== 'string' || !IMAGE_ID.test(id)) throw new EisError('EIS_IMAGE_ID_INVALID', {});
    return { id };
  }
  if (typeof url !== 'string' || url === '') throw badRequest(`"url" is not a text. ${right}`);
  if (url.length > urlLengthMax) throw new EisError('EIS_URL_INVALID', { detail: `The URL has ${url.length} characters; at most ${urlLengthMax} are accepted.` });
  return { url };
}

function parseJson(text: string, right: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw badRequest(`${text.trim() === '' ? 'The body is empty.' : 'The body is not JSON.'} ${right}`, cause);
  }
}

function badRequest(detail: string, cause?: unknown): EisError {
  return new EisError('EIS_BAD_REQUEST', { detail }, { cause });
}
