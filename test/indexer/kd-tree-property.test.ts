/** The k-d tree against a plain scan, on data made to lead it astray: ties, near-ties, and sums whose rounding matters. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KdTreeIndex } from '../../indexer/kd-tree-index.js';
import { searchTree } from '../../indexer/kd-search.js';
import type { KdTreeWorkers } from '../../indexer/kd-tree-pool.js';
import { build } from '../../indexer/kd-tree-worker.js';
import { amongIds, idOf, reference } from './vectors.js';

/** Works in this thread, as one of several would. */
const inline: KdTreeWorkers = { threads: 3, search: async (task) => searchTree(task), build: async (task) => build(task), close: async () => undefined };
const options = fc.record({ changesMax: fc.constantFrom(0, 3, 20), leafRowsMax: fc.constantFrom(2, 3, 8) });

const FLOAT32 = { noNaN: true, noDefaultInfinity: true } as const;
const ULP = 2 ** -23;

/** Components of one kind of data each. */
const KINDS = {
  anything: fc.float(FLOAT32),
  'few values, so that most scores tie': fc.constantFrom(0, -0, 1, -1, 0.5),
  'near-ties, a last bit apart': fc.integer({ min: -3, max: 3 }).map((ulps) => 0.3 * (1 + ulps * ULP)),
  'a huge dynamic range': fc.tuple(fc.constantFrom(1, -1), fc.constantFrom(3.4e38, 1e30, 1e8, 1, 1e-8, 1e-30, 1e-44)).map(([sign, size]) => sign * size),
  'sparse': fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.float({ min: -1, max: 1, ...FLOAT32 }) }),
  'sums that cancel': fc.tuple(fc.constantFrom(1e8, -1e8, 1, -1), fc.integer({ min: -2, max: 2 })).map(([size, ulps]) => size * (1 + ulps * ULP)),
};

const vectorOf = (component: fc.Arbitrary<number>, dim: number): fc.Arbitrary<Float32Array> => fc.array(component, { minLength: dim, maxLength: dim }).map((numbers) => new Float32Array(numbers));

/** Rows as clusters: copies of a few vectors, each moved by little or nothing. */
const clusteredOf = (component: fc.Arbitrary<number>, dim: number): fc.Arbitrary<Float32Array[]> =>
  fc.tuple(fc.array(vectorOf(component, dim), { minLength: 1, maxLength: 3 }), fc.array(fc.tuple(fc.nat(2), fc.nat(dim - 1), fc.integer({ min: -2, max: 2 })), { minLength: 1, maxLength: 80 }))
    .map(([centres, rows]) => rows.map(([c, i, ulps]) => {
      const row = centres[c % centres.length]!.slice();
      const moved = Math.fround(row[i]! * (1 + ulps * ULP));
      row[i] = Number.isFinite(moved) ? moved : row[i]!;
      return row;
    }));

const oneHotOf = (dim: number): fc.Arbitrary<Float32Array[]> =>
  fc.array(fc.tuple(fc.nat(dim - 1), fc.constantFrom(1, -1, 0)), { minLength: 1, maxLength: 80 }).map((rows) => rows.map(([i, value]) => new Float32Array(dim).fill(value, i, i + 1)));

describe('KdTreeIndex on any data', () => {
  it.each(Object.entries(KINDS))('equals the float64 reference: %s', async (_, component) => {
    const cases = fc.integer({ min: 1, max: 9 }).chain((dim) => fc.record({
      vectors: fc.oneof(fc.array(vectorOf(component, dim), { maxLength: 80 }), clusteredOf(component, dim), oneHotOf(dim)),
      queries: fc.array(fc.oneof(vectorOf(component, dim), vectorOf(KINDS.anything, dim), oneHotOf(dim).map(([first]) => first!)), { minLength: 1, maxLength: 4 }),
      top: fc.integer({ min: 1, max: 12 }),
      dim: fc.constant(dim),
      options,
    }));
    await fc.assert(
      fc.asyncProperty(cases, async ({ vectors, queries, top, dim, options }) => {
        const entries = vectors.map((vector, i) => ({ id: idOf(i), vector }));
        const index = new KdTreeIndex({ dim, workers: inline, ...options });
        await index.upsert(entries);
        await index.settled();
        const found = await index.search(queries, { top });
        queries.forEach((query, q) => expect(found[q]).toEqual(reference(entries, query, top).map(({ id, score }) => ({ id, score: score + 0 }))));
      }),
      { numRuns: 200 },
    );
  });
});

const DIM = 3;
const ID_COUNT = 40;
const ids = fc.integer({ min: 0, max: ID_COUNT - 1 }).map(idOf);
const rows = vectorOf(fc.oneof(...Object.values(KINDS)), DIM);
const command = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('upsert' as const), entries: fc.array(fc.record({ id: ids, vector: rows }), { maxLength: 30 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), ids: fc.array(ids, { maxLength: 15 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('search' as const), query: rows, top: fc.integer({ min: 1, max: ID_COUNT + 2 }), modulus: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('build' as const), builds: fc.integer({ min: 1, max: 2 }) }) },
);

describe('KdTreeIndex under any interleaving of writes and builds', () => {
  it('equals the float64 reference, with and without a predicate', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 60 }), options, async (commands, options) => {
        const held: (() => void)[] = [];
        const isDone = { value: false };
        /** The tree is built of the rows as they are when a build begins, and taken over when a command lets it. */
        const workers: KdTreeWorkers = { ...inline, build: async (task) => {
          const built = build(task);
          if (!isDone.value) await new Promise<void>((resolve) => held.push(resolve));
          return built;
        } };
        const index = new KdTreeIndex({ dim: DIM, workers, ...options });
        const model = new Map<string, Float32Array>();
        for (const step of commands) {
          if (step.kind === 'upsert') {
            await index.upsert(step.entries);
            for (const { id, vector } of step.entries) model.set(id, vector);
          } else if (step.kind === 'remove') {
            await index.remove(step.ids);
            for (const id of step.ids) model.delete(id);
          } else if (step.kind === 'build') {
            for (let i = 0; i < step.builds; i++) {
              held.shift()?.();
              await new Promise((resolve) => setImmediate(resolve));
            }
          } else {
            const accept = (id: string): boolean => id.charCodeAt(0) % step.modulus === 0;
            const candidates = Array.from(model, ([id, vector]) => ({ id, vector })).filter(({ id }) => accept(id));
            const [hits] = await index.search([step.query], { top: step.top, ...(step.modulus > 1 ? { among: amongIds(candidates.map(({ id }) => id)) } : {}) });
            expect(hits).toEqual(reference(candidates, step.query, step.top));
          }
          expect(index.size).toBe(model.size);
        }
        isDone.value = true;
        held.forEach((release) => release());
        await index.settled();
        for (const [id, vector] of model) expect(await index.vector(id)).toEqual(vector);
      }),
      { numRuns: 300 },
    );
  });
});
