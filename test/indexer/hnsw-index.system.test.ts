import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { EisError } from '../../common/errors.js';
import { dot } from '../../common/vector.js';
import { GraphThread, type GraphKeeper } from '../../indexer/graph-thread.js';
import { HnswIndex, type HnswIndexOptions } from '../../indexer/hnsw-index.js';
import { createScanPool, type Scanner } from '../../indexer/scan-pool.js';
import { readSnapshotFile, writeSnapshotFile } from '../../indexer/snapshot-file.js';
import type { VectorEntry } from '../../indexer/vector-index.js';
import { indexFolder } from './exact-index-parts.js';
import { describeVectorIndexContract } from './vector-index-contract.js';
import { amongIds, clusteredEntries, idOf, random, randomEntries, randomUnit, reference } from './vectors.js';

const GRAPH = { connectivity: 16, expansionAdd: 128, expansionSearch: 64 };

/** Worker threads, shared by the indexes of these tests. */
const pool = createScanPool({ threads: 2 });
afterAll(() => pool.close());
const shared: Scanner = { ...pool, close: async () => undefined };

const DIM = 16;
const query = randomUnit(DIM, random(42));

/** @param change what its graph's keeper does otherwise */
function createIndex(dim = DIM, change: (thread: GraphThread) => Partial<GraphKeeper> = () => ({}), options: Partial<HnswIndexOptions> = {}): HnswIndex {
  const openKeeper = (): GraphKeeper => {
    const thread = new GraphThread({ ...GRAPH, dim });
    return { options: thread.options, add: (rows) => thread.add(rows), search: (task) => thread.search(task), drop: (what) => thread.drop(what), close: () => thread.close(), ...change(thread) };
  };
  return new HnswIndex({ dim, folder: indexFolder(), scanner: shared, openKeeper, ...options });
}

function makeIndex(...parameters: Parameters<typeof createIndex>): HnswIndex {
  const index = createIndex(...parameters);
  onTestFinished(() => index.close());
  return index;
}

describeVectorIndexContract('HnswIndex', { exact: false, create: createIndex });

describeVectorIndexContract('HnswIndex whose graph stands for all it holds', {
  exact: false,
  create(dim) {
    const index = createIndex(dim, undefined, { rowsMin: 1 });
    const upsert = index.upsert.bind(index);
    index.upsert = async (entries) => {
      await upsert(entries);
      await index.settled();
    };
    return index;
  },
});

describe('HnswIndex among some ids', () => {
  it('is exact, and never has fewer than there are', async () => {
    const entries = clusteredEntries(3_000, DIM, { seed: 5, centres: 20 });
    const index = makeIndex();
    await index.upsert(entries);
    await index.settled();
    for (const share of [1_000, 300, 100, 10, 2]) {
      const matching = entries.filter((_, i) => i % share === 0);
      const accepted = new Set(matching.map(({ id }) => id));
      const [hits] = await index.search([query], { top: 10, among: amongIds(accepted) });
      expect(hits).toHaveLength(Math.min(10, matching.length));
      expect(hits?.every(({ id }) => accepted.has(id))).toBe(true);
      expect(hits).toEqual(reference(matching, query, 10));
    }
  });
});

const idsOf = (hits: readonly { readonly id: string }[] | undefined): string[] => (hits ?? []).map(({ id }) => id);

/** Which part of the exact top `top` an index answers, on average. */
async function recall(index: HnswIndex, entries: readonly VectorEntry[], queries: readonly Float32Array[], top = 10): Promise<number> {
  const answers = await Promise.all(queries.map(async (vector) => (await index.search([vector], { top }))[0]));
  const found = answers.map((hits, q) => {
    const expected = new Set(idsOf(reference(entries, queries[q]!, top)));
    return idsOf(hits).filter((id) => expected.has(id)).length / top;
  });
  return found.reduce((a, b) => a + b) / found.length;
}

