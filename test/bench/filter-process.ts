/** A shard with metadata in a process of its own, searched with filters and without: `filter.ts` starts it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { GRAPH_DEFAULTS } from '../../common/config-defaults.js';
import type { IndexAlgorithm } from '../../common/config.js';
import { SILENT_LOG } from '../../common/log.js';
import { reclaimMemory } from '../../common/reclaim.js';
import { ALL_SLOTS } from '../../common/slots.js';
import { percentile } from '../../evaluation/statistics.js';
import { indexFactory } from '../../indexer/create-index.js';
import { Shard } from '../../indexer/shard.js';
import type { VectorIndex } from '../../indexer/vector-index.js';
import { readMemoryMb } from '../support/process-memory.js';
import { drawQueries, FilterImages, FILTERS, QUERIES, type FilterOf } from './filter-images.js';
import { timeSearches, TOP, WARM_UP_SEARCHES, type Timed } from './index-task.js';

export interface FilterTask {
  readonly images: number;
  readonly dim: number;
  readonly algorithm: IndexAlgorithm;
  readonly clients: number;
  /** None: only memory is measured. */
  readonly searches: number;
  readonly hasMetadata: boolean;
}

export interface FilterVariant {
  readonly name: string;
  readonly matching: number;
  readonly firstMs: number;
  readonly firstCpuMs: number;
  readonly p50Ms: number;
  readonly p50PlainMs: number;
  /** CPU time of one search by one client, all threads together. */
  readonly cpuMs: number;
  readonly cpuPlainMs: number;
  readonly p50ManyMs: number;
  readonly p99ManyMs: number;
  readonly p50ManyPlainMs: number;
  readonly loopDelayP99Ms: number;
  readonly loopDelayP99PlainMs: number;
}

export interface FilterMeasured {
  readonly variants: readonly FilterVariant[];
  readonly loadS: number;
  readonly bytesPerImage: number;
  /** Of one image's metadata, on average. */
  readonly jsonBytes: number;
}

const VERSION = 'b'.repeat(64);
/** Node's histogram holds the time from one run of such a timer to the next. */
const TIMER_MS = 10;

const task = JSON.parse(process.argv[2] as string) as FilterTask;
console.log(JSON.stringify(await measure(task)));
process.exit();

async function measure(task: FilterTask): Promise<FilterMeasured> {
  const folder = mkdtempSync(join(tmpdir(), 'eis-bench-'));
  const emptyBytes = readAnonymousBytes();
  const startedAt = performance.now();
  let index: VectorIndex | undefined;
  const createIndex = (): VectorIndex => (index = indexFactory(task.algorithm).create({ ...GRAPH_DEFAULTS, dim: task.dim, newFolder: () => join(folder, 'index'), onScan: () => undefined, onFailed: (error) => { throw error; } })); // prettier-ignore
  try {
    const drawn = new FilterImages(task);
    const shard = await Shard.load({ version: VERSION, dim: task.dim }, { model: 'model', slots: ALL_SLOTS, store: drawn.store, createIndex, log: SILENT_LOG, observer: { changed: () => undefined }, now: Date.now }, { isFresh: true, signal: new AbortController().signal });
    await index?.settled?.();
    const loadS = (performance.now() - startedAt) / 1000;
    const bytesPerImage = (readAnonymousBytes() - emptyBytes) / task.images;
    const variants: FilterVariant[] = [];
    if (task.searches > 0) for (const [name, filterOf] of Object.entries(FILTERS)) variants.push(await measureVariant(shard, task, { name, filterOf, matching: drawn.matching(name) }));
    return { variants, loadS, bytesPerImage, jsonBytes: drawn.metadataBytes / task.images };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measureVariant(shard: Shard, { dim, searches, clients }: FilterTask, { name, filterOf, matching }: { readonly name: string; readonly filterOf: FilterOf; readonly matching: number }): Promise<FilterVariant> {
  const queries = drawQueries(dim);
  const queryOf = (i: number): Float32Array => queries[name === 'unlike' ? 0 : i % QUERIES] as Float32Array;
  let begun = 0;
  const filtered = async (i: number): Promise<unknown> => shard.search([queryOf(i)], { top: TOP, filter: filterOf(begun++) });
  const plain = async (i: number): Promise<unknown> => shard.search([queryOf(i)], { top: TOP });
  const first = await timed(() => filtered(0));
  const one = await timed(() => timeSearches(filtered, { searches, clients: 1 }));
  const onePlain = await timed(() => timeSearches(plain, { searches, clients: 1 }));
  const many = await timed(() => timeSearches(filtered, { searches: searches * 2, clients }));
  const manyPlain = await timed(() => timeSearches(plain, { searches: searches * 2, clients }));
  const p50 = ({ result }: { readonly result: Timed }): number => percentile(result.latenciesMs, 0.5);
  return {
    name,
    matching,
    firstMs: first.ms,
    firstCpuMs: first.cpuMs,
    p50Ms: p50(one),
    p50PlainMs: p50(onePlain),
    cpuMs: one.cpuMs / searchesDone(searches),
    cpuPlainMs: onePlain.cpuMs / searchesDone(searches),
    p50ManyMs: p50(many),
    p99ManyMs: percentile(many.result.latenciesMs, 0.99),
    p50ManyPlainMs: p50(manyPlain),
    loopDelayP99Ms: many.loopDelayP99Ms,
    loopDelayP99PlainMs: manyPlain.loopDelayP99Ms,
  };
}

/** Those that warm up, too. */
function searchesDone(searches: number): number {
  return searches + WARM_UP_SEARCHES;
}

interface Measured<T> {
  readonly result: T;
  readonly ms: number;
  readonly cpuMs: number;
  /** How much later than meant a timer ran. */
  readonly loopDelayP99Ms: number;
}

async function timed<T>(work: () => Promise<T>): Promise<Measured<T>> {
  const delay = monitorEventLoopDelay({ resolution: TIMER_MS });
  delay.enable();
  const [startedAt, cpuBefore] = [performance.now(), process.cpuUsage()];
  const result = await work();
  const { user, system } = process.cpuUsage(cpuBefore);
  delay.disable();
  return { result, ms: performance.now() - startedAt, cpuMs: (user + system) / 1_000, loopDelayP99Ms: Math.max(0, delay.percentile(99) / 1e6 - TIMER_MS) };
}

/** Without garbage. */
function readAnonymousBytes(): number {
  reclaimMemory();
  return readMemoryMb(process.pid, 'RssAnon', 'RssShmem') * 1024 ** 2;
}
