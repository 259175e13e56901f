/**
 * Reads the body of `POST /images` into sources. Bytes go to the bucket as they arrive; URLs are all checked before
 * anything is done with one.
 */
import type { Readable } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import type { Bucket } from '../common/bucket/bucket.js';
import { EisError } from '../common/errors.js';
import type { Limits } from '../common/limits.js';
import { readLines } from './read-lines.js';
import { nameSource, parseSource } from './sources.js';

export interface ReceiveParts {
  readonly bucket: Pick<Bucket, 'put' | 'uri'>;
  readonly limits: Pick<Limits, 'imageBytesMax' | 'imagesPerRequestMax' | 'urlLengthMax'>;
  /** Called with the bytes of each image that was stored. */
  readonly onBytes: (bytes: number) => void;
}

const ACCEPTED = 'multipart/form-data with images, image/*, application/json with {"urls": […]}, or application/x-ndjson with a URL a line';

/** What a line of NDJSON may hold around its URL: quotes, `{"url": }`, escapes. */
const LINE_EXTRA_CHARACTERS = 1024;

/**
 * The sources in a request, in the order they were sent, repeated ones included. At least one.
 *
 * @throws EisError what is wrong with the request; images stored before that stay in the bucket, unused
 */
export async function receiveSources(request: FastifyRequest, parts: ReceiveParts): Promise<string[]> {
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  if (type === 'application/json') return parseUrls(urlsOf(request.body), parts);
  if (type === 'application/x-ndjson') return parseUrls(await readNdjson(request.body as Readable, parts), parts);
  if (type === 'multipart/form-data') return storeParts(request, parts);
  if (type === 'application/octet-stream' || type?.startsWith('image/')) return [await store(request.body as Readable, undefined, parts)];
  throw new EisError('EIS_MEDIA_TYPE', { received: type ?? 'none', accepted: ACCEPTED });
}

// ── URLs ────────────────────────────────────────────────────────────────────────────────────────────────────────────

function urlsOf(body: unknown): readonly unknown[] {
  const urls = (body as { urls?: unknown } | null | undefined)?.urls;
  if (!Array.isArray(urls)) throw new EisError('EIS_BAD_REQUEST', { detail: 'The body names no URLs. Send { "urls": ["https://…"] }.' });
  return urls;
}

async function readNdjson(body: Readable, { limits }: ReceiveParts): Promise<unknown[]> {
  const urls: unknown[] = [];
  for await (const line of readLines(body, limits.urlLengthMax * 6 + LINE_EXTRA_CHARACTERS)) {
    if (line.trim() === '') continue;
    if (urls.length === limits.imagesPerRequestMax) throw tooMany(limits.imagesPerRequestMax);
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
  };
  const sources: string[] = [];
  for await (const part of request.files(options)) {
    if (sources.length === imagesPerRequestMax) throw tooMany(imagesPerRequestMax);
    const filename: string | undefined = part.filename; // the plugin's type hides that a part may have none
    sources.push(await store(part.file, filename, parts));
  }
  if (sources.length === 0) throw new EisError('EIS_IMAGE_MISSING', {});
  return sources;
}

async function store(bytes: Readable, filename: string | undefined, { bucket, onBytes }: ReceiveParts): Promise<string> {
  const object = await bucket.put(bytes);
  onBytes(object.bytes);
  return nameSource(bucket.uri(object.sha256), filename);
}
