/** One of our indexes in a process of its own, measured through the interface that all of them have: `index-variants.ts` starts it. */
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { GRAPH_DEFAULTS } from '../../common/config-defaults.js';
import type { IndexAlgorithm } from '../../common/config.js';
import { reclaimMemory } from '../../common/reclaim.js';
import { percentile } from '../../evaluation/statistics.js';
import { indexFactory } from '../../indexer/create-index.js';
import { readSnapshotFile, writeSnapshotFile } from '../../indexer/snapshot-file.js';
import type { VectorIndex } from '../../indexer/vector-index.js';
import { idOf } from '../indexer/vectors.js';
import { readMemoryMb } from '../support/process-memory.js';
import { readSlices } from './f32-file.js';
import { describeTimed, readQueries, timeSearches, TOP, type IndexMeasured, type IndexTask } from './index-task.js';
import { median } from './report.js';

export interface OwnIndexTask extends IndexTask {
  readonly algorithm: IndexAlgorithm;
  /** The index's own. */
  readonly folder: string;
}

export interface OwnIndexMeasured extends IndexMeasured {
  /** At all clients; latencies too. */
  readonly qpsMany: number;
  readonly p50ManyMs: number;
  readonly p99ManyMs: number;
  /** How much later than meant a timer ran, at all clients. */
  readonly loopDelayP99Ms: number;
  /** At one client for some seconds, without and with 500 vectors a second that come in. */
  readonly p99IdleMs: number;
  readonly p99InsertingMs: number;
  /** Time in `upsert`, from empty to full. */
  readonly loadS: number;
  /** The same, with what is done in the background afterwards: trees, graphs. */
  readonly settledS: number;
  /** Of an index that keeps one on disk. */
  readonly snapshotLoadS?: number;
  /** Right after loading: with whatever was put off until then. */
  readonly firstSearchMs: number;
  readonly bytesPerVector: number;
  readonly peakBytesPerVector: number;
  /** Vectors that were scored exactly, by search; of an index that bounds scores first. */
  readonly survivors?: { readonly median: number; readonly max: number };
}

/** What a scan tells; those that were rescored only where there is a bound. */
interface Scanned {
  readonly queries: number;
  readonly rescored?: number;
}

/** As many as the follower hands over at once. */
const UPSERT_ROWS = 256;
/** Node's histogram holds the time from one run of such a timer to the next. */
const TIMER_MS = 10;
/** 500 a second. */
const INSERTS_PER_BATCH = 250;
const INSERT_EVERY_MS = 500;
const INSERTING_MS = 10_000;
/** Until an index's threads have started. */
const THREADS_MS = 1_000;

const task = JSON.parse(process.argv[2] as string) as OwnIndexTask;
console.log(JSON.stringify(await measure(task)));
process.exit();

/** A figure without what failed would be another's. */
function onFailed(error: unknown): never {
  throw error;
}

/** The one place that knows what an index is made of. */
function createIndex({ algorithm, dim, folder }: OwnIndexTask, onScan: (scan: Scanned) => void): VectorIndex | Promise<VectorIndex> {
  return indexFactory(algorithm).create({ ...GRAPH_DEFAULTS, dim, newFolder: () => folder, onScan, onFailed });
}

/** Saves the index, and reads it as a process that starts again does; undefined when it cannot be saved. */
async function measureRestart(index: VectorIndex, { algorithm, dim }: OwnIndexTask): Promise<number | undefined> {
  const { restore } = indexFactory(algorithm);
  const frozen = index.freeze?.();
  if (!restore || !frozen) {
    await index.close();
    return undefined;
  }
  const { folder } = frozen;
  const path = join(folder, 'snapshot');
  await writeSnapshotFile(path, (writer) => frozen.write(writer));
  frozen.end(true);
  await index.close({ isKept: true });
  const startedAt = performance.now();
  const restored = await readSnapshotFile(path, (contents, reader) => restore({ ...GRAPH_DEFAULTS, dim, folder, onScan: () => undefined, onFailed }, contents, reader));
  const seconds = (performance.now() - startedAt) / 1000;
  await restored.close();
  return seconds;
}

