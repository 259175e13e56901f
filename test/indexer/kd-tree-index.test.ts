import { afterAll, describe, expect, it, vi } from 'vitest';
import { dot } from '../../common/vector.js';
import { searchTree } from '../../indexer/kd-search.js';
import { KdTreeIndex, type KdSearchStats, type KdTreeIndexOptions } from '../../indexer/kd-tree-index.js';
import { createKdTreePool, type KdTreeWorkers } from '../../indexer/kd-tree-pool.js';
import { build } from '../../indexer/kd-tree-worker.js';
import type { VectorEntry } from '../../indexer/vector-index.js';
import { describeVectorIndexContract } from './vector-index-contract.js';
import { amongIds, idOf, random, randomEntries, randomUnit, reference } from './vectors.js';

/** Worker threads, shared by the indexes of these tests: starting them takes longer than a test. */
const pool = createKdTreePool({ threads: 2 });
afterAll(() => pool.close());
const shared: KdTreeWorkers = { ...pool, close: async () => undefined };
/** Works in this thread, as one of several would. */
const inline: KdTreeWorkers = { threads: 3, search: async (task) => searchTree(task), build: async (task) => build(task), close: async () => undefined };
/** A tree at every chance, with leaves as small as they come. */
const EAGER = { changesMax: 0, leafRowsMax: 2 } as const;

describeVectorIndexContract('KdTreeIndex', { exact: true, create: (dim) => new KdTreeIndex({ dim, workers: shared }) });
describeVectorIndexContract('KdTreeIndex that rebuilds at every chance', { exact: true, create: (dim) => new KdTreeIndex({ dim, workers: shared, ...EAGER }) });

/** An index of these entries, all of them in its tree. */
async function builtIndex(entries: readonly VectorEntry[], options: Partial<KdTreeIndexOptions> = {}): Promise<KdTreeIndex> {
  const index = new KdTreeIndex({ dim: entries[0]!.vector.length, workers: shared, changesMax: 0, ...options });
  await index.upsert(entries);
  await index.settled();
  return index;
}

