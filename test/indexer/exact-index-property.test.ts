import { afterAll, describe, expect, it } from 'vitest';
import { ExactIndex } from '../../indexer/exact-index.js';
import { createScanPool } from '../../indexer/scan-pool.js';
import { DATA_SETS } from './adversarial-vectors.js';
import { indexFolder } from './exact-index-parts.js';
import { idOf, random, reference } from './vectors.js';

const COUNT = 1_500;
const pool = createScanPool({ threads: 2 });
afterAll(() => pool.close());

describe.each(DATA_SETS)('ExactIndex over vectors that are $name', ({ draw }) => {
  it.each([16, 131])('equals a float64 scan with %i numbers each: to the last bit, ties by id', async (dim) => {
    const next = random(dim);
    const entries = draw(COUNT, dim, next).map((vector, i) => ({ id: idOf(i), vector }));
    const foreign = draw(4, dim, next);
    const index = new ExactIndex({ dim, folder: indexFolder(), scanner: { ...pool, close: async () => undefined } });
    await index.upsert(entries);
    const queries = [...foreign, ...entries.slice(0, 14).map(({ vector }) => vector)];
    const expected = queries.map((query) => reference(entries, query, 200));
    for (const top of [1, 10, 200]) expect(await index.search(queries, { top })).toEqual(expected.map((hits) => hits.slice(0, top)));
    const [alone] = await index.search([queries[0] as Float32Array], { top: 10 });
    expect(alone).toEqual(expected[0]?.slice(0, 10));
    await index.close();
  });

  it('equals it after a third was changed and a third removed', async () => {
    const next = random(7);
    const [first, second] = [draw(900, 20, next), draw(300, 20, next)];
    const index = new ExactIndex({ dim: 20, folder: indexFolder(), scanner: { ...pool, close: async () => undefined } });
    const entries = first.map((vector, i) => ({ id: idOf(i), vector }));
    await index.upsert(entries);
    const changed = second.map((vector, i) => ({ id: idOf(i * 3), vector }));
    await index.upsert(changed);
    const gone = new Set(entries.filter((_, i) => i % 3 === 1).map(({ id }) => id));
    await index.remove([...gone]);
    const held = new Map([...entries, ...changed].map(({ id, vector }) => [id, vector]));
    for (const id of gone) held.delete(id);
    const left = Array.from(held, ([id, vector]) => ({ id, vector }));
    const queries = [...first.slice(0, 5), ...second.slice(0, 5)];
    expect(await index.search(queries, { top: 25 })).toEqual(queries.map((query) => reference(left, query, 25)));
    await index.close();
  });
});
