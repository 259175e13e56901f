/**
 * A filter over metadata as a catalog holds it (`packed-metadata.ts`): some tens of nanoseconds a row, because nothing is made of
 * a row but the numbers that are compared, and texts where a range is asked for. It says what `common/filter.ts` says of the same
 * metadata as an object.
 */
import { compileCondition, compileFilter, type CompiledCondition, type Condition, type Filter, type RowTest } from '../common/filter.js';
import { isText } from '../common/metadata.js';
import { FIELD_HEADER_BYTES, findField, kindAt, KINDS, LENGTH_BYTES, nextField, readFloat64, readUint16, type NameTable } from './packed-metadata.js';

/** The metadata at `[start, end)` of some bytes; one such object serves for all rows, one after the other. */
export interface PackedRow {
  bytes: Uint8Array;
  start: number;
  end: number;
}

/** @param names of the catalog; those that it learns later are known, too */
export function compilePackedFilter(filter: Filter, names: NameTable): RowTest<PackedRow> {
  return compileFilter(filter, (name, condition) => testPacked(name, condition, names));
}

function testPacked(name: string, condition: Condition, names: NameTable): RowTest<PackedRow> {
  const compiled = compileCondition(condition);
  const { exists, holds } = compiled;
  const valueHolds = holds && testValue(holds, testText(compiled, holds));
  let number: number | undefined;
  return ({ bytes, start, end }) => {
    number ??= names.numberOf(name);
    const at = number === undefined ? -1 : findField(bytes, start, end, number);
    if (at < 0) return exists === false && !holds;
    if (exists === false) return false;
    return !valueHolds || valueHolds(bytes, at);
  };
}

/** Of the bytes `[from, to)`. */
type TextTest = (bytes: Uint8Array, from: number, to: number) => boolean;

function testValue(holds: NonNullable<CompiledCondition['holds']>, textHolds: TextTest): (bytes: Uint8Array, field: number) => boolean {
  return (bytes, field) => {
    const from = field + FIELD_HEADER_BYTES;
    switch (kindAt(bytes, field)) {
      case KINDS.number:
        return holds(readFloat64(bytes, from));
      case KINDS.text:
        return textHolds(bytes, from, nextField(bytes, field));
      case KINDS.list:
        return someText(bytes, from, nextField(bytes, field), textHolds);
      default:
        return holds(kindAt(bytes, field) === KINDS.yes);
    }
  };
}

/** Where nothing but some texts is asked for, bytes are compared; else a text is made of them. */
function testText({ among }: CompiledCondition, holds: NonNullable<CompiledCondition['holds']>): TextTest {
  if (!among) return (bytes, from, to) => holds(Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString());
  const byLength = new Map<number, Buffer[]>();
  for (const text of among) {
    if (!isText(text)) continue; // no metadata has such a text
    const wanted = Buffer.from(text);
    byLength.set(wanted.length, [...(byLength.get(wanted.length) ?? []), wanted]);
  }
  return (bytes, from, to) => {
    const wanted = byLength.get(to - from);
    return wanted !== undefined && wanted.some((each) => isAt(bytes, from, each));
  };
}

function someText(bytes: Uint8Array, from: number, to: number, holds: TextTest): boolean {
  for (let at = from; at < to; ) {
    const start = at + LENGTH_BYTES;
    at = start + readUint16(bytes, at);
    if (holds(bytes, start, at)) return true;
  }
  return false;
}

function isAt(bytes: Uint8Array, from: number, wanted: Uint8Array): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[from + i] !== wanted[i]) return false;
  return true;
}