/** Workers whose builds begin and end when a test lets them; searches run at once. */
function heldBuilds(): KdTreeWorkers & { readonly versions: number[]; release(): void } {
  const versions: number[] = [];
  const gates: (() => void)[] = [];
  return {
    ...inline,
    versions,
    async build(task) {
      versions.push(task.version);
      const built = build(task);
      await new Promise<void>((resolve) => gates.push(resolve));
      return built;
    },
    release: () => gates.shift()?.(),
  };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Unit vectors about a few centres, as embeddings of alike images are. */
function clustered(count: number, dim: number, seed = 1): VectorEntry[] {
  const next = random(seed);
  const centres = Array.from({ length: 50 }, () => randomUnit(dim, next));
  return Array.from({ length: count }, (_, i) => {
    const centre = centres[i % centres.length]!;
    const moved = centre.map((x) => x + (0.2 * (next() - 0.5)) / Math.sqrt(dim));
    const norm = Math.sqrt(dot(moved, moved));
    return { id: idOf(`${seed}/${i}`), vector: moved.map((x) => x / norm) };
  });
}

describe('KdTreeIndex', () => {
  const DIM = 8;
  const query = randomUnit(DIM, random(42));

  it('scores exactly as dot() does, whether a row is in the tree or loose', async () => {
    const dim = 1280;
    const entries = randomEntries(300, dim);
    const index = await builtIndex(entries.slice(0, 280));
    await index.upsert(entries.slice(280));
    const wide = randomUnit(dim, random(11));
    const [hits] = await index.search([wide], { top: 300 });
    expect(hits).toHaveLength(300);
    const vectors = new Map(entries.map(({ id, vector }) => [id, vector]));
    for (const { id, score } of hits!) expect(Object.is(score, dot(vectors.get(id)!, wide))).toBe(true);
  });

  it('divides one query among threads in many dimensions, and many queries in few', async () => {
    for (const dim of [2, 300]) {
      const entries = randomEntries(5000, dim);
      const tasks: number[] = [];
      const workers: KdTreeWorkers = { ...inline, search: async (task) => (tasks.push(task.queries.length), searchTree(task)) };
      const index = await builtIndex(entries, { workers });
      const one = randomUnit(dim, random(3));
      expect(await index.search([one], { top: 20 })).toEqual([reference(entries, one, 20)]);
      expect(tasks.splice(0)).toEqual(dim === 2 ? [1] : [1, 1, 1, 1]);
      const several = Array.from({ length: 7 }, (_, i) => randomUnit(dim, random(i)));
      expect(await index.search(several, { top: 5 })).toEqual(several.map((each) => reference(entries, each, 5)));
      expect(tasks).toEqual([2, 2, 3]);
    }
  });

  it.each([2, 3, 4, 8])('never looks at most rows in %i dimensions', async (dim) => {
    const rows = 50_000;
    const entries = clustered(rows, dim);
    const visited: number[] = [];
    const index = await builtIndex(entries, { onScan: ({ rowsVisited }) => visited.push(rowsVisited) });
    for (let i = 0; i < 20; i++) {
      const { vector } = entries[(i * 2_477) % rows]!;
      expect(await index.search([vector], { top: 10 })).toEqual([reference(entries, vector, 10)]);
    }
    const mean = visited.reduce((sum, count) => sum + count, 0) / visited.length;
    expect(mean).toBeLessThan(rows / (dim < 8 ? 20 : 4));
  });

  it('looks at every row once at most', async () => {
    const entries = randomEntries(3000, 100);
    const stats: KdSearchStats[] = [];
    const index = await builtIndex(entries, { onScan: (scan) => stats.push(scan) });
    await index.upsert(randomEntries(100, 100, 2));
    await index.search([randomUnit(100, random(1))], { top: 3000 });
    expect(stats[0]).toMatchObject({ queries: 1, rowsVisited: 3100 });
  });

  it('finds what is written and not what is removed while a tree is built, and after it', async () => {
    const workers = heldBuilds();
    const entries = randomEntries(400, DIM);
    const held = new Map(entries.slice(0, 300).map(({ id, vector }) => [id, vector]));
    const index = new KdTreeIndex({ dim: DIM, workers, ...EAGER });
    const check = async (): Promise<void> => expect(await index.search([query], { top: 500 })).toEqual([reference(Array.from(held, ([id, vector]) => ({ id, vector })), query, 500)]);
    const put = async (changed: readonly VectorEntry[]): Promise<void> => {
      await index.upsert(changed);
      for (const { id, vector } of changed) held.set(id, vector);
    };
    await index.upsert(entries.slice(0, 300));
    await settle();
    expect(workers.versions).toHaveLength(1);
    await put(entries.slice(300));
    await put(randomEntries(400, DIM, 2).map(({ vector }, i) => ({ id: entries[i]!.id, vector })).filter((_, i) => i % 3 === 0));
    const gone = entries.filter((_, i) => i % 7 === 0).map(({ id }) => id);
    await index.remove(gone);
    for (const id of gone) held.delete(id);
    await check();
    workers.release();
    await settle();
    await check();
    expect(workers.versions.length).toBe(2);
    await put(entries.slice(0, 20));
    workers.release();
    await settle();
    await check();
    expect(index.size).toBe(held.size);
  });

  it('answers a search that began before a new tree took over as of its start', async () => {
    const entries = randomEntries(500, DIM);
    let release = (): void => undefined;
    const gate = new Promise<void>((resolve) => (release = resolve));
    let isHeld = false;
    const workers: KdTreeWorkers = { ...inline, search: async (task) => (isHeld && (await gate), searchTree(task)) };
    const index = await builtIndex(entries, { workers });
    isHeld = true;
    const searching = index.search([query], { top: 1000 });
    await settle();
    let moved = entries;
    for (let round = 0; round < 5; round++) {
      moved = randomEntries(500, DIM, round + 2).map(({ vector }, i) => ({ id: entries[i]!.id, vector }));
      await index.upsert(moved);
      await index.settled();
    }
    release();
    expect(await searching).toEqual([reference(entries, query, 1000)]);
    expect(await index.search([query], { top: 1000 })).toEqual([reference(moved, query, 1000)]);
  });

  it('answers rightly while trees are built in their thread, one after the other', async () => {
    const stable = randomEntries(3000, 4);
    const index = await builtIndex(stable, { changesMax: 16 });
    const narrow = randomUnit(4, random(5));
    const expected = reference(stable, narrow, 50);
    const ids = new Set(stable.map(({ id }) => id));
    let writing = true;
    const writer = (async () => {
      for (let round = 0; round < 30; round++) {
        const churn = randomEntries(1500, 4, round + 2);
        await index.upsert(churn);
        await settle();
        await index.remove(churn.map(({ id }) => id));
        if (round % 5 === 0) await index.settled();
      }
      writing = false;
    })();
    let searches = 0;
    while (writing || searches < 5) {
      expect(await index.search([narrow], { top: 50, among: amongIds(ids) })).toEqual([expected]);
      searches++;
    }
    await writer;
    await index.settled();
    expect(await index.search([narrow], { top: 50 })).toEqual([expected]);
  });

  it('uses the memory of dead rows again', async () => {
    const index = await builtIndex(randomEntries(2000, DIM), EAGER);
    for (let round = 0; round < 30; round++) {
      await index.upsert(randomEntries(2000, DIM).map(({ id }, i) => ({ id, vector: randomUnit(DIM, random(round * 2000 + i)) })));
      await index.settled();
    }
    expect(index.memoryBytes).toBeLessThan(3.2 * 2000 * (DIM * 4 + 36 + 4));
    expect(index.size).toBe(2000);
  });

  it('does not rewrite a vector that it holds already, but tells -0 from 0', async () => {
    const [entry] = randomEntries(1, DIM) as [VectorEntry];
    const index = await builtIndex([entry]);
    const before = index.memoryBytes;
    for (let round = 0; round < 100; round++) await index.upsert([entry]);
    expect(index.memoryBytes).toBe(before);
    const zeros = new Float32Array(DIM);
    await index.upsert([{ id: entry.id, vector: zeros }, { id: entry.id, vector: zeros.map(() => -0) }]);
    expect(Object.is((await index.vector(entry.id))?.[0], -0)).toBe(true);
  });

  it('goes on without a tree when building fails, says so, and tries again', async () => {
    let failing = true;
    const onBuildFailed = vi.fn();
    const workers: KdTreeWorkers = { ...inline, build: async (task) => (failing ? Promise.reject(new Error('out of memory')) : build(task)) };
    const entries = randomEntries(2000, 2);
    const visited: number[] = [];
    const index = new KdTreeIndex({ dim: 2, workers, onBuildFailed, onScan: ({ rowsVisited }) => visited.push(rowsVisited) });
    const flat = randomUnit(2, random(4));
    await index.upsert(entries);
    await index.settled();
    expect(onBuildFailed).toHaveBeenCalledWith(expect.objectContaining({ message: 'out of memory' }));
    expect(await index.search([flat], { top: 3 })).toEqual([reference(entries, flat, 3)]);
    failing = false;
    await index.upsert(randomEntries(1, 2, 2));
    await index.settled();
    await index.search([flat], { top: 3 });
    expect(visited[0]).toBe(2000);
    expect(visited[1]).toBeLessThan(500);
  });

  it('rejects searches whose workers fail, and goes on', async () => {
    let failing = true;
    const index = await builtIndex(randomEntries(5, DIM), { workers: { ...inline, search: async (task) => (failing ? Promise.reject(new Error('worker died')) : searchTree(task)) } });
    await expect(index.search([query], { top: 1 })).rejects.toThrow('worker died');
    failing = false;
    expect((await index.search([query], { top: 1 }))[0]).toHaveLength(1);
  });

  it('may be closed while it builds', async () => {
    const onBuildFailed = vi.fn();
    const index = new KdTreeIndex({ dim: 64, workers: createKdTreePool({ threads: 1 }), onBuildFailed });
    await index.upsert(randomEntries(5000, 64));
    const searching = index.search([randomUnit(64, random(1))], { top: 7 });
    await index.close();
    expect((await searching)[0]).toHaveLength(7);
    expect(index.size).toBe(0);
    expect(onBuildFailed).not.toHaveBeenCalled();
  });
});
