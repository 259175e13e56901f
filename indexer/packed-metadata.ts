/**
 * Metadata as a catalog holds it: bytes that a filter reads without making anything of them (`packed-filter.ts`), and fewer than
 * its JSON has. Field by field, in the order of its names:
 *
 *     number of the name (2 bytes) · kind (1) · length of the value (2) · value
 *
 * A number is a float64 as the machine has it; a text UTF-8; a list its texts, each after its length (2 bytes). Names are numbered
 * by the catalog as they come, and never forgotten: what has a name beyond the last number is not packed.
 */
import { isText, type Metadata, type MetadataValue } from '../common/metadata.js';

export const KINDS = { no: 0, yes: 1, number: 2, text: 3, list: 4 } as const;
type Kind = (typeof KINDS)[keyof typeof KINDS];

const NAME_BYTES = 2;
export const LENGTH_BYTES = 2;
export const FIELD_HEADER_BYTES = NAME_BYTES + 1 + LENGTH_BYTES;
/** Of a value, and of all of it: what does not fit is not packed. */
export const PACKED_BYTES_MAX = 2 ** 16 - 1;
const NAMES_MAX = 2 ** 16;

/** The names of a catalog's metadata, by number. */
export class NameTable {
  readonly #names: string[];
  readonly #numbers: Map<string, number>;

  constructor(names: readonly string[] = []) {
    this.#names = [...names];
    this.#numbers = new Map(names.map((name, number) => [name, number]));
  }

  get names(): readonly string[] {
    return this.#names;
  }

  /** Undefined: no metadata had it yet. */
  numberOf(name: string): number | undefined {
    return this.#numbers.get(name);
  }

  /** The number of a name, given to it now if it has none; undefined: all are given. */
  take(name: string): number | undefined {
    const known = this.#numbers.get(name);
    if (known !== undefined || this.#names.length === NAMES_MAX) return known;
    this.#numbers.set(name, this.#names.length);
    return this.#names.push(name) - 1;
  }
}

/** @returns undefined for what does not fit, or is no metadata as `metadata.ts` lets it in */
export function packMetadata(metadata: Metadata, names: NameTable): Buffer | undefined {
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(metadata)) {
    const packed = packValue(value);
    const number = packed && names.take(name);
    if (!packed || number === undefined || packed.bytes.length > PACKED_BYTES_MAX) return undefined;
    parts.push(Buffer.from([number & 0xff, number >>> 8, packed.kind, packed.bytes.length & 0xff, packed.bytes.length >>> 8]), packed.bytes);
  }
  const all = Buffer.concat(parts);
  return all.length > PACKED_BYTES_MAX ? undefined : all;
}

export function unpackMetadata(bytes: Buffer, names: NameTable): Metadata {
  const entries: [string, MetadataValue][] = [];
  for (let at = 0; at < bytes.length; at = nextField(bytes, at)) {
    const value = bytes.subarray(at + FIELD_HEADER_BYTES, nextField(bytes, at));
    entries.push([names.names[readUint16(bytes, at)] as string, unpackValue(bytes[at + NAME_BYTES] as Kind, value)]);
  }
  return Object.fromEntries(entries);
}

/** Where the field of a name begins among those in `[start, end)`; -1: there is none. */
export function findField(bytes: Uint8Array, start: number, end: number, name: number): number {
  for (let at = start; at < end; at = nextField(bytes, at)) if (readUint16(bytes, at) === name) return at;
  return -1;
}

/** The kind of the field at a place. */
export function kindAt(bytes: Uint8Array, at: number): Kind {
  return bytes[at + NAME_BYTES] as Kind;
}

export function nextField(bytes: Uint8Array, at: number): number {
  return at + FIELD_HEADER_BYTES + readUint16(bytes, at + NAME_BYTES + 1);
}

export function readUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

const float64 = new Float64Array(1);
const float64Bytes = new Uint8Array(float64.buffer);

export function readFloat64(bytes: Uint8Array, at: number): number {
  for (let i = 0; i < float64Bytes.length; i++) float64Bytes[i] = bytes[at + i] as number;
  return float64[0] as number;
}

function packValue(value: unknown): { readonly kind: Kind; readonly bytes: Buffer } | undefined {
  switch (typeof value) {
    case 'boolean':
      return { kind: value ? KINDS.yes : KINDS.no, bytes: Buffer.alloc(0) };
    case 'number':
      return { kind: KINDS.number, bytes: Buffer.from(Float64Array.of(value).buffer) };
    case 'string':
      return isText(value) ? { kind: KINDS.text, bytes: Buffer.from(value) } : undefined;
    default:
      return Array.isArray(value) ? packList(value) : undefined;
  }
}

function packList(list: readonly unknown[]): { readonly kind: Kind; readonly bytes: Buffer } | undefined {
  const parts: Buffer[] = [];
  for (const text of list) {
    const bytes = isText(text) ? Buffer.from(text) : undefined;
    if (!bytes || bytes.length > PACKED_BYTES_MAX) return undefined;
    parts.push(Buffer.from([bytes.length & 0xff, bytes.length >>> 8]), bytes);
  }
  return { kind: KINDS.list, bytes: Buffer.concat(parts) };
}

function unpackValue(kind: Kind, bytes: Buffer): MetadataValue {
  if (kind === KINDS.number) return readFloat64(bytes, 0);
  if (kind === KINDS.text) return bytes.toString();
  return kind === KINDS.list ? unpackList(bytes) : kind === KINDS.yes;
}

function unpackList(bytes: Buffer): string[] {
  const texts: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + LENGTH_BYTES + readUint16(bytes, at);
    texts.push(bytes.toString('utf8', at + LENGTH_BYTES, end));
    at = end;
  }
  return texts;
}
