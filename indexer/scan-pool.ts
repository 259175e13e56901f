/**
 * Runs scans in worker threads, off the event loop that answers requests. Every index has a pool of its own: a worker's
 * references to shared memory are only gone for sure when the worker is, and so is the memory of a closed index.
 */
import { Piscina } from 'piscina';
import { relayError, type EisError, type ErrorBody } from '../common/errors.js';
import { grantedCpus } from '../common/granted-cpus.js';
import { compiledUrl } from '../common/package-root.js';
import type { Rescored, RescoreTask } from './rescore.js';
import type { Candidates, ScanTask } from './scan.js';
import type { StagedMemory } from './staged-rows.js';

/** What an exact index needs of whoever computes for it. */
export interface Scanner {
  /** How many tasks run at once. */
  readonly threads: number;
  scan(task: ScanTask): Promise<Candidates[]>;
  rescore(task: RescoreTask): Promise<Rescored>;
  prepare(staged: StagedMemory): Promise<void>;
  close(): Promise<void>;
}

/** @param threads worker threads; default: as many as CPUs are granted */
export function createScanPool({ threads = grantedCpus() }: { readonly threads?: number } = {}): Scanner {
  const pool = new Piscina<ScanTask | RescoreTask | StagedMemory>({
    filename: compiledUrl('indexer/scan-worker.ts').href,
    minThreads: threads,
    maxThreads: threads,
    idleTimeout: Infinity,
    recordTiming: false,
  });
  return {
    threads,
    scan: async (task) => (await pool.run(task, { name: 'scan' })) as Candidates[],
    async rescore(task) {
      const answer = (await pool.run(task, { name: 'rescore' })) as Rescored | ErrorBody;
      if ('code' in answer) throw relayError(answer) as EisError;
      return answer;
    },
    prepare: async (staged) => void (await pool.run(staged, { name: 'prepare' })),
    close: () => pool.destroy(),
  };
}
