/**
 * The text of a catalog's row: the URLs of an image, as JSON; before them its metadata, packed (`packed-metadata.ts`), where it has
 * some; or, as JSON, all of a document that does not fit, so that an odd one is answered as it is. Told apart by the first byte.
 */
import { compileFilter, type Filter } from '../common/filter.js';
import type { Metadata } from '../common/metadata.js';
import type { StoredRecord } from '../common/store/store.js';
import { compilePackedFilter, type PackedRow } from './packed-filter.js';
import { packMetadata, readUint16, unpackMetadata, type NameTable } from './packed-metadata.js';

/** What is known of an image, in its row's columns and its text. */
export interface RowFacts extends Pick<StoredRecord, 'urls' | 'width' | 'height' | 'phash'> {
  readonly metadata?: Metadata;
}

/** Plain: the columns have the rest. */
type DecodedRow = { readonly isPlain: true; readonly facts: Pick<RowFacts, 'urls' | 'metadata'> } | { readonly isPlain: false; readonly facts: RowFacts };

const URLS = 0x5b; // the bracket that opens a list
const PACKED = 1;
/** Before packed metadata: what it is, and how long. */
const PACKED_HEADER_BYTES = 3;
const PHASH = /^[0-9a-f]{16}$/;

/** @returns `isPlain`: size and hash are not in the text, since the columns can hold them */
export function encodeRow(facts: RowFacts, names: NameTable): { readonly text: Buffer; readonly isPlain: boolean } {
  const { urls, width, height, phash, metadata } = facts;
  const isPlain = Array.isArray(urls) && PHASH.test(phash) && isUint32(width) && isUint32(height);
  const packed = isPlain && metadata ? packMetadata(metadata, names) : undefined;
  if (!isPlain || (metadata && !packed)) return { text: Buffer.from(JSON.stringify(facts)), isPlain: false };
  const text = Buffer.from(JSON.stringify(urls));
  return { text: packed ? Buffer.concat([Buffer.from([PACKED, packed.length & 0xff, packed.length >>> 8]), packed, text]) : text, isPlain };
}

export function decodeRow({ buffer, byteOffset, byteLength }: Uint8Array, names: NameTable): DecodedRow {
  const text = Buffer.from(buffer, byteOffset, byteLength);
  if (text[0] === URLS) return { isPlain: true, facts: { urls: JSON.parse(text.toString()) as string[] } };
  if (text[0] !== PACKED) return { isPlain: false, facts: JSON.parse(text.toString()) as RowFacts };
  const end = endOfPacked(text, 0);
  return { isPlain: true, facts: { urls: JSON.parse(text.toString('utf8', end)) as string[], metadata: unpackMetadata(text.subarray(PACKED_HEADER_BYTES, end), names) } };
}

/** Says of the text at `[start, end)` of some bytes whether its row's metadata match; of a row that has none, too. */
export function compileTextFilter(filter: Filter, names: NameTable): (bytes: Uint8Array, start: number, end: number) => boolean {
  const matches = compileFilter(filter);
  const matchesNone = matches({});
  const matchesPacked = compilePackedFilter(filter, names);
  const row: PackedRow = { bytes: new Uint8Array(0), start: 0, end: 0 };
  return (bytes, start, end) => {
    if (bytes[start] === URLS) return matchesNone;
    if (bytes[start] !== PACKED) return matches(decodeRow(bytes.subarray(start, end), names).facts.metadata ?? {});
    row.bytes = bytes;
    row.start = start + PACKED_HEADER_BYTES;
    row.end = endOfPacked(bytes, start);
    return matchesPacked(row);
  };
}

function endOfPacked(bytes: Uint8Array, start: number): number {
  return start + PACKED_HEADER_BYTES + readUint16(bytes, start + 1);
}

function isUint32(value: number): boolean {
  return value >>> 0 === value;
}
