import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { valuesOf } from '../../common/metadata.js';
import type { StoredRecord } from '../../common/store/store.js';
import { Catalog, type CatalogEntry } from '../../indexer/catalog.js';
import { readSnapshotFile, writeSnapshotFile } from '../../indexer/snapshot-file.js';
import { tempFolder } from '../support/temp-folder.js';
import { idOf, random } from './vectors.js';

type Odd = Partial<Record<keyof StoredRecord, unknown>>;

const recordOf = (name: string | number, changes: Odd = {}): StoredRecord => ({
  id: idOf(name),
  vector: new Float32Array(0),
  urls: [`https://example.com/${name}`],
  phash: idOf(`${name}/phash`).slice(0, 16),
  width: 640,
  height: 480,
  format: 'jpeg',
  createdAt: 1,
  updatedAt: 1_700_000_000_000,
  deletedAt: undefined,
  ...(changes as Partial<StoredRecord>),
});
const entryOf = ({ urls, width, height, phash, updatedAt, metadata: given }: StoredRecord): CatalogEntry => {
  const metadata = valuesOf(given);
  return { urls, width, height, phash, updatedAt, ...(metadata && { metadata }) };
};

/** What a next process would have of a catalog. */
async function saveAndRestore(catalog: Catalog, whileFrozen: () => void = () => undefined): Promise<Catalog> {
  const path = `${tempFolder()}/snapshot`;
  const frozen = catalog.freeze();
  whileFrozen();
  await writeSnapshotFile(path, (writer) => frozen.write(writer));
  frozen.end();
  return readSnapshotFile(path, (contents, reader) => Catalog.restore(contents, reader));
}

function expectEqual(catalog: Catalog, map: ReadonlyMap<string, CatalogEntry>): void {
  expect(catalog.size).toBe(map.size);
  expect([...catalog.ids()].sort()).toEqual([...map.keys()].sort());
  for (const [id, entry] of map) {
    expect(catalog.get(id)).toEqual(entry);
    expect(catalog.updatedAt(id)).toBe(entry.updatedAt);
  }
}

