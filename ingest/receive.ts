/**
 * Reads the body of `POST /images` into images: their sources, with the metadata that came with them. Bytes go to the bucket as they arrive; URLs are all checked before
 * anything is done with one.
 */
import { Readable } from 'node:stream';
import type { Multipart } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import type { Bucket } from '../common/bucket/bucket.js';
import { EisError } from '../common/errors.js';
import type { Limits } from '../common/limits.js';
import { parseMetadata, type Metadata } from '../common/metadata.js';
import { PART_BUFFER_BYTES, toMultipartError } from '../common/multipart.js';
import { readBounded } from '../common/read-bounded.js';
import { detached, mediaType, readWithin } from '../common/request-body.js';
import type { GivenImage } from './accept.js';
import { readLines } from './read-lines.js';
import { nameSource, parseSource } from './sources.js';

export interface ReceiveParts {
  readonly bucket: Pick<Bucket, 'put' | 'uri'>;
  readonly limits: Pick<Limits, 'imageBytesMax' | 'imagesPerRequestMax' | 'urlLengthMax' | 'bodyTimeoutMs' | 'metadataBytesMax' | 'metadataKeysMax'>;
  /** Called with the bytes of each image that was stored. */
  readonly onBytes: (bytes: number) => void;
}

const ACCEPTED = 'multipart/form-data with images, image/*, application/json with {"urls": […]}, or application/x-ndjson with a URL a line';

/** Around each URL of a JSON body: quotes, a comma, escapes. */
const URL_EXTRA_BYTES = 64;

/** A character as JSON may escape it. */
const ESCAPED_BYTES = 6;

/** What a line of NDJSON may hold around its URL: quotes, `{"url": }`, escapes. */
const LINE_EXTRA_CHARACTERS = 1024;

/** Bytes of a body of URLs, as JSON or NDJSON. */
export function urlBytesMax({ imagesPerRequestMax, urlLengthMax, metadataBytesMax }: Pick<Limits, 'imagesPerRequestMax' | 'urlLengthMax' | 'metadataBytesMax'>): number {
  return imagesPerRequestMax * (urlLengthMax + metadataBytesMax + URL_EXTRA_BYTES);
}

/**
 * The images of a request, in the order they were sent, repeated ones included. At least one. Its body is a stream.
 *
 * @throws EisError what is wrong with the request; EIS_BODY_TIMEOUT, EIS_CLIENT_CLOSED. Images stored before that stay in
 *   the bucket, unused.
 */
export async function receiveImages(request: FastifyRequest, parts: ReceiveParts): Promise<GivenImage[]> {
  return readWithin(request.raw, { timeoutMs: parts.limits.bodyTimeoutMs, mode: 'progress' }, async () => {
    const type = mediaType(request.headers);
    if (type === 'application/json') return parseUrls(await readJson(request, parts), parts);
    if (type === 'application/x-ndjson') return parseUrls(await readNdjson(request, parts), parts);
    if (type === 'multipart/form-data') return storeParts(request, parts);
    if (type === 'application/octet-stream' || type?.startsWith('image/')) return [{ source: await storeBody(request, parts) }];
    throw new EisError('EIS_MEDIA_TYPE', { received: type ?? 'none', accepted: ACCEPTED });
  });
}

// ── URLs ────────────────────────────────────────────────────────────────────────────────────────────────────────────

async function readUrlBytes({ raw, headers }: FastifyRequest, { limits }: ReceiveParts): Promise<Buffer> {
  const bytesMax = urlBytesMax(limits);
  const bytes = Number(headers['content-length'] ?? 0) > bytesMax ? undefined : await readBounded(raw, bytesMax);
  if (bytes === undefined) throw new EisError('EIS_BODY_TOO_LARGE', { bytesMax });
  return bytes;
}

async function readJson(request: FastifyRequest, parts: ReceiveParts): Promise<readonly unknown[]> {
  const right = 'Send { "urls": ["https://…"] }.';
  const text = (await readUrlBytes(request, parts)).toString('utf8');
  if (text.trim() === '') throw new EisError('EIS_BAD_REQUEST', { detail: `The body is empty. ${right}` });
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw new EisError('EIS_BAD_REQUEST', { detail: `The body is not JSON. ${right}` }, { cause });
  }
  const urls = (body as { urls?: unknown } | null)?.urls;
  if (!Array.isArray(urls)) throw new EisError('EIS_BAD_REQUEST', { detail: `The body has no list "urls". ${right}` });
  return urls as unknown[];
}

async function readNdjson(request: FastifyRequest, parts: ReceiveParts): Promise<unknown[]> {
  const { imagesPerRequestMax, urlLengthMax, metadataBytesMax } = parts.limits;
  const charactersMax = (urlLengthMax + metadataBytesMax) * ESCAPED_BYTES + LINE_EXTRA_CHARACTERS;
  const urls: unknown[] = [];
  for await (const line of readLines(Readable.from([await readUrlBytes(request, parts)]), charactersMax)) {
    if (urls.length === imagesPerRequestMax) throw tooMany(imagesPerRequestMax);
    urls.push(parseLine(line, urls.length + 1));
  }
  return urls;
}

