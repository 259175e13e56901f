/**
 * Loading an index pod from the store: from the start of its process until it is ready, and the most anonymous memory
 * that it ever had, over the size of the vectors as raw float32. Anonymous, because what is mapped from the store's files
 * is the system's to take back. The vectors are drawn from a seed, normalised, and written once for all runs.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { parseEnvironment } from '../../common/environment.js';
import { openStore } from '../../common/store/open-store.js';
import { WireServer } from '../support/mongo-wire/wire-server.js';
import { readMemoryMb } from '../support/process-memory.js';
import { RoleProcess } from '../support/role-process.js';
import { fillStore } from './draw-images.js';
import { median, printReport } from './report.js';

const MODEL = 'builtin';
const VERSION = 'b'.repeat(64);
const SAMPLE_MS = 10;

interface LoadBenchOptions {
  readonly vectors: number;
  readonly dim: number;
  readonly runs: number;
  readonly store: 'lmdb' | 'mongo-wire';
  readonly json: boolean;
}

interface Run {
  readonly readyS: number;
  readonly peakAnonymousMb: number;
  readonly emptyAnonymousMb: number;
}

export function addLoadBench(program: Command): void {
  program
    .command('load')
    .description('an index pod loads its vectors from the store')
    .option('--vectors <n>', 'vectors', Number, 100_000)
    .option('--dim <n>', 'numbers of a vector', Number, 1_280)
    .option('--store <kind>', 'lmdb, or mongo-wire: a server of MongoDB\'s wire protocol in this process', 'lmdb')
    .option('--runs <n>', 'runs, of which the median counts', Number, 3)
    .option('--json', 'end with one line of JSON', false)
    .action(benchLoad);
}

async function benchLoad(options: LoadBenchOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'eis-bench-'));
  try {
    const configFile = join(folder, 'config.json');
    writeFileSync(configFile, JSON.stringify({ models: [{ name: MODEL }], services: [{ name: 'indexing', models: [{ name: MODEL, num_indexes: 1 }] }] }));
    const place = (name: string): Record<string, string> => ({ EIS_CONFIG: configFile, EIS_DATA_DIR: join(folder, name), MODEL, SHARD: '0/1', LOG_LEVEL: 'warn' });
    const mongo = options.store === 'mongo-wire' ? await WireServer.start() : undefined;
    const stored = mongo ? { MONGODB_URI: mongo.uri('eis') } : {};
    const store = await openStore(parseEnvironment({ ...place('full'), ...stored }));
    await fillStore(store, { model: MODEL, live: { version: VERSION, dim: options.dim }, images: options.vectors });
    await store.close();
    const runs: Run[] = [];
    for (let i = 0; i < options.runs; i++) {
      const loaded = await measure({ ...place('full'), ...stored }, join(folder, 'index.log'));
      const base = await measure(place('empty'), join(folder, 'index.log'));
      runs.push({ readyS: loaded.readyS, peakAnonymousMb: loaded.peakAnonymousMb, emptyAnonymousMb: base.peakAnonymousMb });
      console.log(`run ${i + 1}: ready after ${loaded.readyS.toFixed(2)} s, ${loaded.peakAnonymousMb.toFixed(0)} MB at the most; empty ${base.readyS.toFixed(2)} s, ${base.peakAnonymousMb.toFixed(0)} MB`);
    }
    report(options, runs);
    await mongo?.stop();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function report({ json, ...options }: LoadBenchOptions, runs: readonly Run[]): void {
  const rawMb = (options.vectors * options.dim * 4) / 1024 / 1024;
  const middle = (of: (run: Run) => number): number => median(runs.map(of));
  const grownMb = middle(({ peakAnonymousMb, emptyAnonymousMb }) => peakAnonymousMb - emptyAnonymousMb);
  printReport({
    name: 'load',
    options,
    figures: { load_s: middle(({ readyS }) => readyS), raw_mb: rawMb, peak_anonymous_mb: middle(({ peakAnonymousMb }) => peakAnonymousMb), empty_anonymous_mb: middle(({ emptyAnonymousMb }) => emptyAnonymousMb) },
    ratios: { peak_over_raw: grownMb / rawMb, whole_peak_over_raw: middle(({ peakAnonymousMb }) => peakAnonymousMb) / rawMb },
  }, { json });
}

/** From the start of the process, which includes Node's own. */
async function measure(env: Record<string, string>, logFile: string): Promise<{ readonly readyS: number; readonly peakAnonymousMb: number }> {
  const startedAt = performance.now();
  let peakAnonymousMb = 0;
  let isStarting = true;
  const starting = RoleProcess.start({ entry: 'indexer/main.ts', env, logFile, onSpawn: (pid) => void watch(pid) }).finally(() => (isStarting = false));
  const watch = async (pid: number): Promise<void> => {
    for (; isStarting; await sleep(SAMPLE_MS)) peakAnonymousMb = Math.max(peakAnonymousMb, readMemoryMb(pid, 'RssAnon', 'RssShmem')); // the vectors lie in memory that threads share
  };
  const pod = await starting;
  const readyS = (performance.now() - startedAt) / 1000;
  await pod.stop();
  return { readyS, peakAnonymousMb };
}
