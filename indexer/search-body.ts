/** Reads the body of a search: vectors alone as octets, or JSON where there is more to it. */
import { Compile } from 'typebox/compile';
import { EisError } from '../common/errors.js';
import { parseFilter, type Filter, type FilterLimits } from '../common/filter.js';
import { IndexSearch } from '../common/wire.js';

export interface SearchBody {
  /** Little-endian float32, one vector after the other. */
  readonly vectors: Buffer;
  readonly filter: Filter | undefined;
}

const isIndexSearch = Compile(IndexSearch);

/**
 * @param body as the parsers leave it: octets, parsed JSON, or nothing
 * @throws EisError EIS_BAD_REQUEST, EIS_FILTER_INVALID
 */
export function readSearchBody(body: unknown, limits: FilterLimits): SearchBody {
  if (body === undefined || Buffer.isBuffer(body)) return { vectors: body ?? Buffer.alloc(0), filter: undefined };
  if (!isIndexSearch.Check(body)) throw new EisError('EIS_BAD_REQUEST', { detail: 'The JSON in the body is no search. Send { "vectors": "<base64 of little-endian float32>", "filter": { … } }.' });
  const { vectors, filter } = body;
  return { vectors: Buffer.from(vectors, 'base64'), filter: filter && parseFilter(filter, limits) };
}
