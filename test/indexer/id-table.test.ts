import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdTable } from '../../indexer/id-table.js';
import { idOf } from './vectors.js';

/** Ids of one part of the table, many of which begin at one place. */
const crowded = (i: number): string => `${i.toString(16).padStart(48, '0')}${(i % 3).toString(16).padStart(8, '0')}${'ab'.padStart(8, '0')}`;

describe('IdTable', () => {
  it.each([['any ids', idOf], ['ids that meet', crowded]])('is a map, whatever is done to it: %s', (_name, name) => {
    const id = fc.integer({ min: 0, max: 60 }).map(name);
    const step = fc.oneof({ weight: 3, arbitrary: fc.tuple(fc.constant('set' as const), id, fc.nat()) }, { weight: 2, arbitrary: fc.tuple(fc.constant('delete' as const), id, fc.nat()) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const table = new IdTable();
        const map = new Map<string, number>();
        for (const [what, key, value] of steps) {
          if (what === 'set') {
            table.set(key, value);
            map.set(key, value);
          } else expect(table.delete(key)).toBe(map.delete(key));
          expect(table.size).toBe(map.size);
          expect(table.get(key)).toBe(map.get(key));
        }
        expect(new Set(table.keys())).toEqual(new Set(map.keys()));
        for (const [key, value] of map) expect(table.get(key)).toBe(value);
      }),
      { numRuns: 200 },
    );
  });

  it('holds 100,000 ids in 110 bytes each at most, and gives memory back', () => {
    const table = new IdTable();
    const ids = Array.from({ length: 100_000 }, (_, i) => idOf(i));
    ids.forEach((id, i) => table.set(id, i));
    expect(ids.every((id, i) => table.get(id) === i)).toBe(true);
    expect(table.memoryBytes).toBeLessThan(110 * ids.length);
    for (const id of ids.slice(100)) table.delete(id);
    expect(table.memoryBytes).toBeLessThan(1024 * 1024);
    expect(ids.slice(0, 100).every((id, i) => table.get(id) === i)).toBe(true);
  });
});
