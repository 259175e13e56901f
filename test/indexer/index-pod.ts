/** An index pod in this process, over a store in memory, for tests. */
import { onTestFinished } from 'vitest';
import { DEFAULT_LIMITS, type Limits } from '../../common/limits.js';
import type { Lane } from '../../common/lanes.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import { ALL_SLOTS, type SlotRange } from '../../common/slots.js';
import type { ImageWrite, LiveVersion } from '../../common/store/store.js';
import { createIndexApp } from '../../indexer/app.js';
import { ExactIndex } from '../../indexer/exact-index.js';
import { IndexHost } from '../../indexer/index-host.js';
import { createIndexMetrics } from '../../indexer/index-metrics.js';
import { MemoryStore } from '../support/memory-store.js';
import { indexFolder, inlineScanner } from './exact-index-parts.js';
import { idOf, random, randomUnit } from './vectors.js';

export const MODEL = 'm';
export const V1: LiveVersion = { version: 'a'.repeat(64), dim: 4 };
export const V2: LiveVersion = { version: 'b'.repeat(64), dim: 6 };

/** An image whose vector is told by its name and the length. */
export function image(name: string | number, dim = V1.dim): ImageWrite {
  const id = idOf(name);
  const vector = randomUnit(dim, random(Number.parseInt(id.slice(0, 8), 16)));
  return { id, vector, url: `https://example.com/${name}`, origin: String(name), phash: id.slice(0, 16), width: 640, height: 480, format: 'jpeg' };
}

/** @param onIndex may change what an index does */
export function startPod({ slots = ALL_SLOTS, shard = '0/1', onIndex, lane = 'main', store: given, limits = DEFAULT_LIMITS }: { slots?: SlotRange; shard?: string; onIndex?: (index: ExactIndex) => void; lane?: Lane; store?: MemoryStore; limits?: Limits } = {}) {
  const clock = { now: 1_700_000_000_000 };
  const store = given ?? new MemoryStore({ now: () => clock.now, pageSize: 10 });
  const metrics = new Metrics('indexer');
  const indexMetrics = createIndexMetrics(metrics, () => host.stats());
  /** Which indexes were closed, and that their memory was given back. */
  const closed: string[] = [];
  const createIndex = ({ dim }: LiveVersion): ExactIndex => {
    const index = new ExactIndex({ dim, folder: indexFolder(), scanner: inlineScanner(), onScan: (scan) => indexMetrics.scanned(scan) });
    const close = index.close.bind(index);
    index.close = async () => {
      closed.push(`dim ${dim}`);
      await close();
    };
    onIndex?.(index);
    return index;
  };
  const host: IndexHost = new IndexHost({ model: MODEL, lane, slots, store, createIndex, log: SILENT_LOG, observer: indexMetrics, reclaim: () => void closed.push('reclaimed'), now: () => clock.now });
  const app = createIndexApp({ model: MODEL, shard, algorithm: 'brute', host, limits, log: SILENT_LOG, metrics, indexMetrics });
  onTestFinished(async () => {
    await app.close();
    await host.close();
  });
  /** Polls, and waits for what that set off. */
  const follow = async (): Promise<void> => {
    clock.now += 500;
    await host.poll();
    await host.whenLoaded();
  };
  return { clock, store, host, app, metrics, closed, follow };
}
