import { mkdtempSync, readFileSync, readdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSnapshotFile, writeSnapshotFile } from '../../indexer/snapshot-file.js';
import { tempFolder } from '../support/temp-folder.js';
import { random } from './vectors.js';

const PARTS = [new Uint8Array(3 * 1024 * 1024 + 7), new Uint8Array(0), new Uint8Array([1, 2, 3])].map((part, i) => part.map((_, at) => (at * 7 + i) % 251));
const newPath = (): string => join(mkdtempSync(join(tempFolder(), 'snapshot-')), 'snapshot');

async function write(path: string, parts: readonly Uint8Array[] = PARTS): Promise<void> {
  await writeSnapshotFile(path, async (writer) => {
    await writer.write(parts.slice(0, 2));
    await writer.write(parts.slice(2));
    return { said: 'hello' };
  });
}

function read(path: string): Promise<{ contents: unknown; parts: Uint8Array[] }> {
  return readSnapshotFile(path, async (contents, reader) => {
    const first = [new Uint8Array(reader.nextBytes - 5), new Uint8Array(5)];
    await reader.read(first);
    const second = [new Uint8Array(reader.nextBytes)];
    await reader.read(second);
    return { contents, parts: [...first, ...second] };
  });
}

describe('A snapshot file', () => {
  it('gives back what was written, in other parts as well', async () => {
    const path = newPath();
    await write(path);
    const { contents, parts } = await read(path);
    expect(contents).toEqual({ said: 'hello' });
    expect(Buffer.concat(parts).equals(Buffer.concat(PARTS))).toBe(true);
    expect(readdirSync(join(path, '..'))).toEqual(['snapshot']);
  });

  it('is refused when any bit of it is another', async () => {
    const path = newPath();
    await write(path, [new Uint8Array([9, 8, 7, 6, 5, 4]), new Uint8Array(2), new Uint8Array(3)]);
    const bytes = readFileSync(path);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3]! ^= 1 << bit % 8;
      writeFileSync(path, damaged);
      await expect(read(path)).rejects.toMatchObject({ code: 'EIS_SNAPSHOT_INVALID' });
    }
  });

  it('is refused when it was cut off anywhere', async () => {
    const path = newPath();
    await write(path);
    const next = random(3);
    for (let length = readFileSync(path).length - 1; length >= 0; length = length > 40 ? Math.floor(length * (1 - next() * 0.2)) : length - 1) {
      truncateSync(path, length);
      await expect(read(path)).rejects.toMatchObject({ code: 'EIS_SNAPSHOT_INVALID' });
    }
  });

  it('stands as it was when another could not be written: on a full disk, or by whoever writes', async () => {
    const path = newPath();
    await write(path);
    symlinkSync('/dev/full', `${path}.new`);
    await expect(write(path, PARTS)).rejects.toMatchObject({ code: 'ENOSPC' });
    await expect(writeSnapshotFile(path, () => Promise.reject(new Error('no more')))).rejects.toThrow('no more');
    expect((await read(path)).contents).toEqual({ said: 'hello' });
    expect(readdirSync(join(path, '..'))).toEqual(['snapshot']);
  });
});
