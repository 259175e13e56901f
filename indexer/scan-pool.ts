/**
 * Runs scans in worker threads, off the event loop that answers requests. Every index has a pool of its own: a worker's
 * references to shared memory are only gone for sure when the worker is, and so is the memory of a closed index.
 */
import { Piscina } from 'piscina';
import { grantedCpus } from '../common/granted-cpus.js';
import { compiledUrl } from '../common/package-root.js';
import type { ScanTask } from './scan.js';
import type { Ranked } from './top-k.js';

/** What an exact index needs of whoever scans for it. */
export interface Scanner {
  /** How many tasks run at once. */
  readonly threads: number;
  scan(task: ScanTask): Promise<Ranked[]>;
  close(): Promise<void>;
}

/** @param threads worker threads; default: as many as CPUs are granted */
export function createScanPool({ threads = grantedCpus() }: { readonly threads?: number } = {}): Scanner {
  const pool = new Piscina<ScanTask, Ranked[]>({
    filename: compiledUrl('indexer/scan-worker.ts').href,
    name: 'scan',
    minThreads: threads,
    maxThreads: threads,
    idleTimeout: Infinity,
    recordTiming: false,
  });
  return { threads, scan: (task) => pool.run(task), close: () => pool.destroy() };
}
