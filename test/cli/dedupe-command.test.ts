import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { dedupeCommand, type DedupeCommandOptions } from '../../cli/dedupe-command.js';
import { dedupeModel, type DedupeReport } from '../../cli/dedupe-run.js';
import { describeDedupe } from '../../cli/dedupe-words.js';
import { parseEnvironment } from '../../common/environment.js';
import { LmdbStore } from '../../common/store/lmdb-store.js';
import { imageWrite } from '../common/store/store-contract.js';
import { MemoryStore } from '../support/memory-store.js';
import { tempFolder } from '../support/temp-folder.js';

const MODEL = 'm';
const LIVE = { version: 'a'.repeat(64), dim: 4 };

/** What a run that was killed leaves: the files of its index, below its pid. */
function leaveIndex(dataDir: string): void {
  const { pid } = spawnSync(process.execPath, ['-e', '']);
  const folder = join(dataDir, 'dedupe', 'index', `m.0of1.${pid}.x`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'vectors'), 'many');
}

/** A store with two pictures that look alike to the hash and one that does not. */
async function startStore() {
  const clock = { now: 1_000_000 };
  const store = new MemoryStore({ now: () => clock.now });
  const collection = store.collection(MODEL, await store.setLiveVersion(MODEL, LIVE));
  await collection.write([imageWrite('a', { phash: '0'.repeat(16) }), imageWrite('b', { phash: '0'.repeat(16) }), imageWrite('c', { phash: 'f'.repeat(16) })]);
  const dataDir = tempFolder();
  const run = async (options: { apply?: boolean; all?: boolean } = {}) => (await dedupeModel(store, MODEL, { apply: true, ...options, dataDir })) as DedupeReport;
  return { clock, store, collection, dataDir, run };
}

describe('dedupeModel()', () => {
  it('leaves no files, nor those of a run that was killed', async () => {
    const { dataDir, run } = await startStore();
    leaveIndex(dataDir);
    expect(await run()).toMatchObject({ pictures: 3, judged: 3, applied: true });
    expect(readdirSync(join(dataDir, 'dedupe', 'index'))).toEqual([]);
  });

  it('has nothing to say of a model without a version', async () => {
    expect(await dedupeModel(new MemoryStore(), MODEL, { apply: true, dataDir: tempFolder() })).toBeUndefined();
  });

  it('writes nothing unless it is told to apply', async () => {
    const { collection, run } = await startStore();
    const report = await run({ apply: false });
    expect(report).toMatchObject({ applied: false, changes: 2, groups: [{ members: expect.any(Array) as unknown }] });
    expect(Object.keys(report.urls)).toEqual([report.groups[0]!.canonical]);
    expect((await collection.getMany([imageWrite('a').id]))[0]!.canonical).toBeUndefined();
    expect(await collection.readNote('dedupe')).toBeUndefined();
  });

  it('reads nothing but the change feed when nothing changed since a run that was applied', async () => {
    const { clock, collection, store, run } = await startStore();
    await run();
    clock.now += 60_000;
    await collection.write([imageWrite('a', { url: 'https://elsewhere.example.com/a', origin: 'another' })]);
    const seen: string[] = [];
    store.fault = (operation) => void seen.push(operation);
    expect(await run()).toMatchObject({ unchanged: true });
    expect(seen.filter((operation) => operation.includes('scan'))).toEqual([]);
    store.fault = () => undefined;
    expect(await run({ all: true })).toMatchObject({ isFull: true, judged: 3, changes: 0 });
  });

  it('judges what came since, and a group that lost an image, once', async () => {
    const { clock, collection, run } = await startStore();
    await run();
    clock.now += 60_000;
    await collection.write([imageWrite('d', { phash: 'f'.repeat(16) })]);
    expect(await run()).toMatchObject({ judged: 1, isFull: false, changes: 2 });
    clock.now += 60_000;
    await collection.delete(imageWrite('b').id);
    expect(await run()).toMatchObject({ judged: 1, changes: 1 });
    expect(await run()).toMatchObject({ unchanged: true });
  });

  it('judges all when an earlier release left its note', async () => {
    const { collection, run } = await startStore();
    await collection.writeNote('dedupe', { judgedUntil: 9_999_999, judgedSince: [], calibration: { threshold: 0.1, vouchedThreshold: 0 }, calibratedOn: 3 });
    expect(await run()).toMatchObject({ isFull: true, judged: 3 });
  });
});