async function measure(task: OwnIndexTask): Promise<OwnIndexMeasured> {
  const queries = readQueries(task);
  const rescored: number[] = [];
  const index = await createIndex(task, (scan) => {
    if (scan.rescored !== undefined) rescored.push(scan.rescored / scan.queries);
  });
  const search = async (i: number): Promise<string[]> => (await index.search([queries[i % queries.length] as Float32Array], { top: TOP }))[0]?.map(({ id }) => id) ?? [];
  await fill(index, { ...task, vectors: 1 });
  await sleep(THREADS_MS);
  await search(0);
  const emptyBytes = readAnonymousBytes();
  const { loadS, peakMb } = await fill(index, task);
  const settlingAt = performance.now();
  await index.settled?.();
  const startedAt = performance.now();
  const settledS = loadS + (startedAt - settlingAt) / 1000;
  await search(0);
  const firstSearchMs = performance.now() - startedAt;
  const searchedBytes = readAnonymousMb() * 1024 ** 2;
  const loadedBytes = readAnonymousBytes();
  const peakBytes = Math.max(peakMb * 1024 ** 2, searchedBytes, loadedBytes);
  rescored.length = 0;
  const found: string[][] = [];
  for (const i of queries.keys()) found.push(await search(i));
  const survivors = rescored.length > 0 ? { survivors: { median: median(rescored), max: Math.max(...rescored) } } : {};
  const one = describeTimed(await timeSearches(search, { searches: task.searches, clients: 1 }));
  const many = await measureMany(search, task);
  const inserting = await measureInserting(index, search, task, one);
  const snapshotLoadS = await measureRestart(index, task);
  return { ...one, ...many, ...inserting, found, loadS, settledS, firstSearchMs, bytesPerVector: (loadedBytes - emptyBytes) / task.vectors, peakBytesPerVector: (peakBytes - emptyBytes) / task.vectors, ...survivors, ...(snapshotLoadS !== undefined && { snapshotLoadS }) };
}

/** Puts in the first vectors of the file; the peak is that of the process's anonymous memory. */
async function fill(index: VectorIndex, { vectorsFile, dim, vectors }: OwnIndexTask): Promise<{ readonly loadS: number; readonly peakMb: number }> {
  let loadMs = 0;
  let peakMb = 0;
  for (const slice of readSlices(vectorsFile, { dim, count: vectors, sliceRows: UPSERT_ROWS })) {
    const entries = slice.vectors.map((vector, i) => ({ id: idOf(slice.first + i), vector }));
    const startedAt = performance.now();
    await index.upsert(entries);
    loadMs += performance.now() - startedAt;
    peakMb = Math.max(peakMb, readAnonymousMb());
  }
  return { loadS: loadMs / 1000, peakMb };
}

type Many = Pick<OwnIndexMeasured, 'qpsMany' | 'p50ManyMs' | 'p99ManyMs' | 'loopDelayP99Ms'>;

/** Every client searches 16 times at least. */
async function measureMany(search: (i: number) => unknown, { searches, clients }: OwnIndexTask): Promise<Many> {
  const delay = monitorEventLoopDelay({ resolution: TIMER_MS });
  delay.enable();
  const { latenciesMs, qps } = await timeSearches(search, { searches: Math.max(searches, 16 * clients), clients });
  delay.disable();
  return { qpsMany: qps, p50ManyMs: percentile(latenciesMs, 0.5), p99ManyMs: percentile(latenciesMs, 0.99), loopDelayP99Ms: Math.max(0, delay.percentile(99) / 1e6 - TIMER_MS) };
}

/**
 * One client again, for some seconds without and with vectors that come in: a batch every half second, as the follower
 * hands them over.
 */
async function measureInserting(index: VectorIndex, search: (i: number) => unknown, { vectorsFile, dim, vectors }: OwnIndexTask, { p50Ms }: Pick<OwnIndexMeasured, 'p50Ms'>): Promise<Pick<OwnIndexMeasured, 'p99IdleMs' | 'p99InsertingMs'>> {
  const searches = Math.ceil(INSERTING_MS / p50Ms);
  const idle = await timeSearches(search, { searches, clients: 1 });
  const count = Math.min(vectors, INSERTS_PER_BATCH);
  const drawn = [...readSlices(vectorsFile, { dim, count, sliceRows: count })].flatMap((slice) => slice.vectors);
  let inserted = 0;
  const timer = setInterval(() => void index.upsert(drawn.map((vector) => ({ id: idOf(`inserted ${inserted++}`), vector }))), INSERT_EVERY_MS);
  const inserting = await timeSearches(search, { searches, clients: 1 });
  clearInterval(timer);
  return { p99IdleMs: percentile(idle.latenciesMs, 0.99), p99InsertingMs: percentile(inserting.latenciesMs, 0.99) };
}

/** Without garbage. */
function readAnonymousBytes(): number {
  reclaimMemory();
  return readAnonymousMb() * 1024 ** 2;
}

/** Of no file; memory that threads share may be counted apart. */
function readAnonymousMb(): number {
  return readMemoryMb(process.pid, 'RssAnon', 'RssShmem');
}
