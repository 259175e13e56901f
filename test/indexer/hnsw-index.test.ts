import { describe, expect, it, onTestFinished } from 'vitest';
import { dot } from '../../common/vector.js';
import { HnswIndex } from '../../indexer/hnsw-index.js';
import { HnswThread, type GraphKeeper } from '../../indexer/hnsw-thread.js';
import type { VectorEntry } from '../../indexer/vector-index.js';
import { indexFolder } from './exact-index-parts.js';
import { describeVectorIndexContract } from './vector-index-contract.js';
import { clusteredEntries, idOf, random, randomEntries, randomUnit, reference } from './vectors.js';

const GRAPH = { connectivity: 16, expansionAdd: 128, expansionSearch: 64 };

const startThread = (dim: number): HnswThread => new HnswThread({ ...GRAPH, dim });

describeVectorIndexContract('HnswIndex', { exact: false, create: (dim) => new HnswIndex({ dim, folder: indexFolder(), keeper: startThread(dim) }) });

const DIM = 16;
const query = randomUnit(DIM, random(42));

function makeIndex(dim = DIM, change: (keeper: HnswThread) => Partial<GraphKeeper> = () => ({})): { readonly index: HnswIndex; readonly thread: HnswThread } {
  const thread = startThread(dim);
  const keeper: GraphKeeper = {
    options: thread.options,
    add: (task) => thread.add(task),
    search: (task) => thread.search(task),
    rescore: (task) => thread.rescore(task),
    drop: (graph) => thread.drop(graph),
    close: () => thread.close(),
    ...change(thread),
  };
  const index = new HnswIndex({ dim, folder: indexFolder(), keeper });
  onTestFinished(() => index.close());
  return { index, thread };
}

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
  it('finds at least 98 of 100 of the ten nearest among 10,000 clustered vectors, with scores of dot() to the last bit', async () => {
    const all = clusteredEntries(10_050, 64, { seed: 3, centres: 100 });
    const [entries, queries] = [all.slice(0, 10_000), all.slice(10_000).map(({ vector }) => vector)];
    const { index } = makeIndex(64);
    await index.upsert(entries);
    expect(await recall(index, entries, queries)).toBeGreaterThanOrEqual(0.98);
    const vectors = new Map(entries.map(({ id, vector }) => [id, vector]));
    const [hits] = await index.search([queries[0]!], { top: 100 });
    for (const { id, score } of hits!) expect(Object.is(score, dot(vectors.get(id)!, queries[0]!))).toBe(true);
    expect(index.memoryBytes).toBeGreaterThan(10_000 * 64 * 2);
  });

  it('finds what stands beside many copies of one vector', async () => {
    const copies = Array.from({ length: 1500 }, (_, i) => ({ id: idOf(`copy ${i}`), vector: query }));
    const others = randomEntries(1500, DIM);
    const { index } = makeIndex();
    await index.upsert([...copies, ...others]);
    const found = await index.search(others.slice(0, 200).map(({ vector }) => vector), { top: 1 });
    expect(found.filter(([hit], i) => hit?.id === others[i]?.id).length).toBeGreaterThanOrEqual(196);
    expect((await index.search([query], { top: 50 }))[0]?.every(({ score }) => score === dot(query, query))).toBe(true);
  });

  it('holds vectors of any length and none, in a graph', async () => {
    const odd = [new Float32Array(DIM), new Float32Array(DIM), new Float32Array(DIM).fill(3e38), new Float32Array(DIM).fill(1e-45)].map((vector, i) => ({ id: idOf(`odd ${i}`), vector }));
    const entries = randomEntries(2000, DIM);
    const { index } = makeIndex();
    await index.upsert([...odd, ...entries]);
    for (const { vector } of odd) expect((await index.search([vector], { top: 10 }))[0]).toHaveLength(10);
    expect(await recall(index, entries, entries.slice(0, 20).map(({ vector }) => vector), 1)).toBe(1);
  });

  it('loses nothing while its graph is made anew, and frees what was dead', async () => {
    const [stable, churn] = [randomEntries(3000, DIM), randomEntries(1500, DIM, 2)];
    const stableIds = new Set(stable.map(({ id }) => id));
    const drops: number[] = [];
    const { index } = makeIndex(DIM, (thread) => ({ drop: (graph) => (drops.push(graph), thread.drop(graph)) }));
    await index.upsert([...stable, ...churn]);
    const full = index.memoryBytes;
    let writing = true;
    const writer = (async () => {
      await index.remove(churn.map(({ id }) => id));
      const added = randomEntries(300, DIM, 3);
      for (let from = 0; from < 300; from += 50) {
        await index.upsert(added.slice(from, from + 50));
        await index.remove(added.slice(from, from + 10).map(({ id }) => id));
      }
      await index.whenRebuilt();
      writing = false;
      return added.filter((_, i) => i % 50 >= 10);
    })();
    for (let i = 0; writing; i++) {
      const { id, vector } = stable[(i * 37) % 3000]!;
      const [hits] = await index.search([vector], { top: 3, accept: (other) => stableIds.has(other) });
      expect(hits![0]!.id).toBe(id);
      expect(hits).toHaveLength(3);
    }
    const living = [...stable, ...(await writer)];
    expect(drops).toEqual([0]);
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
    const { index } = makeIndex(DIM, (thread) => ({
      search: async (task) => {
        const found = await thread.search(task);
        remove();
        return found;
      },
    }));
    await index.upsert(entries);
    remove = () => void index.remove(best.slice(0, 100));
    const [hits] = await index.search([query], { top: 10 });
    expect(hits).toHaveLength(10);
    expect(idsOf(hits).filter((id) => best.slice(0, 100).includes(id))).toEqual([]);
    expect(idsOf(hits).filter((id) => best.slice(100, 110).includes(id)).length).toBeGreaterThanOrEqual(9);
  });

  it('answers the few that a predicate accepts exactly, however far away they are', async () => {
    const entries = randomEntries(3000, DIM);
    const { index } = makeIndex();
    await index.upsert(entries);
    const far = reference(entries, query, 3000).slice(-5);
    const accepted = new Set(idsOf(far));
    expect(await index.search([query], { top: 10, accept: (id) => accepted.has(id) })).toEqual([far]);
    expect(await index.search([query], { top: 3, accept: (id) => accepted.has(id) })).toEqual([far.slice(0, 3)]);
  });

  it('does not rewrite a vector that it holds already', async () => {
    const entries = randomEntries(100, DIM);
    let added = 0;
    const { index } = makeIndex(DIM, (thread) => ({ add: (task) => ((added += task.rows.slots.length), thread.add(task)) }));
    await index.upsert(entries);
    await index.upsert(entries);
    expect(added).toBe(100);
  });

  it('says that its thread ended, to searches that wait and to those that come', async () => {
    const { index, thread } = makeIndex();
    await index.upsert(randomEntries(2000, DIM));
    const waiting = [index.search([query], { top: 1 }), index.search([query], { top: 1 })];
    const said = Promise.all(waiting.map((search) => expect(search).rejects.toMatchObject({ code: 'EIS_INDEX_DAMAGED', message: expect.stringMatching(/thread that held its graph ended/) as string })));
    await thread.close();
    await said;
    await expect(index.search([query], { top: 1 })).rejects.toMatchObject({ code: 'EIS_INDEX_DAMAGED' });
    await expect(index.upsert(randomEntries(1, DIM, 5))).rejects.toMatchObject({ code: 'EIS_INDEX_DAMAGED' });
  });

  it('says so when its graph cannot be made anew', async () => {
    let graphs = 0;
    const { index } = makeIndex(DIM, (thread) => ({
      add: (task) => {
        graphs = Math.max(graphs, task.graph);
        return graphs === 0 ? thread.add(task) : Promise.reject(new Error('no memory'));
      },
    }));
    const entries = randomEntries(2000, DIM);
    await index.upsert(entries);
    await index.remove(entries.slice(0, 1000).map(({ id }) => id));
    await index.whenRebuilt();
    await expect(index.search([query], { top: 1 })).rejects.toMatchObject({ code: 'EIS_INDEX_DAMAGED', message: expect.stringContaining('no memory') as string });
  });
});