describe('eis dedupe', () => {
  async function run(options: Partial<DedupeCommandOptions>, images = 2): Promise<string> {
    const dataDir = tempFolder();
    const configFile = join(dataDir, 'config.json');
    writeFileSync(configFile, JSON.stringify({ models: [{ name: 'builtin' }], services: [] }));
    const environment = parseEnvironment({ EIS_DATA_DIR: dataDir, EIS_CONFIG: configFile });
    const store = new LmdbStore({ folder: join(dataDir, 'store'), urlsPerImageMax: 10 });
    if (images > 0) await store.collection('builtin', await store.setLiveVersion('builtin', LIVE)).write([...'abcdefgh'].slice(0, images).map((name) => imageWrite(name, { phash: '0'.repeat(16) })));
    await store.close();
    const printed = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    try {
      await dedupeCommand({ apply: false, all: false, json: false, ...options }, environment);
      return printed.mock.calls.map(([text]) => String(text)).join('');
    } finally {
      printed.mockRestore();
    }
  }

  it('says what would be grouped, of which picture, and what it went by', async () => {
    const said = await run({});
    expect(said).toContain('builtin: 1 group with 1 copy among 2 images.');
    expect(said).toContain('too few to calibrate by');
    expect(said).toContain('2 images would have another group than now: --apply writes it.');
    expect(said).toMatch(/\n {2}2 images {2}[0-9a-f]{64} {2}https?:\/\/\S+\n$/);
  });

  it('says so where there is nothing', async () => {
    expect(await run({}, 0)).toBe('builtin: no images yet.\n');
    expect(await run({}, 1)).toContain('builtin: no near-duplicates among 1 image.');
  });

  it('prints one JSON object with all groups', async () => {
    const { models } = JSON.parse(await run({ json: true, apply: true }, 3)) as { models: DedupeReport[] };
    expect(models).toHaveLength(1);
    expect(models[0]).toMatchObject({ model: 'builtin', applied: true, changes: 3, groups: [{ members: { length: 3 } }] });
  });

  it('names the models that there are when one is not known', async () => {
    await expect(run({ model: 'built-in' })).rejects.toThrow(/builtin/);
  });
});

describe('describeDedupe()', () => {
  const group = { canonical: 'a', members: ['a', 'b', 'c'] };
  const report: DedupeReport = { model: 'm', version: 'v', pictures: 9_000, judged: 9_000, compared: 40_000, accepted: 3, isFull: true, groups: [group], changes: 0, applied: true, urls: {}, seconds: 2, calibration: { thresholds: [0, 0.1, 0.2, 0.3, 0.3, 0.3, 0.4], falloff: 0.04, nonCopyShares: [], margins: 1_234 } };
  const textOf = (changed: Partial<DedupeReport>): string => describeDedupe({ ...report, ...changed }, undefined).join('\n');

  it('says what it calibrated by, and when a threshold cannot be reached', () => {
    expect(textOf({})).toContain('m: 1 group with 2 copies among 9000 images. All were judged: 40000 pairs in 2.0 s. Calibrated from 1234 pairs of neighbours. The groups in the store are these already.');
    expect(textOf({ calibration: { ...report.calibration!, thresholds: [0, 0, 0, 0, 0, 0, 1.562] } })).toContain('too few copies to tell them from what is only similar');
  });

  it('says what was judged of a run that went on from the last one', () => {
    expect(textOf({ isFull: false, judged: 1 })).toContain('1 image that came since, or lost the others of a group, was judged');
    expect(describeDedupe({ model: 'm', version: 'v', unchanged: true, seconds: 0.1 }, undefined)).toEqual(['m: no image came and no group lost one since the last run; its groups stand.']);
  });

  it('tells of the ten largest groups, and how many more there are', () => {
    const lines = describeDedupe({ ...report, groups: Array.from({ length: 12 }, () => group) }, undefined);
    expect(lines).toHaveLength(12);
    expect(lines.at(-1)).toBe('  … and 2 more groups; --json has all.');
  });
});
