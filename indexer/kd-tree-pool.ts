/**
 * Runs searches and builds of a kd-tree index in worker threads, off the event loop that answers requests. Building has
 * a thread of its own, there while it builds: a search never waits behind it.
 */
import { Piscina } from 'piscina';
import { grantedCpus } from '../common/granted-cpus.js';
import { compiledUrl } from '../common/package-root.js';
import type { KdFound, KdSearchTask } from './kd-search.js';
import type { BuildTask, Built } from './kd-tree.js';

/** What a kd-tree index needs of whoever works for it. */
export interface KdTreeWorkers {
  /** How many searches run at once. */
  readonly threads: number;
  search(task: KdSearchTask): Promise<KdFound>;
  build(task: BuildTask): Promise<Built>;
  close(): Promise<void>;
}

/** @param threads worker threads that search; default: as many as CPUs are granted */
export function createKdTreePool({ threads = grantedCpus() }: { readonly threads?: number } = {}): KdTreeWorkers {
  const filename = compiledUrl('indexer/kd-tree-worker.ts').href;
  const searching = new Piscina<KdSearchTask, KdFound>({ filename, name: 'searchTree', minThreads: threads, maxThreads: threads, idleTimeout: Infinity, recordTiming: false });
  const building = new Piscina<BuildTask, Built>({ filename, name: 'build', minThreads: 0, maxThreads: 1, recordTiming: false });
  return {
    threads,
    search: (task) => searching.run(task),
    build: (task) => building.run(task),
    async close() {
      await Promise.all([searching.destroy(), building.destroy()]);
    },
  };
}
