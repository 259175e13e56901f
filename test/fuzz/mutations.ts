/** Ways to damage bytes, as plain functions of the bytes and of seeded numbers. Each returns other bytes and leaves those that it was given. */
import { crc32 } from 'node:zlib';
import type { SeededRandom } from '../support/seeded-random.js';

export interface Material {
  readonly bytes: Buffer;
  /** What pieces may be taken from. */
  readonly other: Buffer;
  readonly random: SeededRandom;
}

export type Mutation = (material: Material) => Buffer;

/** Numbers at which programs err. */
const EDGES = [0, 1, 2, 7, 8, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_fff7, 0xffff_ffff];
const HEADER_BYTES = 64;
const PIECE_BYTES_MAX = 4_096;

interface Piece {
  readonly from: number;
  readonly to: number;
}

function piece(bytes: Buffer, random: SeededRandom): Piece {
  const from = random.between(0, bytes.length);
  return { from, to: Math.min(bytes.length, from + random.between(1, random.next() < 0.5 ? 16 : PIECE_BYTES_MAX)) };
}

function pick<T>(items: readonly T[], random: SeededRandom): T {
  return items[random.between(0, items.length - 1)] as T;
}

export const MUTATIONS = {
  flipBits({ bytes, random }) {
    const flipped = Buffer.from(bytes);
    for (let i = random.between(1, 16); i > 0 && bytes.length > 0; i--) {
      const at = random.between(0, bytes.length - 1);
      flipped[at] = (flipped[at] as number) ^ (1 << random.between(0, 7));
    }
    return flipped;
  },
  editHeader({ bytes, random }) {
    const edited = Buffer.from(bytes);
    for (let i = random.between(1, 4); i > 0 && bytes.length > 0; i--) edited[random.between(0, Math.min(bytes.length, HEADER_BYTES) - 1)] = pick(EDGES, random) & 255;
    return edited;
  },
  overwrite({ bytes, random }) {
    const written = Buffer.from(bytes);
    const size = pick([1, 2, 4], random);
    if (bytes.length >= size) written.writeUIntBE(pick(EDGES, random) % 256 ** size, random.between(0, bytes.length - size), size);
    return written;
  },
  truncate({ bytes, random }) {
    return Buffer.from(bytes.subarray(0, random.between(0, bytes.length)));
  },
  remove({ bytes, random }) {
    const { from, to } = piece(bytes, random);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  repeat({ bytes, random }) {
    const { from, to } = piece(bytes, random);
    return Buffer.concat([bytes.subarray(0, to), ...Array.from({ length: random.between(1, 50) }, () => bytes.subarray(from, to)), bytes.subarray(to)]);
  },
  splice({ bytes, other, random }) {
    const [into, taken] = [piece(bytes, random), piece(other, random)];
    return Buffer.concat([bytes.subarray(0, into.from), other.subarray(taken.from, taken.to), bytes.subarray(random.next() < 0.5 ? into.from : into.to)]);
  },
  join({ bytes, other, random }) {
    return Buffer.concat([bytes.subarray(0, random.between(0, bytes.length)), other.subarray(random.between(0, other.length))]);
  },
  editLength({ bytes, random }) {
    const edited = Buffer.from(bytes);
    const fields = lengthFields(bytes);
    if (fields.length === 0) return edited;
    const { at, size, isLittleEndian } = pick(fields, random);
    const now = isLittleEndian ? bytes.readUIntLE(at, size) : bytes.readUIntBE(at, size);
    const value = Math.max(0, pick([...EDGES, now + 1, now - 1, now * 2, bytes.length, bytes.length - at], random)) % 256 ** size;
    if (isLittleEndian) edited.writeUIntLE(value, at, size);
    else edited.writeUIntBE(value, at, size);
    return edited;
  },
} as const satisfies Readonly<Record<string, Mutation>>;

export type MutationName = keyof typeof MUTATIONS;
const NAMES = Object.keys(MUTATIONS) as MutationName[];
const MUTATIONS_MAX = 4;

/** One to four mutations, one after the other; of a PNG every second time with checksums that are right again. */
export function mutate(material: Material): { readonly bytes: Buffer; readonly mutations: readonly string[] } {
  const { random } = material;
  const mutations: string[] = Array.from({ length: random.between(1, MUTATIONS_MAX) }, () => pick(NAMES, random));
  const bytes = (mutations as MutationName[]).reduce((mutated, name) => MUTATIONS[name]({ ...material, bytes: mutated }), material.bytes);
  if (!isPng(bytes) || random.next() < 0.5) return { bytes, mutations };
  return { bytes: mendPng(bytes), mutations: [...mutations, 'mendPng'] };
}

// ── Where files say how long their parts are ────────────────────────────────────────────────────────────────────────

export interface LengthField {
  readonly at: number;
  readonly size: 2 | 4;
  readonly isLittleEndian: boolean;
}

/** The lengths of the segments of a JPEG, of the chunks of a PNG or a WebP, of the boxes of an AVIF, as far as they follow one another. */
export function lengthFields(bytes: Buffer): LengthField[] {
  if (isPng(bytes)) return walk(bytes, { from: 8, lengthAt: 0, size: 4, next: (length) => length + 12 });
  if (bytes.toString('latin1', 0, 4) === 'RIFF') return walk(bytes, { from: 12, lengthAt: 4, size: 4, isLittleEndian: true, next: (length) => length + (length % 2) + 8 });
  if (bytes.toString('latin1', 4, 8) === 'ftyp') return walk(bytes, { from: 0, lengthAt: 0, size: 4, next: (length) => length });
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return walk(bytes, { from: 2, lengthAt: 2, size: 2, next: (length) => length + 2 });
  return [];
}

interface Walk {
  readonly from: number;
  readonly lengthAt: number;
  readonly size: 2 | 4;
  readonly isLittleEndian?: boolean;
  /** From the start of a part to that of the next. */
  readonly next: (length: number) => number;
}

function walk(bytes: Buffer, { from, lengthAt, size, isLittleEndian = false, next }: Walk): LengthField[] {
  const fields: LengthField[] = [];
  for (let start = from, step = 1; step > 0 && start + lengthAt + size <= bytes.length; start += step) {
    const at = start + lengthAt;
    fields.push({ at, size, isLittleEndian });
    step = next(isLittleEndian ? bytes.readUIntLE(at, size) : bytes.readUIntBE(at, size));
  }
  return fields;
}

function isPng(bytes: Buffer): boolean {
  return bytes.toString('latin1', 0, 8) === '\x89PNG\r\n\x1a\n';
}

/** A PNG with every checksum right, so that what is wrong in its chunks is not refused for their checksums. */
export function mendPng(bytes: Buffer): Buffer {
  const mended = Buffer.from(bytes);
  for (const { at } of lengthFields(mended)) {
    const end = at + 8 + mended.readUInt32BE(at);
    if (end + 4 <= mended.length) mended.writeUInt32BE(crc32(mended.subarray(at + 4, end)), end);
  }
  return mended;
}
