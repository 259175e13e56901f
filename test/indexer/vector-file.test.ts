import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ExactIndex } from '../../indexer/exact-index.js';
import { createScanPool } from '../../indexer/scan-pool.js';
import { VectorFile, checksumOf, readVectorsSync, type StoredVector } from '../../indexer/vector-file.js';
import type { VectorEntry } from '../../indexer/vector-index.js';
import { indexFolder, inlineScanner } from './exact-index-parts.js';
import { randomEntries, reference } from './vectors.js';

const DIM = 20;
const vectorsOf = (count: number, seed = 1): Float32Array[] => randomEntries(count, DIM, seed).map(({ vector }) => vector);

async function append(file: VectorFile, vectors: readonly Float32Array[]): Promise<StoredVector[]> {
  const slots = await file.append(Float32Array.from(vectors.flatMap((vector) => [...vector])));
  return slots.map((slot, i) => ({ slot, checksum: checksumOf(vectors[i]!) }));
}

describe('VectorFile', () => {
  it('gives back what it was given, bit for bit, also to threads that read by themselves', async () => {
    const file = new VectorFile({ folder: indexFolder(), dim: DIM });
    const vectors = vectorsOf(100);
    const stored = await append(file, vectors);
    for (const [i, vector] of vectors.entries()) expect(await file.read(stored[i]!)).toEqual(vector);
    const reads = { fd: file.fd, dim: DIM, slots: Uint32Array.from(stored, ({ slot }) => slot), checksums: Uint32Array.from(stored, ({ checksum }) => checksum) };
    for (const which of [[42], [99, 0, 98, 1], [...vectors.keys()].reverse()]) {
      const seen = new Map<number, Float32Array>();
      readVectorsSync(reads, Uint32Array.from(which), (place, vector) => seen.set(place, vector.slice()));
      expect(seen).toEqual(new Map([...which].sort((a, b) => a - b).map((place) => [place, vectors[place]])));
    }
    file.close({ isKept: false });
  });

  it('writes to slots that were given free, and grows no further', async () => {
    const folder = indexFolder();
    const file = new VectorFile({ folder, dim: DIM });
    const first = await append(file, vectorsOf(100));
    for (let round = 2; round < 10; round++) {
      file.free(first.filter(({ slot }) => slot % 2 === 0).map(({ slot }) => slot));
      const vectors = vectorsOf(50, round);
      const stored = await append(file, vectors);
      for (const [i, vector] of vectors.entries()) expect(await file.read(stored[i]!)).toEqual(vector);
      for (const { slot } of first.filter((each) => each.slot % 2 === 1)) expect(stored.some((each) => each.slot === slot)).toBe(false);
    }
    expect(readFileSync(join(folder, 'vectors.f32')).length).toBe(100 * DIM * 4);
    file.close({ isKept: false });
    expect(existsSync(folder)).toBe(false);
  });

  it('says so when the disk is full, and takes no slot', async () => {
    const folder = indexFolder();
    symlinkSync('/dev/full', join(folder, 'vectors.f32'));
    const file = new VectorFile({ folder, dim: DIM });
    await expect(append(file, vectorsOf(3))).rejects.toMatchObject({ code: 'EIS_INDEX_FILE', message: expect.stringContaining('ENOSPC') as string });
  });

  it('says which folder cannot be used', () => {
    const folder = join(indexFolder(), 'file');
    writeFileSync(folder, '');
    expect(() => new VectorFile({ folder, dim: DIM })).toThrow(expect.objectContaining({ code: 'EIS_INDEX_FILE', message: expect.stringContaining(folder) as string }));
  });
});

describe('ExactIndex, with its file', () => {
  it('changes nothing when the disk is full', async () => {
    const folder = indexFolder();
    mkdirSync(folder, { recursive: true });
    symlinkSync('/dev/full', join(folder, 'vectors.f32'));
    const index = new ExactIndex({ dim: DIM, folder, scanner: inlineScanner() });
    await expect(index.upsert(randomEntries(10, DIM))).rejects.toMatchObject({ code: 'EIS_INDEX_FILE' });
    expect(index.size).toBe(0);
    expect(await index.search([vectorsOf(1)[0]!], { top: 3 })).toEqual([[]]);
    await index.close();
  });

  it.each([['this thread', () => inlineScanner()], ['threads of its own', () => createScanPool({ threads: 1 })]])('answers no score of a vector that was damaged on the disk, read in %s', async (_name, createScanner) => {
    const folder = indexFolder();
    const index = new ExactIndex({ dim: DIM, folder, scanner: createScanner() });
    const entries = randomEntries(50, DIM);
    await index.upsert(entries);
    const path = join(folder, 'vectors.f32');
    const bytes = readFileSync(path);
    bytes[7 * DIM * 4 + 5]! ^= 1;
    writeFileSync(path, bytes);
    const { id, vector } = entries[7] as VectorEntry;
    await expect(index.vector(id)).rejects.toMatchObject({ code: 'EIS_INDEX_DAMAGED' });
    await expect(index.search([vector], { top: 5 })).rejects.toMatchObject({ code: 'EIS_INDEX_DAMAGED' });
    await index.upsert([{ id, vector }]);
    expect((await index.search([vector], { top: 5 }))[0]).toEqual(reference(entries, vector, 5));
    await index.close();
  });

  it('does not write over a vector that a search may still read', async () => {
    const waiting: (() => void)[] = [];
    const inline = inlineScanner();
    const index = new ExactIndex({ dim: DIM, folder: indexFolder(), scanner: { ...inline, rescore: (task) => new Promise<void>((resolve) => waiting.push(resolve)).then(() => inline.rescore(task)) } });
    const entries = randomEntries(80, DIM);
    await index.upsert(entries);
    const query = vectorsOf(1, 5)[0]!;
    const searching = index.search([query], { top: 10 });
    while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
    for (let round = 2; round < 6; round++) await index.upsert(entries.map(({ id }, i) => ({ id, vector: vectorsOf(80, round)[i]! })));
    waiting.forEach((go) => go());
    expect(await searching).toEqual([reference(entries, query, 10)]);
    await index.close();
  });
});
