import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { dot } from '../../common/vector.js';
import { ExactIndex } from '../../indexer/exact-index.js';
import { scan, type ScanTask } from '../../indexer/scan.js';
import { createScanPool, type Scanner } from '../../indexer/scan-pool.js';
import type { VectorEntry } from '../../indexer/vector-index.js';
import { indexFolder, inlineScanner } from './exact-index-parts.js';
import { describeVectorIndexContract } from './vector-index-contract.js';
import { amongIds, idOf, random, randomEntries, randomUnit, reference } from './vectors.js';

/** Worker threads, shared by the indexes of these tests: starting them takes longer than a test. */
const pool = createScanPool({ threads: 2 });
afterAll(() => pool.close());
const shared: Scanner = { ...pool, close: async () => undefined };

describeVectorIndexContract('ExactIndex', { exact: true, create: (dim) => new ExactIndex({ dim, folder: indexFolder(), scanner: shared }) });

/** Scans in this thread, when it is let: so that a test decides what happens while a scan runs. */
function heldScanner(): Scanner & { readonly tasks: ScanTask[]; release(): void } {
  let release = (): void => undefined;
  let gate = new Promise<void>((resolve) => (release = resolve));
  const tasks: ScanTask[] = [];
  return {
    ...inlineScanner(),
    tasks,
    async scan(task) {
      tasks.push(task);
      await gate;
      return scan(task);
    },
    release() {
      release();
      gate = new Promise((resolve) => (release = resolve));
    },
  };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('ExactIndex', () => {
  const DIM = 8;
  const query = randomUnit(DIM, random(42));

  it('scores exactly as dot() does', async () => {
    const dim = 1280;
    const entries = randomEntries(41, dim);
    const index = new ExactIndex({ dim, folder: indexFolder(), scanner: shared });
    await index.upsert(entries);
    const wide = randomUnit(dim, random(11));
    const [hits] = await index.search([wide], { top: 41 });
    const vectors = new Map(entries.map(({ id, vector }) => [id, vector]));
    for (const { id, score } of hits ?? []) expect(Object.is(score, dot(vectors.get(id) as Float32Array, wide))).toBe(true);
    await index.close();
  });

  it('answers what arrives while a scan runs by one next scan', async () => {
    const scanner = heldScanner();
    const index = new ExactIndex({ dim: DIM, folder: indexFolder(), scanner });
    await index.upsert(randomEntries(10, DIM));
    const first = index.search([query], { top: 1 });
    await settle();
    const later = [index.search([query], { top: 2 }), index.search([query, query], { top: 3 })];
    await settle();
    expect(scanner.tasks).toHaveLength(1);
    scanner.release();
    await first;
    await settle();
    expect(scanner.tasks.map(({ queries }) => queries.length)).toEqual([1, 3]);
    scanner.release();
    expect((await Promise.all(later)).map((answers) => answers.map((hits) => hits.length))).toEqual([[2], [3, 3]]);
  });

  it('bounds the queries of a pass and those that wait', async () => {
    const scanner = heldScanner();
    const index = new ExactIndex({ dim: DIM, folder: indexFolder(), scanner });
    await index.upsert(randomEntries(3, DIM));
    const searches = [index.search([query], { top: 1 })];
    await settle();
    for (let i = 0; i < 16; i++) searches.push(index.search(Array.from({ length: 64 }, () => query), { top: 1 }));
    await expect(index.search([query], { top: 1 })).rejects.toMatchObject({ code: 'EIS_OVERLOADED', statusCode: 429 });
    for (let i = 0; i < 17; i++) {
      scanner.release();
      await settle();
    }
    await Promise.all(searches);
    expect(scanner.tasks.map(({ queries }) => queries.length)).toEqual([1, ...Array.from({ length: 16 }, () => 64)]);
  });

  it('scans again when what it found was removed meanwhile', async () => {
    const entries = randomEntries(50, DIM);
    const scanner = heldScanner();
    const index = new ExactIndex({ dim: DIM, folder: indexFolder(), scanner });
    await index.upsert(entries);
    const searching = index.search([query], { top: 5 });
    await settle();
    await index.remove(reference(entries, query, 2).map(({ id }) => id));
    scanner.release();
    await settle();
    expect(scanner.tasks.map(({ queries }) => queries[0]?.keep)).toEqual([5, 10]);
    scanner.release();
    expect(await searching).toEqual([reference(entries, query, 7).slice(2)]);
  });

  it('answers as of the start of the scan: neither what was added since nor a new vector', async () => {
    const entries = randomEntries(20, DIM);
    const scanner = heldScanner();
    const index = new ExactIndex({ dim: DIM, folder: indexFolder(), scanner });
    await index.upsert(entries);
    const searching = index.search([query], { top: 100 });
    await settle();
    await index.upsert([{ id: idOf('added'), vector: query }, { id: (entries[0] as VectorEntry).id, vector: query }]);
    scanner.release();
    expect(await searching).toEqual([reference(entries, query, 100)]);
  });

  it('gives the memory of dead rows back, and nothing of the living', async () => {
    const entries = randomEntries(8192, DIM);
    const index = new ExactIndex({ dim: DIM, folder: indexFolder(), scanner: shared });
    await index.upsert(entries);
    const full = index.memoryBytes;
    await index.remove(entries.slice(0, 7000).map(({ id }) => id));
    expect(index.memoryBytes).toBeLessThan(full / 2);
    expect(await index.search([query], { top: 2000 })).toEqual([reference(entries.slice(7000), query, 2000)]);
    const next = random(8);
    for (let round = 0; round < 40; round++) await index.upsert(entries.slice(7000).map(({ id }) => ({ id, vector: randomUnit(DIM, next) })));
    expect(index.memoryBytes).toBeLessThan(full / 2);
    await index.close();
  });

  it('does not rewrite a vector that it holds already', async () => {
    const entries = randomEntries(1000, DIM);
    const index = new ExactIndex({ dim: DIM, folder: indexFolder(), scanner: shared });
    await index.upsert(entries);
    const before = index.memoryBytes;
    for (let round = 0; round < 5; round++) await index.upsert(entries);
    expect(index.memoryBytes).toBe(before);
    await index.close();
  });

  it('rejects searches whose scan fails, and goes on', async () => {
    let failing = true;
    const index = new ExactIndex({ dim: DIM, folder: indexFolder(), scanner: { ...inlineScanner(), scan: async (task) => (failing ? Promise.reject(new Error('worker died')) : scan(task)) } });
    await index.upsert(randomEntries(5, DIM));
    await expect(index.search([query], { top: 1 })).rejects.toThrow('worker died');
    failing = false;
    expect((await index.search([query], { top: 1 }))[0]).toHaveLength(1);
  });
});

// ── Against a reference, whatever the order of writes ───────────────────────────────────────────────────────────────

const PROPERTY_DIM = 3;
const ID_COUNT = 12;
const component = fc.oneof(fc.constantFrom(0, -0, 1, -1, 0.5), fc.float({ noNaN: true, noDefaultInfinity: true }));
const vectors = fc.array(component, { minLength: PROPERTY_DIM, maxLength: PROPERTY_DIM }).map((numbers) => new Float32Array(numbers));
const ids = fc.integer({ min: 0, max: ID_COUNT - 1 }).map(idOf);
const command = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('upsert' as const), entries: fc.array(fc.record({ id: ids, vector: vectors }), { maxLength: 20 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), ids: fc.array(ids, { maxLength: 8 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('search' as const), query: vectors, top: fc.integer({ min: 1, max: ID_COUNT + 2 }), modulus: fc.integer({ min: 1, max: 3 }) }) },
);

describe('ExactIndex under any interleaving of writes', () => {
  it('equals the float64 reference, with and without a predicate', async () => {
    const inline = inlineScanner(3);
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 60 }), async (commands) => {
        const index = new ExactIndex({ dim: PROPERTY_DIM, folder: indexFolder(), scanner: inline });
        const model = new Map<string, Float32Array>();
        for (const step of commands) {
          if (step.kind === 'upsert') {
            await index.upsert(step.entries);
            for (const { id, vector } of step.entries) model.set(id, vector);
          } else if (step.kind === 'remove') {
            await index.remove(step.ids);
            for (const id of step.ids) model.delete(id);
          } else {
            const accept = (id: string): boolean => id.charCodeAt(0) % step.modulus === 0;
            const candidates = Array.from(model, ([id, vector]) => ({ id, vector })).filter(({ id }) => accept(id));
            const [hits] = await index.search([step.query], { top: step.top, among: amongIds(candidates.map(({ id }) => id)) });
            expect(hits?.map(({ id, score }) => [id, score + 0])).toEqual(reference(candidates, step.query, step.top).map(({ id, score }) => [id, score + 0]));
          }
          expect(index.size).toBe(model.size);
        }
      }),
      { numRuns: 150 },
    );
  });
});