describe('Catalog', () => {
  it('is a map of what is known of images, whatever is done to it, saved and restored in between', async () => {
    const urls = fc.array(fc.string({ unit: 'binary', maxLength: 40 }), { maxLength: 5 });
    const value = fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.boolean(), fc.array(fc.string()));
    const metadata = fc.option(fc.record({ values: fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), value, { maxKeys: 4 }), givenAt: fc.nat() }), { nil: undefined });
    const record = fc.record({ name: fc.nat(40), metadata, urls, width: fc.nat(70_000), height: fc.nat(0xffff_ffff), updatedAt: fc.nat(2 ** 53 - 1) });
    const step = fc.oneof({ weight: 6, arbitrary: record }, { weight: 3, arbitrary: fc.record({ gone: fc.nat(40) }) }, { weight: 1, arbitrary: fc.constant('restart' as const) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        let catalog = new Catalog();
        const map = new Map<string, CatalogEntry>();
        for (const what of steps) {
          if (what === 'restart') catalog = await saveAndRestore(catalog);
          else if ('gone' in what) {
            catalog.delete(idOf(what.gone));
            map.delete(idOf(what.gone));
            expect(catalog.get(idOf(what.gone))).toBeUndefined();
          } else {
            const { name, ...changes } = what;
            const put = recordOf(name, changes);
            catalog.set(put);
            map.set(put.id, entryOf(put));
          }
        }
        expectEqual(catalog, map);
      }),
      { numRuns: 12 },
    );
  });

  it('knows the groups of images, saved and restored, and of none that is gone', async () => {
    const catalog = new Catalog();
    for (const [name, canonical] of [['a', 'a'], ['b', 'a'], ['c', undefined], ['d', 'elsewhere'], ['e', 'a']] as const) catalog.set(recordOf(name, canonical === undefined ? {} : { ...{ canonical: idOf(canonical) } }));
    catalog.delete(idOf('e'));
    const restored = await saveAndRestore(catalog, () => catalog.delete(idOf('b')));
    expect([...restored.membersOf(idOf('a'))].sort()).toEqual(['a', 'b'].map(idOf).sort());
    for (const known of [catalog, restored]) {
      expect(['a', 'c', 'd'].map((name) => known.groupOf(idOf(name)))).toEqual(['a', 'c', 'elsewhere'].map(idOf));
      expect(known.describe(idOf('d'), 1)[0]).toMatchObject({ canonical: idOf('elsewhere') });
      expect(known.describe(idOf('c'), 1)[0]).not.toHaveProperty('canonical');
    }
    expect([...catalog.membersOf(idOf('a'))]).toEqual([idOf('a')]);
    catalog.set(recordOf('a'));
    expect(catalog.membersOf(idOf('a')).size).toBe(0);
  });

  it('equals a map after ten thousands of changes among thousands of images, and takes no more memory than at first', () => {
    const next = random(5);
    const below = (n: number): number => Math.floor(next() * n);
    const catalog = new Catalog();
    const map = new Map<string, CatalogEntry>();
    const put = (name: number): void => {
      const record = recordOf(name, { updatedAt: below(1e12), urls: Array.from({ length: 1 + below(3) }, () => `https://example.com/${name}/${'x'.repeat(below(200))}`) });
      catalog.set(record);
      map.set(record.id, entryOf(record));
    };
    for (let name = 0; name < 3_000; name++) put(name);
    const atFirst = catalog.memoryBytes;
    for (let i = 0; i < 30_000; i++) {
      if (below(3) > 0) put(below(3_000));
      else {
        const id = idOf(below(3_000));
        catalog.delete(id);
        map.delete(id);
      }
    }
    expectEqual(catalog, map);
    expect(catalog.memoryBytes).toBeLessThan(2.5 * atFirst);
  });

  it('does not grow when images are written again and again, alike, with other URLs, or after they were deleted', () => {
    const catalog = new Catalog();
    const write = (round: number | string): void => {
      for (let i = 0; i < 1_000; i++) catalog.set(recordOf(i, { urls: [`https://example.com/${round}/${i}`] }));
    };
    write('first');
    const once = catalog.memoryBytes;
    for (let round = 0; round < 24; round++) write('first');
    expect(catalog.memoryBytes).toBe(once);
    for (let round = 0; round < 24; round++) {
      write(round);
      if (round % 2 === 0) for (let i = 0; i < 1_000; i++) catalog.delete(idOf(i));
    }
    expect(catalog.memoryBytes).toBeLessThan(3 * once);
    expect(catalog.get(idOf(999))?.urls).toEqual(['https://example.com/23/999']);
  });

  it('does not grow with the restarts of its process', async () => {
    let catalog = new Catalog();
    for (let i = 0; i < 1_000; i++) catalog.set(recordOf(i));
    const atFirst = catalog.memoryBytes;
    for (let restart = 0; restart < 30; restart++) {
      catalog = await saveAndRestore(catalog);
      catalog.set(recordOf(restart, { urls: [`https://example.com/again/${restart}`] }));
    }
    expect(catalog.size).toBe(1_000);
    expect(catalog.memoryBytes).toBeLessThan(1.5 * atFirst);
  });

  it('takes at most 200 bytes of memory for an image with one URL', () => {
    const catalog = new Catalog();
    for (let i = 0; i < 20_000; i++) catalog.set(recordOf(i, { urls: [`https://images.example.com/photographs/2024/${String(i).padStart(16, '0')}.jpg`] }));
    expect(catalog.memoryBytes / catalog.size).toBeLessThan(200);
  });

  it('takes nothing for the metadata of an image that has none, and little more than its text for one that has', () => {
    const bytes = (changes: (i: number) => Odd): number => {
      const catalog = new Catalog();
      for (let i = 0; i < 20_000; i++) catalog.set(recordOf(i, changes(i)));
      return catalog.memoryBytes;
    };
    const without = bytes(() => ({}));
    expect(bytes(() => ({ metadata: { values: {}, givenAt: 1 } }))).toBe(without);
    const values = { tags: ['cat', 'garden'], year: 2024 };
    expect((bytes(() => ({ metadata: { values, givenAt: 1 } })) - without) / 20_000).toBeLessThan(JSON.stringify(values).length + 20);
  });

  it('answers a hit with its metadata, and one without it with none', () => {
    const catalog = new Catalog();
    catalog.set(recordOf('some', { metadata: { values: { year: 2024 }, givenAt: 1 } }));
    catalog.set(recordOf('none'));
    expect(catalog.describe(idOf('some'), 0.5)).toMatchObject([{ metadata: { year: 2024 } }]);
    expect(catalog.describe(idOf('none'), 0.5)[0]).not.toHaveProperty('metadata');
    catalog.set(recordOf('some', { metadata: { values: {}, givenAt: 2 } }));
    expect(catalog.describe(idOf('some'), 0.5)[0]).not.toHaveProperty('metadata');
  });

  it('holds a hundred URLs of any length and script, and an image without one', async () => {
    const catalog = new Catalog();
    const urls = Array.from({ length: 100 }, (_, i) => `https://example.com/${'日本語/"\\\n\u0000'.repeat(i * 30)}`);
    catalog.set(recordOf('many', { urls: [...urls, '\ud800'] }));
    catalog.set(recordOf('none', { urls: [] }));
    const again = await saveAndRestore(catalog);
    expect(again.get(idOf('many'))?.urls).toEqual([...urls, '\ud800']);
    expect(again.describe(idOf('none'), 0.5)).toMatchObject([{ url: '', urls: [] }]);
  });

  it.each<[string, Odd]>([
    ['a phash of capitals', { phash: 'ABCDEF0123456789' }],
    ['a phash of another length', { phash: 'abc' }],
    ['no phash', { phash: undefined }],
    ['a width that is no whole number', { width: 1.5 }],
    ['a height below 0', { height: -1 }],
    ['a width above 32 bits', { width: 2 ** 33 }],
    ['words for numbers', { width: '640', height: null }],
    ['lists for URLs', { urls: [['https://example.com/'], { year: 1 }] }],
    ['metadata beside a phash that is none', { phash: 'abc', metadata: { values: { year: 1 }, givenAt: 1 } }],
  ])('loses nothing of an odd document: %s', async (_name, odd) => {
    const record = recordOf('odd', odd);
    const catalog = new Catalog();
    catalog.set(record);
    expect(catalog.get(record.id)).toEqual(entryOf(record));
    expect((await saveAndRestore(catalog)).get(record.id)).toEqual(entryOf(record));
    catalog.set(recordOf('odd'));
    expect(catalog.get(record.id)).toEqual(entryOf(recordOf('odd')));
  });

  it('takes a document without URLs for an image without one', () => {
    const catalog = new Catalog();
    catalog.set(recordOf('odd', { urls: undefined }));
    expect(catalog.describe(idOf('odd'), 1)).toMatchObject([{ url: '', urls: [], width: 640 }]);
  });

  it('refuses an id that is none, and knows nothing of it', () => {
    const catalog = new Catalog();
    expect(() => catalog.set({ ...recordOf(1), id: 'no id' })).toThrow(expect.objectContaining({ code: 'EIS_IMAGE_ID_INVALID' }));
    expect(catalog.get('no id')).toBeUndefined();
    expect(catalog.updatedAt('no id')).toBeUndefined();
    catalog.delete('no id');
    expect(catalog.size).toBe(0);
  });

  it('saves what it had when it was frozen, whatever is done to it before that is written', async () => {
    const catalog = new Catalog();
    const map = new Map<string, CatalogEntry>();
    for (let i = 0; i < 3_000; i++) {
      catalog.set(recordOf(i));
      map.set(idOf(i), entryOf(recordOf(i)));
    }
    for (let i = 0; i < 3_000; i += 7) {
      catalog.delete(idOf(i));
      map.delete(idOf(i));
    }
    const restored = await saveAndRestore(catalog, () => {
      for (let i = 0; i < 3_000; i += 2) catalog.delete(idOf(i));
      for (let i = 1; i < 6_000; i += 2) catalog.set(recordOf(i, { width: 1, updatedAt: 2, urls: [`https://example.com/later/${i}`] }));
    });
    expectEqual(restored, map);
    expect(catalog.get(idOf(1))?.width).toBe(1);
    expect(catalog.get(idOf(2))).toBeUndefined();
  });
});

