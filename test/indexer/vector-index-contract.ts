/**
 * What every vector index keeps to. Run over each implementation. `exact: false` leaves out what only an exact one can
 * promise: there, the top is compared by which ids must and must not stand in it.
 */
import { afterEach, describe, expect, it } from 'vitest';
import type { VectorEntry, VectorIndex } from '../../indexer/vector-index.js';
import { amongIds, idOf, random, randomEntries, randomUnit, reference } from './vectors.js';

export interface IndexUnderTest {
  readonly exact: boolean;
  /** A new, empty index. */
  readonly create: (dim: number) => VectorIndex;
}

const DIM = 24;

export function describeVectorIndexContract(name: string, { exact, create }: IndexUnderTest): void {
  describe(`${name}, as a vector index`, () => {
    const open: VectorIndex[] = [];
    const make = async (entries: readonly VectorEntry[] = [], dim = DIM): Promise<VectorIndex> => {
      const index = create(dim);
      open.push(index);
      await index.upsert(entries);
      return index;
    };
    afterEach(async () => {
      await Promise.all(open.splice(0).map((index) => index.close()));
    });
    const query = randomUnit(DIM, random(99));
    const idsOf = (hits: readonly { id: string }[] | undefined): string[] => (hits ?? []).map(({ id }) => id);

    it('answers nothing while it is empty', async () => {
      const index = await make();
      expect(await index.search([query, query], { top: 5 })).toEqual([[], []]);
      expect(index.size).toBe(0);
    });

    it('finds every vector as its own best, with a score of 1', async () => {
      const entries = randomEntries(200, DIM);
      const index = await make(entries);
      for (const { id, vector } of entries.slice(0, 40)) {
        const [hits] = await index.search([vector], { top: 1 });
        expect(hits?.[0]?.id).toBe(id);
        expect(hits?.[0]?.score).toBeCloseTo(1, 6);
      }
    });

    it.skipIf(!exact)('equals a float64 scan to the last bit, whatever top', async () => {
      const entries = randomEntries(1003, DIM);
      const index = await make(entries);
      for (const top of [1, 2, 10, 333, 1003]) expect(await index.search([query], { top })).toEqual([reference(entries, query, top)]);
    });

    it('answers all it has when top is larger', async () => {
      const entries = randomEntries(7, DIM);
      const index = await make(entries);
      expect(await index.search([query], { top: 1000 })).toEqual([reference(entries, query, 1000)]);
    });

    it('breaks ties by id, also where top cuts them', async () => {
      const [twin] = randomEntries(1, DIM) as [VectorEntry];
      const entries = Array.from({ length: 300 }, (_, i) => ({ id: idOf(i), vector: twin.vector.slice() }));
      const index = await make(entries);
      const sorted = entries.map(({ id }) => id).sort();
      const [few, more] = [await index.search([query], { top: 3 }), await index.search([query], { top: 250 })];
      if (exact) expect([idsOf(few[0]), idsOf(more[0])]).toEqual([sorted.slice(0, 3), sorted.slice(0, 250)]);
      else expect(idsOf(more[0])).toEqual([...idsOf(more[0])].sort());
    });

    it('ranks negative, zero and equal scores', async () => {
      const axis = (i: number, value: number): Float32Array => new Float32Array(DIM).fill(value, i, i + 1);
      const entries = [axis(0, -1), axis(0, 1), axis(1, 1), axis(1, -1), new Float32Array(DIM), axis(0, 1)].map((vector, i) => ({ id: idOf(i), vector }));
      const index = await make(entries);
      const [hits] = await index.search([axis(0, 1)], { top: 6 });
      expect(hits?.map(({ id, score }) => ({ id, score: score + 0 }))).toEqual(reference(entries, axis(0, 1), 6).map(({ id, score }) => ({ id, score: score + 0 })));
    });

    it('answers several queries in their order', async () => {
      const entries = randomEntries(500, DIM);
      const index = await make(entries);
      const queries = entries.slice(0, 20).map(({ vector }) => vector);
      const answers = await index.search(queries, { top: 1 });
      expect(answers.map((hits) => hits[0]?.id)).toEqual(entries.slice(0, 20).map(({ id }) => id));
    });

    it('answers concurrent searches each with its own queries and top', async () => {
      const entries = randomEntries(400, DIM);
      const index = await make(entries);
      const answers = await Promise.all(entries.slice(0, 50).map(({ vector }, i) => index.search([vector], { top: (i % 5) + 1 })));
      answers.forEach(([hits], i) => {
        expect(hits).toHaveLength((i % 5) + 1);
        expect(hits?.[0]?.id).toBe(entries[i]?.id);
      });
    });

    it('takes queries that are a part of a larger array', async () => {
      const entries = randomEntries(50, DIM);
      const index = await make(entries);
      const both = new Float32Array([...(entries[3] as VectorEntry).vector, ...(entries[4] as VectorEntry).vector]);
      const [hits] = await index.search([both.subarray(DIM)], { top: 1 });
      expect(hits?.[0]?.id).toBe(entries[4]?.id);
    });

    it('replaces the vector of an id that it holds', async () => {
      const entries = randomEntries(100, DIM);
      const index = await make(entries);
      const [moved] = randomEntries(1, DIM, 7) as [VectorEntry];
      const id = (entries[5] as VectorEntry).id;
      await index.upsert([{ id, vector: moved.vector }]);
      expect(index.size).toBe(100);
      expect((await index.search([moved.vector], { top: 1 }))[0]?.[0]?.id).toBe(id);
      const [old] = await index.search([(entries[5] as VectorEntry).vector], { top: 100 });
      expect(old?.filter((hit) => hit.id === id)).toHaveLength(1);
      expect(old?.[0]?.id).not.toBe(id);
    });

    it('keeps the last of several vectors that one call gives an id, even back to what was held', async () => {
      const [first, second] = randomEntries(2, DIM) as [VectorEntry, VectorEntry];
      const index = await make([first, { id: first.id, vector: second.vector }]);
      expect(await index.vector(first.id)).toEqual(second.vector);
      await index.upsert([first, { id: first.id, vector: second.vector }]);
      expect(await index.vector(first.id)).toEqual(second.vector);
      expect(idsOf((await index.search([query], { top: 5 }))[0])).toEqual([first.id]);
    });

    it('does not answer what was removed, and ignores unknown ids', async () => {
      const entries = randomEntries(100, DIM);
      const index = await make(entries);
      const gone = entries.slice(0, 30).map(({ id }) => id);
      await index.remove([...gone, idOf('unknown')]);
      expect(index.size).toBe(70);
      expect(await index.search([query], { top: 100 })).toEqual([reference(entries.slice(30), query, 100)]);
    });

    it('takes back what it removed', async () => {
      const entries = randomEntries(10, DIM);
      const index = await make(entries);
      await index.remove(entries.map(({ id }) => id));
      expect(await index.search([query], { top: 3 })).toEqual([[]]);
      await index.upsert(entries);
      expect(await index.search([query], { top: 10 })).toEqual([reference(entries, query, 10)]);
    });

    it('answers only the ids that it is to search among, and as much of them as there is', async () => {
      const entries = randomEntries(600, DIM);
      const index = await make(entries);
      for (const accept of [(id: string) => id.endsWith('7'), (id: string) => id === entries[17]?.id, (id: string) => id !== entries[17]?.id, () => false]) {
        const matching = entries.filter(({ id }) => accept(id));
        const [hits] = await index.search([query], { top: 10, among: amongIds([...matching.map(({ id }) => id), idOf('unknown')]) });
        const expected = reference(matching, query, 10);
        if (exact) expect(hits).toEqual(expected);
        else expect(hits).toHaveLength(expected.length);
        expect(hits?.every(({ id }) => accept(id))).toBe(true);
      }
    });

    it('searches each among its own ids only', async () => {
      const entries = randomEntries(100, DIM);
      const index = await make(entries);
      const [[one], [all], [none]] = (await Promise.all([
        index.search([query], { top: 100, among: amongIds([(entries[0] as VectorEntry).id]) }),
        index.search([query], { top: 100 }),
        index.search([query], { top: 100, among: amongIds([]) }),
      ])) as [[unknown[]], [unknown[]], [unknown[]]];
      expect([one.length, all.length, none.length]).toEqual([1, 100, 0]);
    });

    it('finds an id that is written again while it is looked for', async () => {
      const entries = randomEntries(500, DIM);
      const index = await make(entries);
      const ids = entries.slice(0, 40).map(({ id }) => id);
      for (let round = 0; round < 10; round++) {
        const searching = index.search([query], { top: 40, among: amongIds(ids) });
        const writing = index.upsert(entries.slice(0, 20).map(({ id, vector }) => ({ id, vector: vector.map((x) => x * (1 + round)) })));
        expect(new Set(idsOf((await searching)[0]))).toEqual(new Set(ids));
        await writing;
      }
    });

    it('never answers an id removed before the answer, and fills up with the next best', async () => {
      const entries = randomEntries(2000, DIM);
      const index = await make(entries);
      const best = reference(entries, query, 30).map(({ id }) => id);
      const searching = index.search([query], { top: 10 });
      await index.remove(best.slice(0, 20));
      const [hits] = await searching;
      expect(hits).toHaveLength(10);
      if (exact) expect(idsOf(hits)).toEqual(best.slice(20));
      expect(best.slice(0, 20).some((id) => idsOf(hits).includes(id))).toBe(false);
    });

    it('does not lose sight of an id whose vector is replaced while searching', async () => {
      const entries = randomEntries(40, DIM);
      const index = await make(entries);
      const next = random(5);
      for (let round = 0; round < 20; round++) {
        const searching = index.search([query], { top: 40 });
        await index.upsert(entries.map(({ id }) => ({ id, vector: randomUnit(DIM, next) })));
        const [hits] = await searching;
        expect(new Set(idsOf(hits)).size).toBe(40);
      }
    });

    it('answers rightly while it is written to', async () => {
      const stable = randomEntries(500, DIM);
      const index = await make(stable);
      const churn = randomEntries(300, DIM, 2);
      const stableIds = new Set(stable.map(({ id }) => id));
      let writing = true;
      const writer = (async () => {
        for (let round = 0; round < 15; round++) {
          await index.upsert(churn);
          await index.remove(churn.map(({ id }) => id));
        }
        writing = false;
      })();
      let searches = 0;
      while (writing || searches < 5) {
        const [hits] = await index.search([query], { top: 800, among: amongIds(stableIds) });
        expect(new Set(idsOf(hits)).size).toBe(500);
        searches++;
      }
      await writer;
      expect(await index.search([query], { top: 500 })).toEqual([reference(stable, query, 500)]);
    });

    it('gives back vectors bit for bit, as copies', async () => {
      const entries = randomEntries(10, DIM);
      const index = await make(entries);
      const { id, vector } = entries[3] as VectorEntry;
      const given = (await index.vector(id)) as Float32Array;
      expect(given).toEqual(vector);
      given.fill(0);
      expect(await index.vector(id)).toEqual(vector);
      expect(await index.vector(idOf('unknown'))).toBeUndefined();
    });

    it('copies what it is given', async () => {
      const [entry] = randomEntries(1, DIM) as [VectorEntry];
      const given = entry.vector.slice();
      const index = await make([{ id: entry.id, vector: given }]);
      given.fill(0);
      expect(await index.vector(entry.id)).toEqual(entry.vector);
    });

    it('refuses vectors that do not fit, wholly', async () => {
      const [fine, other] = randomEntries(2, DIM) as [VectorEntry, VectorEntry];
      const index = await make();
      await expect(index.upsert([fine, { id: other.id, vector: new Float32Array(DIM + 1) }])).rejects.toMatchObject({ code: 'EIS_VECTOR_INVALID' });
      await expect(index.upsert([fine, { id: other.id, vector: new Float32Array(DIM).fill(Number.NaN) }])).rejects.toMatchObject({ code: 'EIS_VECTOR_INVALID' });
      await expect(index.upsert([fine, { id: 'not an id', vector: other.vector }])).rejects.toMatchObject({ code: 'EIS_IMAGE_ID_INVALID' });
      expect(index.size).toBe(0);
      await expect(index.search([new Float32Array(DIM - 1)], { top: 1 })).rejects.toMatchObject({ code: 'EIS_VECTOR_INVALID' });
    });

    it('does not begin a search that is aborted before its turn', async () => {
      const index = await make(randomEntries(5000, DIM));
      const aborted = AbortSignal.abort(new Error('too late'));
      await expect(index.search([query], { top: 1, signal: aborted })).rejects.toThrow('too late');
      const deadline = new AbortController();
      const running = index.search([query], { top: 1 });
      await Promise.resolve();
      await Promise.resolve();
      const waiting = index.search([query], { top: 1, signal: deadline.signal });
      deadline.abort(new Error('gave up'));
      await expect(waiting).rejects.toThrow('gave up');
      expect((await running)[0]).toHaveLength(1);
    });

    it('finishes what it took when it is closed, and takes no more', async () => {
      const index = await make(randomEntries(1000, DIM));
      const taken = [index.search([query], { top: 2 }), index.search([query], { top: 3 })];
      await index.close();
      expect((await Promise.all(taken)).map(([hits]) => hits?.length)).toEqual([2, 3]);
      await expect(index.search([query], { top: 1 })).rejects.toMatchObject({ code: 'EIS_NOT_READY' });
    });

    it('works with vectors of one number and of many', async () => {
      for (const dim of [1, 2, 3, 5, 2048]) {
        const entries = randomEntries(70, dim);
        const index = await make(entries, dim);
        const wide = randomUnit(dim, random(3));
        expect(await index.search([wide], { top: 70 })).toEqual([reference(entries, wide, 70)]);
      }
    });

    it('knows how much memory it takes', async () => {
      const index = await make(randomEntries(1000, DIM));
      expect(index.memoryBytes).toBeGreaterThanOrEqual(1000 * DIM);
      expect(index.dim).toBe(DIM);
    });
  });
}
