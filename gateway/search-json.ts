/** What a search is for, as JSON says it: in the body of POST /search, and in the fields of its form. */
import { EisError } from '../common/errors.js';
import { parseFilter, type Filter } from '../common/filter.js';
import { isObject } from '../common/is-object.js';
import type { Limits } from '../common/limits.js';
import { IMAGE_ID } from '../common/wire.js';
import type { QueryImage, SearchInput } from './query-vector.js';

export interface JsonQuery {
  /** One at least. */
  readonly images: readonly QueryImage[];
  readonly filter: Filter | undefined;
}

type JsonLimits = Pick<Limits, 'urlLengthMax' | 'filterBytesMax' | 'filterDepthMax'>;

const RIGHT = 'Send { "url": "https://…" } or { "id": "<64 hexadecimal digits>" }, one of the two.';
const RIGHT_LIST = 'Send { "images": [{ "id": "<64 hexadecimal digits>" }, { "url": "https://…", "weight": -0.5 }] }.';
const WEIGHT_MAX = 1_000;

/**
 * A body: `{ "url" }`, `{ "id" }` or `{ "images": [{ "id" | "url", "weight" }] }`, each with or without a `filter`.
 *
 * @throws EisError EIS_BAD_REQUEST, EIS_IMAGE_ID_INVALID, EIS_URL_INVALID, EIS_FILTER_INVALID
 */
export function readQuery(text: string, limits: JsonLimits): JsonQuery {
  const body = parseJson(text, RIGHT);
  if (!isObject(body)) throw badRequest(`The JSON in the body is not an object. ${RIGHT}`);
  const { images, filter, ...input } = body;
  const parsed = filter === undefined ? undefined : parseFilter(filter, limits);
  if (images === undefined) return { images: [{ input: readInput(input, 'The JSON in the body', limits), weight: 1 }], filter: parsed };
  const [other] = Object.keys(input);
  if (other !== undefined) throw badRequest(`${JSON.stringify(other)} stands beside "images" in the body. ${RIGHT_LIST}`);
  return { images: readImages(images, limits), filter: parsed };
}

/** The list `images` as a form's field: its text, or what the form's parser made of it. @throws as `readQuery` */
export function readImagesField(value: unknown, limits: JsonLimits): QueryImage[] {
  return readImages(typeof value === 'string' ? parseJson(value, 'The field "images" is a list: [{ "id": "…", "weight": -1 }].') : value, limits);
}

/** @param value a number, or its text @throws EisError EIS_BAD_REQUEST */
export function readWeight(value: unknown): number {
  const weight = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof weight === 'number' && Math.abs(weight) <= WEIGHT_MAX) return weight;
  throw badRequest(`A weight is a number from -${WEIGHT_MAX} to ${WEIGHT_MAX}: below 0, results are less like the image. What was sent is none.`);
}

function readImages(images: unknown, limits: JsonLimits): QueryImage[] {
  if (!Array.isArray(images) || images.length === 0) throw badRequest(`"images" is not a list of images. ${RIGHT_LIST}`);
  return images.map((image: unknown, i) => {
    const where = `Number ${i + 1} of "images"`;
    if (!isObject(image)) throw badRequest(`${where} is not an object. ${RIGHT_LIST}`);
    const { weight = 1, ...input } = image;
    return { input: readInput(input, where, limits), weight: readWeight(weight) };
  });
}

/** @param where names what is read, in errors */
function readInput({ url, id, ...others }: Record<string, unknown>, where: string, { urlLengthMax }: JsonLimits): SearchInput {
  const [other] = Object.keys(others);
  if (other !== undefined) throw badRequest(`${JSON.stringify(other)} is not part of the body. ${RIGHT} "model" and "top" stand in the query: /search?top=20.`);
  if ((url === undefined) === (id === undefined)) throw badRequest(`${where} has ${url === undefined ? 'neither "url" nor "id"' : 'both "url" and "id"'}. ${RIGHT}`);
  if (id !== undefined) {
    if (typeof id !== 'string' || !IMAGE_ID.test(id)) throw new EisError('EIS_IMAGE_ID_INVALID', {});
    return { id };
  }
  if (typeof url !== 'string' || url === '') throw badRequest(`"url" is not a text. ${RIGHT}`);
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

export function badRequest(detail: string, cause?: unknown): EisError {
  return new EisError('EIS_BAD_REQUEST', { detail }, { cause });
}