describe('A saved catalog', () => {
  const saved = async (contents: (saved: { size: number; rows: number; texts: number[] }) => unknown, damage: (sections: Uint8Array[]) => void = () => undefined): Promise<Catalog> => {
    const catalog = new Catalog();
    for (let i = 0; i < 100; i++) catalog.set(recordOf(i));
    for (let i = 0; i < 100; i += 9) catalog.delete(idOf(i));
    const path = `${tempFolder()}/snapshot`;
    await writeSnapshotFile(path, async (writer) => {
      const sections: Uint8Array[] = [];
      const said = (await catalog.freeze().write({ write: async (parts) => void sections.push(Buffer.concat(parts)) })) as { size: number; rows: number; texts: number[] };
      damage(sections);
      for (const section of sections) await writer.write([section]);
      return contents(said);
    });
    return readSnapshotFile(path, (read, reader) => Catalog.restore(read, reader));
  };
  const refused = expect.objectContaining({ code: 'EIS_SNAPSHOT_INVALID' }) as Error;

  it.each<[string, (said: { size: number; rows: number; texts: number[] }) => unknown]>([
    ['more images', (said) => ({ ...said, size: said.size + 1 })],
    ['fewer rows', (said) => ({ ...said, rows: said.rows - 1 })],
    ['rows without end', (said) => ({ ...said, rows: 2 ** 60 })],
    ['a part of a row', (said) => ({ ...said, rows: 1.5 })],
    ['no rows', ({ size, texts }) => ({ size, texts })],
    ['longer texts', ({ texts, ...said }) => ({ ...said, texts: texts.map((bytes) => bytes + 4) })],
    ['texts of odd lengths', ({ texts, ...said }) => ({ ...said, texts: [1, ...texts.slice(1), texts[0]! - 1] })],
    ['texts of less than nothing', ({ texts, ...said }) => ({ ...said, texts: [...texts, 4, -4] })],
    ['no texts', ({ size, rows }) => ({ size, rows })],
  ])('is refused when it speaks of %s', async (_name, contents) => {
    await expect(saved(contents)).rejects.toEqual(refused);
  });

  it('is refused when its numbers do not fit together, wherever they lie', async () => {
    const next = random(11);
    const below = (n: number): number => Math.floor(next() * n);
    let refusals = 0;
    for (let round = 0; round < 60; round++) {
      // Places, and the headers of texts: what would be followed out of bounds.
      const restored = saved((said) => said, ([columns, texts]) => {
        const [target, from, to] = round % 2 === 0 ? [columns!, 100 * 8, 200 * 8] : [texts!, 0, texts!.length];
        const at = from + below((to - from) / 4) * 4;
        for (let byte = 0; byte < 4; byte++) target[at + byte] = below(256);
      });
      const catalog = await restored.catch((error: unknown) => {
        expect(error).toEqual(refused);
        refusals++;
        return undefined;
      });
      if (catalog) expect(catalog.size).toBe(88); // it was the text itself
    }
    expect(refusals).toBeGreaterThan(20);
  });

  it('is refused when it has an image twice', async () => {
    await expect(saved((said) => said, ([columns]) => {
      const ids = columns!.subarray(100 * 32);
      ids.copyWithin(32, 64, 96);
    })).rejects.toEqual(refused);
  });
});