describe('HnswIndex', () => {
  it('finds at least 98 of 100 of the ten nearest among 10,000 clustered vectors by its graph, with scores of dot() to the last bit', async () => {
    const all = clusteredEntries(10_050, 64, { seed: 3, centres: 100 });
    const [entries, queries] = [all.slice(0, 10_000), all.slice(10_000).map(({ vector }) => vector)];
    let asked = 0;
    const index = makeIndex(64, (thread) => ({ search: (task) => ((asked += task.search.queries.length), thread.search(task)) }));
    await index.upsert(entries);
    const rowsAlone = index.memoryBytes;
    await index.settled();
    expect(await recall(index, entries, queries)).toBeGreaterThanOrEqual(0.98);
    expect(asked).toBe(queries.length);
    const vectors = new Map(entries.map(({ id, vector }) => [id, vector]));
    const [hits] = await index.search([queries[0]!], { top: 100 });
    for (const { id, score } of hits!) expect(Object.is(score, dot(vectors.get(id)!, queries[0]!))).toBe(true);
    expect(index.memoryBytes).toBeGreaterThan(rowsAlone + 10_000 * 64 * 0.9);
  });

  const one = new Float32Array(DIM);
  one[3] = 1;
  it.each([['a vector', query], ['a vector with a single component', one]])('finds what stands beside many copies of %s', async (_name, copied) => {
    const copies = Array.from({ length: 1500 }, (_, i) => ({ id: idOf(`copy ${i}`), vector: copied }));
    const others = randomEntries(1500, DIM);
    const index = makeIndex();
    await index.upsert([...copies, ...others]);
    await index.settled();
    const found = await index.search(others.slice(0, 200).map(({ vector }) => vector), { top: 1 });
    expect(found.filter(([hit], i) => hit?.id === others[i]?.id).length).toBeGreaterThanOrEqual(196);
    expect((await index.search([copied], { top: 50 }))[0]?.every(({ score }) => score === dot(copied, copied))).toBe(true);
  });

  it('holds vectors of any length and none, in a graph', async () => {
    const odd = [new Float32Array(DIM), new Float32Array(DIM), new Float32Array(DIM).fill(3e38), new Float32Array(DIM).fill(1e-45)].map((vector, i) => ({ id: idOf(`odd ${i}`), vector }));
    const entries = randomEntries(2000, DIM);
    const index = makeIndex();
    await index.upsert([...odd, ...entries]);
    await index.settled();
    for (const { vector } of odd) expect((await index.search([vector], { top: 10 }))[0]).toHaveLength(10);
    expect(await recall(index, entries, entries.slice(0, 20).map(({ vector }) => vector), 1)).toBe(1);
  });

  it('answers exactly what its graph does not stand for yet', async () => {
    const entries = randomEntries(3000, DIM);
    let added = 0;
    let goOn = (): void => undefined;
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    const index = makeIndex(DIM, (thread) => ({
      async add(rows) {
        if (added > 1500) await gate;
        const done = await thread.add(rows);
        added += done.added;
        return done;
      },
    }));
    onTestFinished(goOn);
    await index.upsert(entries.slice(0, 2000));
    while (added <= 1500) await sleep(5);
    await index.upsert(entries.slice(2000));
    for (const { id, vector } of entries.slice(1900).filter((_, i) => i % 10 === 0)) expect((await index.search([vector], { top: 1 }))[0]?.[0]?.id).toBe(id);
  });

  it('loses nothing while its graph is made anew, and lets go of the one before', async () => {
    const [stable, churn] = [randomEntries(3000, DIM), randomEntries(2500, DIM, 2)];
    const stableIds = new Set(stable.map(({ id }) => id));
    const drops: (number | undefined)[] = [];
    const index = makeIndex(DIM, (thread) => ({ drop: (what) => (drops.push(what.graph), thread.drop(what)) }));
    await index.upsert([...stable, ...churn]);
    await index.settled();
    const full = index.memoryBytes;
    let writing = true;
    const writer = (async () => {
      await index.remove(churn.map(({ id }) => id));
      const added = randomEntries(300, DIM, 3);
      for (let from = 0; from < 300; from += 50) {
        await index.upsert(added.slice(from, from + 50));
        await index.remove(added.slice(from, from + 10).map(({ id }) => id));
      }
      await index.settled();
      writing = false;
      return added.filter((_, i) => i % 50 >= 10);
    })();
    for (let i = 0; writing; i++) {
      const { id, vector } = stable[(i * 37) % 3000]!;
      const [hits] = await index.search([vector], { top: 3, among: amongIds(stableIds) });
      expect(hits![0]!.id).toBe(id);
      expect(hits).toHaveLength(3);
    }
    const living = [...stable, ...(await writer)];
    expect(drops).toContain(0);
    expect(index.memoryBytes).toBeLessThan(full);
    expect(index.size).toBe(living.length);
    expect(await recall(index, living, living.filter((_, i) => i % 20 === 0).map(({ vector }) => vector))).toBeGreaterThanOrEqual(0.98);
    expect(await index.search([query], { top: living.length })).toEqual([reference(living, query, living.length)]);
    await index.upsert(churn);
    expect((await index.search([churn[7]!.vector], { top: 1 }))[0]![0]!.id).toBe(churn[7]!.id);
  });

  it('does not answer what is removed while the graph is asked, and fills up with the next best', async () => {
    const entries = randomEntries(3000, DIM);
    const best = idsOf(reference(entries, query, 120));
    let remove = (): void => undefined;
    const index = makeIndex(DIM, (thread) => ({
      search: async (task) => {
        const found = await thread.search(task);
        remove();
        return found;
      },
    }));
    await index.upsert(entries);
    await index.settled();
    remove = () => void index.remove(best.slice(0, 100));
    const [hits] = await index.search([query], { top: 10 });
    expect(hits).toHaveLength(10);
    expect(idsOf(hits).filter((id) => best.slice(0, 100).includes(id))).toEqual([]);
    expect(idsOf(hits).filter((id) => best.slice(100, 110).includes(id)).length).toBeGreaterThanOrEqual(9);
  });

  it('answers each id once when it is written again, and comes into the graph, between two looks of a search', async () => {
    const entries = randomEntries(3000, DIM);
    const best = idsOf(reference(entries, query, 500));
    const again = new Set(best.slice(400));
    let between = async (): Promise<unknown> => undefined;
    const index = makeIndex(DIM, (thread) => ({
      async search(task) {
        const found = await thread.search(task);
        await between();
        return found;
      },
    }));
    await index.upsert(entries);
    await index.settled();
    await index.remove(best.slice(0, 400)); // so that a first look finds too few that live
    await index.settled();
    between = async () => {
      between = async () => undefined;
      await index.upsert(entries.filter(({ id }) => again.has(id)).map(({ id, vector }) => ({ id, vector: vector.map((x) => x * 0.999) })));
      await index.settled();
    };
    const [hits] = await index.search([query], { top: 12 });
    expect(hits).toHaveLength(12);
    expect(new Set(idsOf(hits)).size).toBe(12);
  });

  it('answers the few that it is to search among exactly, however far away they are', async () => {
    const entries = randomEntries(3000, DIM);
    const index = makeIndex();
    await index.upsert(entries);
    await index.settled();
    const far = reference(entries, query, 3000).slice(-5);
    const accepted = new Set(idsOf(far));
    expect(await index.search([query], { top: 10, among: amongIds(accepted) })).toEqual([far]);
    expect(await index.search([query], { top: 3, among: amongIds(accepted) })).toEqual([far.slice(0, 3)]);
  });

  it('goes on by scanning when its thread ends, says so, and makes another graph', async () => {
    const entries = randomEntries(2000, DIM);
    const threads: GraphThread[] = [];
    const failures: unknown[] = [];
    const index = makeIndex(DIM, (thread) => (threads.push(thread), {}), { onGraphFailed: (error) => failures.push(error), retryMs: 10 });
    await index.upsert(entries);
    await index.settled();
    const asked = entries.slice(0, 20).map(({ vector }) => index.search([vector], { top: 1 }));
    await threads[0]?.close();
    const answers = [...(await Promise.all(asked)), ...(await index.search([entries[3]!.vector], { top: 1 }))];
    expect(idsOf(answers.slice(0, 20).map((hits) => (hits as unknown as { id: string }[][])[0]![0]!))).toEqual(entries.slice(0, 20).map(({ id }) => id));
    expect(failures).toMatchObject([{ message: expect.stringMatching(/thread that held the graph ended/) as string }]);
    await index.settled();
    expect(threads).toHaveLength(2);
    expect(await recall(index, entries, entries.slice(0, 20).map(({ vector }) => vector), 1)).toBe(1);
  });

  it('goes on by scanning when rows are refused, whatever by, and makes another graph', async () => {
    const entries = randomEntries(2000, DIM);
    const failures: unknown[] = [];
    const refusal = new EisError('EIS_ENGINE_UNAVAILABLE', { engine: 'usearch', detail: 'it is away.' });
    const index = makeIndex(DIM, () => (failures.length > 1 ? {} : { add: () => Promise.reject(refusal) }), { onGraphFailed: (error) => failures.push(error), retryMs: 10 });
    await index.upsert(entries);
    expect((await index.search([entries[3]!.vector], { top: 1 }))[0]?.[0]?.id).toBe(entries[3]!.id);
    await index.settled();
    expect(failures).toEqual([refusal, refusal]);
    expect(await recall(index, entries, entries.slice(0, 20).map(({ vector }) => vector), 1)).toBe(1);
  });

  it('is saved and restored as brute is, and answers before its graph stands again', async () => {
    const entries = randomEntries(3000, DIM);
    const index = createIndex();
    await index.upsert(entries);
    await index.settled();
    const frozen = index.freeze();
    const path = join(frozen.folder, 'snapshot');
    await writeSnapshotFile(path, (writer) => frozen.write(writer));
    frozen.end(true);
    await index.close({ isKept: true });
    const openKeeper = (): GraphKeeper => new GraphThread({ ...GRAPH, dim: DIM });
    const restored = await readSnapshotFile(path, (contents, reader) => HnswIndex.restore({ dim: DIM, folder: frozen.folder, scanner: shared, openKeeper }, contents, reader));
    onTestFinished(() => restored.close());
    expect(await restored.search([query], { top: 10 })).toEqual([reference(entries, query, 10)]);
    await restored.settled();
    expect(await recall(restored, entries, entries.slice(0, 50).map(({ vector }) => vector))).toBeGreaterThanOrEqual(0.98);
  });
});