function parseLine(line: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new EisError('EIS_BAD_REQUEST', { detail: `Entry ${number} is not JSON. Send a JSON string, or { "url": "https://…", "metadata": { … } }, a line.` }, { cause });
  }
}

function parseUrls(urls: readonly unknown[], { limits }: ReceiveParts): GivenImage[] {
  if (urls.length === 0) throw new EisError('EIS_BAD_REQUEST', { detail: 'The list of URLs is empty. Send at least one.' });
  if (urls.length > limits.imagesPerRequestMax) throw tooMany(limits.imagesPerRequestMax);
  return urls.map((entry, i): GivenImage => {
    const { url, metadata } = typeof entry === 'object' && entry !== null ? (entry as { readonly url?: unknown; readonly metadata?: unknown }) : { url: entry };
    const source = parseSource(url, { where: `number ${i + 1}`, urlLengthMax: limits.urlLengthMax });
    return metadata === undefined ? { source } : { source, metadata: parseMetadata(metadata, { where: `of image number ${i + 1}`, ...limits }) };
  });
}

function tooMany(imagesPerRequestMax: number): EisError {
  return new EisError('EIS_BAD_REQUEST', { detail: `There are more than ${imagesPerRequestMax} images in the request. Send the rest in another one, under the same submission.` });
}

// ── Bytes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const METADATA_FIELD = 'metadata';
const METADATA_FORM = `Send it as text before the file that it is of: curl -F '${METADATA_FIELD}={"year": 2024}' -F image=@photo.jpg`;

/** A field `metadata` is of the file that follows it. Other fields are read over. */
async function storeParts(request: FastifyRequest, parts: ReceiveParts): Promise<GivenImage[]> {
  const { imageBytesMax, imagesPerRequestMax, metadataBytesMax } = parts.limits;
  const options = {
    preservePath: true,
    throwFileSizeLimit: false, // the bucket says it with the image's own error
    limits: { fileSize: imageBytesMax + 1, files: imagesPerRequestMax + 1, parts: imagesPerRequestMax * 2 + 2, fieldSize: metadataBytesMax * ESCAPED_BYTES },
    fileHwm: PART_BUFFER_BYTES,
  };
  const images: GivenImage[] = [];
  let metadata: Metadata | undefined;
  try {
    for await (const part of request.parts(options)) {
      if (part.fieldname === METADATA_FIELD) metadata = readMetadata(part, images.length + 1, { standing: metadata, limits: parts.limits });
      else if (part.type === 'file') {
        if (images.length === imagesPerRequestMax) throw tooMany(imagesPerRequestMax);
        const filename: string | undefined = part.filename; // the plugin's type hides that a part may have none
        images.push({ source: await store(part.file, filename, parts), metadata });
        metadata = undefined;
      }
    }
  } catch (thrown) {
    throw toMultipartError(thrown);
  }
  if (images.length === 0) throw new EisError('EIS_BAD_REQUEST', { detail: 'There is no file in the form. Send each image as a file, with a filename: curl -F image=@photo.jpg' });
  if (metadata) throw new EisError('EIS_METADATA_INVALID', { detail: `No image follows the last metadata of the form. ${METADATA_FORM}` });
  return images;
}

/** @param given.standing what was given before it, and no file since */
function readMetadata(part: Multipart, number: number, { standing, limits }: { readonly standing: Metadata | undefined; readonly limits: ReceiveParts['limits'] }): Metadata {
  const where = `of image number ${number}`;
  if (part.type === 'file' || standing) {
    const detail = standing ? `The metadata ${where} stands in the form twice.` : `The metadata ${where} is a file of the form.`;
    throw new EisError('EIS_METADATA_INVALID', { detail: `${detail} ${METADATA_FORM}` });
  }
  if (part.valueTruncated) throw new EisError('EIS_METADATA_INVALID', { detail: `The metadata ${where} has more than ${limits.metadataBytesMax} bytes.` });
  return parseMetadata(typeof part.value === 'string' ? parseJson(part.value, where) : part.value, { where, ...limits });
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EisError('EIS_METADATA_INVALID', { detail: `The metadata ${where} is not JSON. ${METADATA_FORM}` }, { cause });
  }
}

async function storeBody({ raw, headers }: FastifyRequest, parts: ReceiveParts): Promise<string> {
  const { imageBytesMax } = parts.limits;
  if (Number(headers['content-length'] ?? 0) > imageBytesMax) throw new EisError('EIS_IMAGE_TOO_LARGE', { imageBytesMax });
  return store(detached(raw), undefined, parts);
}

async function store(bytes: Readable, filename: string | undefined, { bucket, onBytes }: ReceiveParts): Promise<string> {
  const object = await bucket.put(bytes);
  onBytes(object.bytes);
  return nameSource(bucket.uri(object.sha256), filename);
}
