/**
 * The text of a catalog's row, as JSON: the URLs of an image; with its metadata, where it has some; or all of a document that
 * does not fit into the columns, so that an odd one is answered as it is.
 */
import type { Metadata } from '../common/metadata.js';
import type { StoredRecord } from '../common/store/store.js';

/** What is known of an image, in its row's columns and its text. */
export interface RowFacts extends Pick<StoredRecord, 'urls' | 'width' | 'height' | 'phash'> {
  readonly metadata?: Metadata;
}

/** Plain: the columns have the rest. */
type DecodedRow = { readonly isPlain: true; readonly facts: Pick<RowFacts, 'urls' | 'metadata'> } | { readonly isPlain: false; readonly facts: RowFacts };

const OPEN_BRACKET = 0x5b;
const PHASH = /^[0-9a-f]{16}$/;

/** @returns `isPlain`: size and hash are not in the text, since the columns can hold them */
export function encodeRow(facts: RowFacts): { readonly text: Buffer; readonly isPlain: boolean } {
  const { urls, width, height, phash, metadata } = facts;
  const isPlain = Array.isArray(urls) && !Array.isArray(urls[0]) && PHASH.test(phash) && isUint32(width) && isUint32(height);
  return { text: Buffer.from(JSON.stringify(!isPlain ? facts : metadata ? [urls, metadata] : urls)), isPlain };
}

export function decodeRow({ buffer, byteOffset, byteLength }: Uint8Array): DecodedRow {
  const text = JSON.parse(Buffer.from(buffer, byteOffset, byteLength).toString()) as readonly string[] | readonly [readonly string[], Metadata] | RowFacts;
  if (!isList(text)) return { isPlain: false, facts: text };
  return { isPlain: true, facts: hasMetadata(text) ? { urls: text[0], metadata: text[1] } : { urls: text } };
}

/** As most texts are: known by its first characters, so that a filter need not read it. */
export function hasUrlsAlone(text: Uint8Array): boolean {
  return text[0] === OPEN_BRACKET && text[1] !== OPEN_BRACKET;
}

function isList<T extends object>(text: T): text is Extract<T, readonly unknown[]> {
  return Array.isArray(text);
}

function hasMetadata(text: readonly string[] | readonly [readonly string[], Metadata]): text is readonly [readonly string[], Metadata] {
  return Array.isArray(text[0]);
}

function isUint32(value: number): boolean {
  return value >>> 0 === value;
}
