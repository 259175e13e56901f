import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dedupeModel } from '../../cli/dedupe-run.js';
import { imageWrite } from '../common/store/store-contract.js';
import { MemoryStore } from '../support/memory-store.js';
import { tempFolder } from '../support/temp-folder.js';

/** What a run that was killed leaves: the files of its index, below its pid. */
function leaveIndex(dataDir: string): void {
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  const folder = join(dataDir, 'dedupe', 'index', `m.0of1.${pid}.x`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'vectors'), 'many');
}

describe('dedupeModel()', () => {
  it('leaves no files, nor those of a run that was killed', async () => {
    const dataDir = tempFolder();
    leaveIndex(dataDir);
    const store = new MemoryStore();
    const collection = store.collection('m', await store.setLiveVersion('m', { version: 'a'.repeat(64), dim: 4 }));
    await collection.write([imageWrite('a'), imageWrite('b')]);
    expect(await dedupeModel(store, 'm', { apply: true, dataDir })).toMatchObject({ pictures: 2, judged: 2, applied: true });
    expect(readdirSync(join(dataDir, 'dedupe', 'index'))).toEqual([]);
  });

  it('has nothing to say of a model without a version', async () => {
    expect(await dedupeModel(new MemoryStore(), 'm', { apply: true, dataDir: tempFolder() })).toBeUndefined();
  });
});
