/**
 * Reads the body of `POST /images` into sources. Bytes go to the bucket as they arrive; URLs are all checked before
 * anything is done with one.
 */
import { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import type { Bucket } from '../common/bucket/bucket.js';
import { EisError } from '../common/errors.js';
import type { Limits } from '../common/limits.js';
import { PART_BUFFER_BYTES, toMultipartError } from '../common/multipart.js';
import { readBounded } from '../common/read-bounded.js';
import { detached, mediaType, readWithin } from '../common/request-body.js';
import { readLines } from './read-lines.js';
import { nameSource, parseSource } from './sources.js';

export interface ReceiveParts {
  readonly bucket: Pick<Bucket, 'put' | 'uri'>;
  readonly limits: Pick<Limits, 'imageBytesMax' | 'imagesPerRequestMax' | 'urlLengthMax' | 'bodyTimeoutMs'>;
  /** Called with the bytes of each image that was stored. */
  readonly onBytes: (bytes: number) => void;
}

const ACCEPTED = 'multipart/form-data with images, image/*, application/json with {"urls": […]}, or application/x-ndjson with a URL a line';

/** Around each URL of a JSON body: quotes, a comma, escapes. */
const URL_EXTRA_BYTES = 64;

/** What a line of NDJSON may hold around its URL: quotes, `{"url": }`, escapes. */
const LINE_EXTRA_CHARACTERS = 1024;

/** Bytes of a body of URLs, as JSON or NDJSON. */
export function urlBytesMax({ imagesPerRequestMax, urlLengthMax }: Pick<Limits, 'imagesPerRequestMax' | 'urlLengthMax'>): number {
  return imagesPerRequestMax * (urlLengthMax + URL_EXTRA_BYTES);
}

/**
 * The sources in a request, in the order they were sent, repeated ones included. At least one. Its body is a stream.
 *
 * @throws EisError what is wrong with the request; EIS_BODY_TIMEOUT, EIS_CLIENT_CLOSED. Images stored before that stay in
 *   the bucket, unused.
 */
export async function receiveSources(request: FastifyRequest, parts: ReceiveParts): Promise<string[]> {
  return readWithin(request.raw, { timeoutMs: parts.limits.bodyTimeoutMs, mode: 'progress' }, async () => {
    const type = mediaType(request.headers);
    if (type === 'application/json') return parseUrls(await readJson(request, parts), parts);
    if (type === 'application/x-ndjson') return parseUrls(await readNdjson(request, parts), parts);
    if (type === 'multipart/form-data') return storeParts(request, parts);
    if (type === 'application/octet-stream' || type?.startsWith('image/')) return [await storeBody(request, parts)];
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
  const { imagesPerRequestMax, urlLengthMax } = parts.limits;
  const urls: unknown[] = [];
  for await (const line of readLines(Readable.from([await readUrlBytes(request, parts)]), urlLengthMax * 6 + LINE_EXTRA_CHARACTERS)) {
    if (urls.length === imagesPerRequestMax) throw tooMany(imagesPerRequestMax);
    urls.push(parseLine(line, urls.length + 1));
  }
  return urls;
}

function parseLine(line: string, number: number): unknown {
  try {
    const value = JSON.parse(line) as unknown;
    return typeof value === 'string' ? value : (value as { url?: unknown } | null)?.url;
  } catch (cause) {
    throw new EisError('EIS_BAD_REQUEST', { detail: `Entry ${number} is not JSON. Send a JSON string, or { "url": "https://…" }, a line.` }, { cause });
  }
}

function parseUrls(urls: readonly unknown[], { limits }: ReceiveParts): string[] {
  if (urls.length === 0) throw new EisError('EIS_BAD_REQUEST', { detail: 'The list of URLs is empty. Send at least one.' });
  if (urls.length > limits.imagesPerRequestMax) throw tooMany(limits.imagesPerRequestMax);
  return urls.map((url, i) => parseSource(url, { where: `number ${i + 1}`, urlLengthMax: limits.urlLengthMax }));
}

function tooMany(imagesPerRequestMax: number): EisError {
  return new EisError('EIS_BAD_REQUEST', { detail: `There are more than ${imagesPerRequestMax} images in the request. Send the rest in another one, under the same submission.` });
}

// ── Bytes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

async function storeParts(request: FastifyRequest, parts: ReceiveParts): Promise<string[]> {
  const { imageBytesMax, imagesPerRequestMax } = parts.limits;
  const options = {
    preservePath: true,
    throwFileSizeLimit: false, // the bucket says it with the image's own error
    limits: { fileSize: imageBytesMax + 1, files: imagesPerRequestMax + 1, parts: imagesPerRequestMax * 2 },
    fileHwm: PART_BUFFER_BYTES,
  };
  const sources: string[] = [];
  try {
    for await (const part of request.files(options)) {
      if (sources.length === imagesPerRequestMax) throw tooMany(imagesPerRequestMax);
      const filename: string | undefined = part.filename; // the plugin's type hides that a part may have none
      sources.push(await store(part.file, filename, parts));
    }
  } catch (thrown) {
    throw toMultipartError(thrown);
  }
  if (sources.length === 0) throw new EisError('EIS_BAD_REQUEST', { detail: 'There is no file in the form. Send each image as a file, with a filename: curl -F image=@photo.jpg' });
  return sources;
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
