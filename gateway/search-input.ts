/** Reads what is searched for from a request, in each of the forms that POST /search takes. */
import type { Readable } from 'node:stream';
import multipart, { type MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { EisError, isEisError } from '../common/errors.js';
import type { App } from '../common/http.js';
import type { Limits } from '../common/limits.js';
import { IMAGE_ID } from '../common/wire.js';
import { readBounded } from './read-bounded.js';
import type { SearchInput } from './search.js';

const ACCEPTED = 'the bytes of an image as image/* or application/octet-stream, multipart/form-data with the file in the field "image", or application/json with "url" or "id"';

/** Lets the routes of `scope` take images: bytes stay a stream until `readSearchInput` reads them. */
export async function acceptImages(scope: App): Promise<void> {
  const asStream = (_request: FastifyRequest, payload: Readable, done: (error: Error | null, body?: unknown) => void): void => done(null, payload);
  scope.removeContentTypeParser('text/plain');
  scope.addContentTypeParser(/^image\//, asStream);
  scope.addContentTypeParser('application/octet-stream', asStream);
  scope.addContentTypeParser('*', (request, _payload, done) => {
    const { 'content-type': received = 'of no kind', 'content-length': length } = request.headers;
    done(length === '0' ? new EisError('EIS_IMAGE_MISSING', {}) : new EisError('EIS_MEDIA_TYPE', { received, accepted: ACCEPTED }));
  });
  await scope.register(multipart);
}

/**
 * What a request searches for.
 *
 * @throws EisError EIS_IMAGE_MISSING, EIS_IMAGE_TOO_LARGE, EIS_IMAGE_ID_INVALID, EIS_URL_INVALID, or EIS_BAD_REQUEST with
 *   what would be right
 */
export async function readSearchInput(request: FastifyRequest, limits: Limits): Promise<SearchInput> {
  if (request.isMultipart()) return { bytes: await readMultipart(request, limits) };
  const { body } = request;
  if (body === undefined || body === null) throw new EisError('EIS_IMAGE_MISSING', {});
  if (body === request.raw) return { bytes: await readBytes(request, limits) };
  return readJson(body, limits);
}

async function readBytes(request: FastifyRequest, { imageBytesMax }: Limits): Promise<Buffer> {
  const tooLarge = Number(request.headers['content-length'] ?? 0) > imageBytesMax;
  const bytes = tooLarge ? undefined : await readBounded(request.raw, imageBytesMax);
  return requireImage(bytes, imageBytesMax);
}

function requireImage(bytes: Buffer | undefined, imageBytesMax: number): Buffer {
  if (bytes === undefined) throw new EisError('EIS_IMAGE_TOO_LARGE', { imageBytesMax });
  if (bytes.length === 0) throw new EisError('EIS_IMAGE_MISSING', {});
  return bytes;
}

/** The file of the field `image`; other fields are read over. */
async function readMultipart(request: FastifyRequest, { imageBytesMax }: Limits): Promise<Buffer> {
  let image: Buffer | undefined;
  try {
    for await (const part of request.parts({ limits: { fileSize: imageBytesMax, files: 4, fields: 16, parts: 20, fieldSize: 64 * 1024, headerPairs: 100 } })) {
      if (part.type === 'file' && part.fieldname === 'image' && !image) image = await readPart(part, imageBytesMax);
      else if (part.fieldname === 'image') throw badRequest(part.type === 'file' ? 'There are several files in the field "image". Send one.' : 'The field "image" is text. Send it as a file, with a filename: curl -F image=@photo.jpg');
      else if (part.type === 'file') part.file.resume();
    }
  } catch (thrown) {
    throw isEisError(thrown) ? thrown : badRequest('The multipart body cannot be read: it is cut off, has no boundary, or holds more parts than a search needs.', thrown);
  }
  if (!image) throw badRequest('There is no file in the field "image". Send the image in it: curl -F image=@photo.jpg');
  return image;
}

async function readPart(part: MultipartFile, imageBytesMax: number): Promise<Buffer> {
  const bytes = await part.toBuffer().catch((thrown: unknown) => {
    if ((thrown as { code?: unknown }).code === 'FST_REQ_FILE_TOO_LARGE') return undefined;
    throw thrown;
  });
  return requireImage(bytes, imageBytesMax);
}

function readJson(body: unknown, { urlLengthMax }: Limits): SearchInput {
  const right = 'Send { "url": "https://…" } or { "id": "<64 hexadecimal digits>" }, one of the two.';
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

function badRequest(detail: string, cause?: unknown): EisError {
  return new EisError('EIS_BAD_REQUEST', { detail }, { cause });
}
