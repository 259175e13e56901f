import { describe, expect, it } from 'vitest';
import { Permits } from '../../ingest/permits.js';
import { WriteBatch } from '../../ingest/write-batch.js';

const NEVER_MS = 1_000_000;

describe('WriteBatch', () => {
  it('runs when it is full', async () => {
    const runs: number[][] = [];
    const batch = new WriteBatch<number, number>({ itemsMax: 3, waitMs: NEVER_MS, isolates: () => false, run: async (items) => { runs.push([...items]); return items.map((item) => item * 2); } });
    expect(await Promise.all([1, 2, 3].map((item) => batch.add(item)))).toEqual([2, 4, 6]);
    expect(runs).toEqual([[1, 2, 3]]);
  });

  it('runs when the first item has waited long enough', async () => {
    const batch = new WriteBatch<number, number>({ itemsMax: 100, waitMs: 1, isolates: () => false, run: async (items) => items.map(() => items.length) });
    expect(await Promise.all([batch.add(1), batch.add(2)])).toEqual([2, 2]);
  });

  it('runs at once when it is told to', async () => {
    const batch = new WriteBatch<number, number>({ itemsMax: 100, waitMs: NEVER_MS, isolates: () => false, run: async (items) => [...items] });
    const added = batch.add(7);
    batch.flush();
    expect(await added).toBe(7);
  });

  it('finds the one item that is at fault', async () => {
    const batch = new WriteBatch<number, number>({
      itemsMax: 4, waitMs: NEVER_MS, isolates: () => true,
      run: async (items) => {
        if (items.includes(3)) throw new Error('no threes');
        return [...items];
      },
    });
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map((item) => batch.add(item)));
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'fulfilled']);
  });

  it('fails all where no item can be at fault', async () => {
    let runs = 0;
    const batch = new WriteBatch<number, number>({ itemsMax: 2, waitMs: NEVER_MS, isolates: () => false, run: () => { runs++; return Promise.reject(new Error('closing')); } });
    const outcomes = await Promise.allSettled([batch.add(1), batch.add(2)]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(runs).toBe(1);
  });
});

describe('Permits', () => {
  it('lets one run alone, in its turn, and loses no permit to a failure', async () => {
    const permits = new Permits(3);
    let running = 0;
    const seen: string[] = [];
    const task = (name: string, count: number): Promise<void> =>
      permits.with(count, async () => {
        running++;
        await new Promise((resolve) => setTimeout(resolve, 2));
        seen.push(`${name} with ${running}`);
        running--;
        if (name === 'b') throw new Error('b fails');
      });
    await Promise.allSettled([task('a', 1), task('b', 1), task('alone', 3), task('c', 1)]);
    expect(seen).toEqual(['a with 2', 'b with 1', 'alone with 1', 'c with 1']);
    await task('again', 3);
  });
});
