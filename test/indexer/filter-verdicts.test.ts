import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Filter } from '../../common/filter.js';
import type { Metadata } from '../../common/metadata.js';
import type { StoredRecord } from '../../common/store/store.js';
import { Catalog } from '../../indexer/catalog.js';
import { FilterVerdicts, type Matching } from '../../indexer/filter-verdicts.js';
import { filterArbitrary, matchesByWord, metadataArbitrary } from '../support/random-filters.js';
import { idOf } from './vectors.js';

function recordOf(name: number, values: Metadata): StoredRecord {
  return { id: idOf(name), vector: new Float32Array(1), urls: [`https://example.com/${name}`], width: 1, height: 1, phash: '0'.repeat(16), format: 'jpeg', createdAt: 1, updatedAt: 1, deletedAt: undefined, metadata: { values, givenAt: 1 } };
}

function catalogOf(metadata: readonly Metadata[]): Catalog {
  const catalog = new Catalog();
  metadata.forEach((values, i) => catalog.set(recordOf(i, values)));
  return catalog;
}

const idsIn = (matching: Matching): string[] => [...matching.pieces()].flatMap((piece) => Buffer.from(piece).toString('hex').match(/.{64}/g) ?? []).sort();

async function askFor(verdicts: FilterVerdicts, filter: Filter): Promise<string[]> {
  const matching = await verdicts.hold(filter);
  const ids = idsIn(matching);
  expect(matching.size).toBe(ids.length);
  verdicts.release(matching);
  return ids;
}

const MANY = { bytesMax: 1e6 };
type Step = { readonly name: number; readonly values: Metadata | undefined };
const steps: fc.Arbitrary<Step[]> = fc.array(fc.record({ name: fc.nat(80), values: fc.option(metadataArbitrary, { nil: undefined }) }), { maxLength: 60 });

describe('FilterVerdicts', () => {
  it('has the images that match, through whatever is written and deleted after a filter was first asked for', async () => {
    await fc.assert(fc.asyncProperty(fc.array(metadataArbitrary, { maxLength: 60 }), fc.array(filterArbitrary, { minLength: 1, maxLength: 4 }), steps, async (metadata, filters, later) => {
      const catalog = catalogOf(metadata);
      const known = new Map(metadata.entries());
      const verdicts = new FilterVerdicts(catalog, MANY);
      const held = await Promise.all(filters.map((filter) => verdicts.hold(filter)));
      for (const { name, values } of later) {
        if (values) {
          catalog.set(recordOf(name, values));
          known.set(name, values);
        } else {
          catalog.delete(idOf(name));
          known.delete(name);
        }
      }
      filters.forEach((filter, f) => {
        const expected = [...known].filter(([, values]) => matchesByWord(filter, values)).map(([name]) => idOf(name));
        const matching = held[f]!;
        expect(idsIn(matching)).toEqual(expected.sort());
        expect(matching.size).toBe(expected.length);
        expect(Array.from({ length: 81 }, (_, name) => idOf(name)).filter((id) => matching.has(id)).sort()).toEqual(expected);
      });
    }), { numRuns: 100, seed: 7 });
  });

  it('sees what is written while all images are looked at, in turns of the event loop', async () => {
    const count = 20_000;
    const catalog = catalogOf(Array.from({ length: count }, (_, n) => ({ n: n % 2 })));
    const verdicts = new FilterVerdicts(catalog, MANY);
    const holding = verdicts.hold({ n: 1 });
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    await new Promise((resolve) => setImmediate(resolve));
    catalog.set(recordOf(0, { n: 1 }));
    catalog.set(recordOf(count - 1, { n: 0 }));
    catalog.delete(idOf(1));
    catalog.set(recordOf(count, { n: 1 }));
    const matching = await holding;
    clearInterval(timer);
    expect(matching.size).toBe(count / 2);
    expect([0, 1, count - 1, count].map((name) => matching.has(idOf(name)))).toEqual([true, false, false, true]);
    expect([...matching.pieces()].length).toBeGreaterThan(1);
    expect(turns).toBeGreaterThan(0);
  });

  it('looks at the metadata once for a filter that comes again, and for one that several ask for at once', async () => {
    const catalog = catalogOf(Array.from({ length: 100 }, (_, n) => ({ n })));
    let looked = 0;
    const rowTest = catalog.rowTest.bind(catalog);
    catalog.rowTest = (filter) => {
      const test = rowTest(filter);
      return (row) => (looked++, test(row));
    };
    const verdicts = new FilterVerdicts(catalog, MANY);
    await Promise.all([askFor(verdicts, { n: 5 }), askFor(verdicts, { n: 5 })]);
    await askFor(verdicts, { n: 5 });
    expect(looked).toBe(100);
  });

  it('forgets the filter that was asked for longest ago, but none that is held', async () => {
    const catalog = catalogOf(Array.from({ length: 320 }, (_, n) => ({ n })));
    const verdicts = new FilterVerdicts(catalog, { bytesMax: 80 }); // two of 40 bytes
    const held = await verdicts.hold({ n: 1 });
    for (const n of [2, 3, 4]) expect(await askFor(verdicts, { n })).toEqual([idOf(n)]);
    expect(verdicts.memoryBytes).toBe(80);
    catalog.set(recordOf(5, { n: 1 }));
    expect(idsIn(held)).toEqual([idOf(1), idOf(5)].sort());
    verdicts.release(held);
  });

  it('keeps none where no memory is given to it, and answers all the same', async () => {
    const verdicts = new FilterVerdicts(catalogOf([{ n: 1 }, { n: 2 }]), { bytesMax: 0 });
    expect(await askFor(verdicts, { n: 2 })).toEqual([idOf(1)]);
    expect(verdicts.memoryBytes).toBe(0);
  });
});
