/** What two services that take multipart bodies share: the parser's settings against its stalls, its errors in our words. */
import { EisError } from './errors.js';

/**
 * Bytes that the parser holds of one part. It stops for good when a part that it skips ends while more than this is held
 * of it (busboy 3.2: nobody calls back for the last write), so this is more than a connection hands over at once.
 */
export const PART_BUFFER_BYTES = 256 * 1024;

/**
 * What reading a multipart body failed with. The parser (@fastify/busboy) throws plain errors for whatever it cannot
 * read; anything but those, and but its plugin's own, passes as it is.
 */
export function toMultipartError(thrown: unknown): unknown {
  const { code, constructor } = (thrown ?? {}) as { readonly code?: unknown; readonly constructor?: unknown };
  const badRequest = (detail: string): EisError => new EisError('EIS_BAD_REQUEST', { detail }, { cause: thrown });
  switch (code) {
    case 'FST_PARTS_LIMIT':
    case 'FST_FILES_LIMIT':
    case 'FST_FIELDS_LIMIT':
      return badRequest('The form has more parts than are taken in one request. Send fewer.');
    case 'FST_PROTO_VIOLATION':
      return badRequest('A field of the form has a name that is not allowed, such as "constructor". Name the field "image".');
    case 'FST_INVALID_JSON_FIELD_ERROR':
      return badRequest('A field of the form says that it is JSON, and is not. Send the image as a file, with a filename.');
    case 'FST_MP_PREMATURE_CLOSE':
      return new EisError('EIS_CLIENT_CLOSED', {}, { cause: thrown });
    default:
      return code === undefined && constructor === Error ? badRequest('The multipart body cannot be read: it is cut off, or its Content-Type names no boundary, or another one. Let an HTTP client write both: curl -F image=@photo.jpg') : thrown;
  }
}
