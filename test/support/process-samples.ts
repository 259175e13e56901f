/** Memory and open files of processes over time, and whether they grow. */
import { readdirSync } from 'node:fs';
import { readMemoryMb } from './process-memory.js';

export interface ProcessSample {
  readonly atMs: number;
  readonly rssMb: number;
  /** Of that, without what is mapped from files: those pages are the system's to take back. */
  readonly ownMb: number;
  readonly files: number;
}

/** By the name of a process, oldest first. */
export type ProcessSamples = Readonly<Record<string, readonly ProcessSample[]>>;

/** Of a run: what comes before says how processes warm up. */
const WARM_FROM = 1 / 3;

/** Looks at processes from now on, until `stop`, which returns what was seen. */
export function watchProcesses(pids: Readonly<Record<string, number>>, { everyMs }: { readonly everyMs: number }): { stop(): ProcessSamples } {
  const startedAt = performance.now();
  const samples = Object.fromEntries(Object.keys(pids).map((name) => [name, [] as ProcessSample[]]));
  const look = (): void => {
    for (const [name, pid] of Object.entries(pids)) samples[name]!.push({ atMs: performance.now() - startedAt, rssMb: readMemoryMb(pid, 'VmRSS'), ownMb: readMemoryMb(pid, 'RssAnon', 'RssShmem'), files: countFiles(pid) });
  };
  look();
  const timer = setInterval(look, everyMs);
  return {
    stop() {
      clearInterval(timer);
      look();
      return samples;
    },
  };
}

/** MB a minute by which a process's own memory grows once it is warm: the slope of the line of least squares. */
export function memorySlope(samples: readonly ProcessSample[]): number {
  const warm = afterWarmUp(samples);
  const mean = (of: (sample: ProcessSample) => number): number => warm.reduce((sum, sample) => sum + of(sample), 0) / warm.length;
  const [at, mb] = [mean(({ atMs }) => atMs), mean(({ ownMb }) => ownMb)];
  const covariance = mean(({ atMs, ownMb }) => (atMs - at) * (ownMb - mb));
  const variance = mean(({ atMs }) => (atMs - at) ** 2);
  return variance === 0 ? 0 : (covariance / variance) * 60_000;
}

/** By how many more files are open at the end than once it was warm: the most of each half of the time since. */
export function filesGrowth(samples: readonly ProcessSample[]): number {
  const warm = afterWarmUp(samples);
  const most = (of: readonly ProcessSample[]): number => Math.max(0, ...of.map(({ files }) => files));
  return most(warm.slice(warm.length >> 1)) - most(warm.slice(0, warm.length >> 1));
}

/** A line for each process: its memory at the start, warm and at the end, its slope, its open files. */
export function describeSamples(samples: ProcessSamples): string {
  return Object.entries(samples)
    .map(([name, of]) => {
      const [first, warm, last] = [of[0]!, afterWarmUp(of)[0]!, of.at(-1)!];
      const mb = (read: (sample: ProcessSample) => number): string => [first, warm, last].map((sample) => read(sample).toFixed(0)).join(' → ');
      return `${name}: RSS ${mb(({ rssMb }) => rssMb)} MB, own ${mb(({ ownMb }) => ownMb)} MB (${memorySlope(of).toFixed(2)} MB a minute once warm), open files ${mb(({ files }) => files)}`;
    })
    .join('\n');
}

function afterWarmUp(samples: readonly ProcessSample[]): readonly ProcessSample[] {
  const from = (samples.at(-1)?.atMs ?? 0) * WARM_FROM;
  return samples.filter(({ atMs }) => atMs >= from);
}

function countFiles(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}
