import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdTable, NUMBERS_MAX } from '../../indexer/id-table.js';
import { ID_BYTES, readId, writeId } from '../../indexer/row-chunk.js';
import { idOf } from './vectors.js';

const ROW_BITS = 4;
/** Ids of one part of the table, many of which begin at one place and are told apart by nothing but their first bytes. */
const crowded = (i: number): string => `${i.toString(16).padStart(48, '0')}${(i % 3).toString(16).padStart(8, '0')}${'ab'.padStart(8, '0')}`;

/** A table over columns that it fills itself: `set` writes an id at a number and makes that the id's. */
function setUp({ rowBits = ROW_BITS }: { rowBits?: number } = {}) {
  const columns: Uint8Array[] = [];
  const table = new IdTable({ rowBits, ids: (column) => columns[column]! });
  const set = (id: string, number: number): number | undefined => {
    const column = Math.floor(number / 2 ** rowBits);
    writeId((columns[column] ??= new Uint8Array(2 ** rowBits * ID_BYTES)), number % 2 ** rowBits, id);
    return table.set(number);
  };
  return { table, set, columns };
}

describe('IdTable', () => {
  it.each([['any ids', idOf], ['ids that meet', crowded]])('is a map, whatever is done to it: %s', (_name, name) => {
    const id = fc.integer({ min: 0, max: 60 }).map(name);
    const step = fc.oneof({ weight: 3, arbitrary: fc.tuple(fc.constant('set' as const), id) }, { weight: 2, arbitrary: fc.tuple(fc.constant('delete' as const), id) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), fc.nat(70), (steps, reserved) => {
        const { table, set } = setUp();
        table.reserve(reserved);
        const map = new Map<string, number>();
        for (const [number, [what, key]] of steps.entries()) {
          if (what === 'set') {
            expect(set(key, number)).toBe(map.get(key));
            map.set(key, number);
          } else expect(table.delete(key)).toBe(map.delete(key));
          expect(table.size).toBe(map.size);
          expect(table.get(key)).toBe(map.get(key));
        }
        for (let i = 0; i <= 60; i++) expect(table.get(name(i))).toBe(map.get(name(i)));
      }),
      { numRuns: 200 },
    );
  });

  it('lets the place of an id be written again once it has another, or none', () => {
    const { table, set, columns } = setUp();
    set(idOf('moves'), 3);
    set(idOf('goes'), 4);
    set(idOf('moves'), 9);
    table.delete(idOf('goes'));
    set(idOf('comes'), 3);
    set(idOf('comes too'), 4);
    expect(['moves', 'goes', 'comes', 'comes too'].map((name) => table.get(idOf(name)))).toEqual([9, undefined, 3, 4]);
    expect(readId(columns[0]!, 9)).toBe(idOf('moves'));
  });

  it('has no number for what is no id', () => {
    const { table, set } = setUp();
    set('0'.repeat(64), 1);
    for (const odd of ['', '0', '0'.repeat(63), '0'.repeat(65), `${'0'.repeat(62)}zz`, 'é'.repeat(64)]) {
      expect(table.get(odd)).toBeUndefined();
      expect(table.delete(odd)).toBe(false);
    }
    expect(table.get('0'.repeat(64))).toBe(1);
  });

  it('holds numbers up to 32 bits, and refuses what it could not tell from another', () => {
    const column = new Uint8Array(2 ** 14 * ID_BYTES);
    const table = new IdTable({ rowBits: 14, ids: () => column });
    const last = NUMBERS_MAX - 1;
    writeId(column, last % 2 ** 14, idOf('last'));
    table.set(last);
    expect(table.get(idOf('last'))).toBe(last);
    for (const odd of [NUMBERS_MAX, -1, NaN]) expect(() => table.set(odd)).toThrow(RangeError);
  });

  it('holds 100,000 ids in 20 bytes each at most beside their columns, and gives memory back', () => {
    const { table, set } = setUp({ rowBits: 17 });
    const ids = Array.from({ length: 100_000 }, (_, i) => idOf(i));
    ids.forEach((id, i) => set(id, i));
    expect(ids.every((id, i) => table.get(id) === i)).toBe(true);
    expect(table.memoryBytes).toBeLessThan(20 * ids.length);
    for (const id of ids.slice(100)) table.delete(id);
    expect(table.memoryBytes).toBeLessThan(256 * 1024);
    expect(ids.slice(0, 100).every((id, i) => table.get(id) === i)).toBe(true);
  });
});
