/**
 * What a search is for, as a multipart form says it: files in the field `image`, a field `weight` for the file that follows
 * it, `images` with a list of stored images and URLs as JSON has it, and `filter`. Other fields are read over.
 */
import type { Multipart, MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { EisError } from '../common/errors.js';
import { parseFilter, parseFilterText, type Filter } from '../common/filter.js';
import type { Limits } from '../common/limits.js';
import { PART_BUFFER_BYTES, toMultipartError } from '../common/multipart.js';
import { readBounded } from '../common/read-bounded.js';
import type { QueryImage } from './query-vector.js';
import { badRequest, readImagesField, readWeight, type JsonQuery } from './search-json.js';

const NO_IMAGE = 'There is no file in the field "image". Send the image in it: curl -F image=@photo.jpg';
/** Parts that are read over. */
const OTHER_PARTS_MAX = 16;
const FIELD_BYTES_MAX = 64 * 1024;

type OnBytes = (bytes: number) => void;

/** What was read of a form so far. */
interface Form {
  readonly images: QueryImage[];
  /** Of the file that comes next. */
  weight: number | undefined;
  filter: Filter | undefined;
}

/**
 * @param onBytes told of what arrives of an image, before it is kept; may throw
 * @throws EisError as `readSearchQuery` does
 */
export async function readSearchForm(request: FastifyRequest, limits: Limits, onBytes?: OnBytes): Promise<JsonQuery> {
  const { imageBytesMax, queryImagesMax } = limits;
  const form: Form = { images: [], weight: undefined, filter: undefined };
  const bounds = { fileSize: imageBytesMax, files: queryImagesMax + OTHER_PARTS_MAX, fields: queryImagesMax + OTHER_PARTS_MAX, parts: 2 * queryImagesMax + OTHER_PARTS_MAX, fieldSize: FIELD_BYTES_MAX, headerPairs: 100 };
  try {
    for await (const part of request.parts({ limits: bounds, fileHwm: PART_BUFFER_BYTES })) {
      if (part.type === 'file') await readFile(form, part, { limits, onBytes });
      else readField(form, part, limits);
    }
  } catch (thrown) {
    throw toMultipartError(thrown);
  }
  if (form.images.length === 0) throw badRequest(NO_IMAGE);
  if (form.weight !== undefined) throw badRequest('No image follows the last weight of the form. Send a weight before the image that it is of: curl -F weight=-1 -F image=@photo.jpg');
  return form;
}

/** @throws EisError EIS_BAD_REQUEST */
export function requireFew(images: readonly QueryImage[], { queryImagesMax }: Pick<Limits, 'queryImagesMax'>): void {
  if (images.length > queryImagesMax) throw badRequest(`There are more than ${queryImagesMax} images in the search. Send fewer.`);
}

async function readFile(form: Form, part: MultipartFile, { limits, onBytes }: { readonly limits: Limits; readonly onBytes: OnBytes | undefined }): Promise<void> {
  if (part.fieldname !== 'image') return void part.file.resume();
  const { weight = 1 } = form;
  form.weight = undefined;
  form.images.push({ input: { bytes: await readPart(part, limits.imageBytesMax, onBytes) }, weight });
  requireFew(form.images, limits);
}

function readField(form: Form, { fieldname, value, valueTruncated }: Exclude<Multipart, MultipartFile>, limits: Limits): void {
  if (fieldname === 'image') throw badRequest('The field "image" is text. Send it as a file, with a filename: curl -F image=@photo.jpg');
  if (!['weight', 'images', 'filter'].includes(fieldname)) return;
  if (valueTruncated) throw badRequest(`The field "${fieldname}" has more than ${FIELD_BYTES_MAX} bytes. Send less.`);
  // A part that says that it is JSON comes parsed.
  if (fieldname === 'weight') form.weight = readWeight(value);
  else if (fieldname === 'filter') form.filter = typeof value === 'string' ? parseFilterText(value, limits) : parseFilter(value, limits);
  else form.images.push(...readImagesField(value, limits));
  requireFew(form.images, limits);
}

async function readPart(part: MultipartFile, imageBytesMax: number, onBytes?: OnBytes): Promise<Buffer> {
  const bytes = await readBounded(part.file, imageBytesMax, onBytes).catch((thrown: unknown) => {
    if ((thrown as { code?: unknown }).code === 'FST_REQ_FILE_TOO_LARGE') return undefined;
    throw thrown;
  });
  return requireImage(part.file.truncated ? undefined : bytes, imageBytesMax);
}

/** @param bytes undefined: there are more than may be */
export function requireImage(bytes: Buffer | undefined, imageBytesMax: number): Buffer {
  if (bytes === undefined) throw new EisError('EIS_IMAGE_TOO_LARGE', { imageBytesMax });
  if (bytes.length === 0) throw new EisError('EIS_IMAGE_MISSING', {});
  return bytes;
}
