/** Sends the cases of a run to a running system, a few at once, and watches its answers and the memory of its processes. */
import { readMemoryMb } from '../support/process-memory.js';
import { makeCase, type FuzzCase } from './cases.js';
import { findFault, type FuzzAnswer } from './judge.js';
import type { Sample } from './samples.js';

export interface FuzzTargets {
  readonly functionUrl: string;
  readonly gatewayUrl: string;
  /** Pids by name. */
  readonly processes: Readonly<Record<string, number>>;
}

export interface FuzzOptions {
  readonly seed: number;
  readonly cases: number;
  readonly samples: readonly Sample[];
}

export interface Fault {
  readonly number: number;
  readonly kind: string;
  readonly description: string;
  readonly fault: string;
}

export interface FuzzReport {
  readonly faults: readonly Fault[];
  /** How often there was which answer: `search-json 400 EIS_BAD_REQUEST`. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly slowest: { readonly number: number; readonly ms: number };
  /** Memory of no file, MB, of each process, as the run went on. */
  readonly memory: Readonly<Record<string, readonly MemorySample[]>>;
}

export interface MemorySample {
  /** Cases answered by then. */
  readonly cases: number;
  readonly mb: number;
}

/** The most that an answer may take: the time for decoding, and as much again twice for what may go before it on a busy machine. */
export const HANG_MS = 15_000;
/** Fewer than a function instance holds, so that none is refused for that. */
const AT_ONCE = 4;
const MEMORY_SAMPLES = 40;

export async function runFuzz(targets: FuzzTargets, { seed, cases, samples }: FuzzOptions): Promise<FuzzReport> {
  const faults: Fault[] = [];
  const outcomes: Record<string, number> = {};
  const memory = Object.fromEntries(Object.keys(targets.processes).map((name) => [name, [] as MemorySample[]]));
  let [slowest, next, answered] = [{ number: 0, ms: 0 }, 0, 0];
  const sampleMemory = (): void => {
    for (const [name, pid] of Object.entries(targets.processes)) memory[name]!.push({ cases: answered, mb: readMemoryMb(pid, 'RssAnon') });
  };
  const work = async (): Promise<void> => {
    while (next < cases) {
      const sent = makeCase(seed, next++, samples);
      const startedAt = performance.now();
      const answer = await sendCase(targets, sent);
      const ms = performance.now() - startedAt;
      if (ms > slowest.ms) slowest = { number: sent.number, ms };
      const outcome = `${sent.kind} ${answer.status ?? 'none'} ${(answer.body as { code?: string } | undefined)?.code ?? ''}`.trim();
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      const fault = findFault(sent.kind, answer);
      if (fault !== undefined) faults.push({ number: sent.number, kind: sent.kind, description: sent.description, fault });
      if (++answered % Math.ceil(cases / MEMORY_SAMPLES) === 0) sampleMemory();
    }
  };
  sampleMemory();
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { faults, outcomes, slowest, memory };
}

export async function sendCase({ functionUrl, gatewayUrl }: Pick<FuzzTargets, 'functionUrl' | 'gatewayUrl'>, { kind, path, contentType, body }: FuzzCase): Promise<FuzzAnswer> {
  try {
    const response = await fetch(`${kind === 'function-image' ? functionUrl : gatewayUrl}${path}`, { method: 'POST', body: new Uint8Array(body), headers: { 'content-type': contentType }, signal: AbortSignal.timeout(HANG_MS) });
    return { status: response.status, body: await response.json() };
  } catch (thrown) {
    const { message, cause } = thrown as Error;
    return { status: undefined, body: undefined, failure: `${message} ${cause instanceof Error ? cause.message : ''}`.trim() };
  }
}

/** How memory grows, by least squares over the second half of a run: MB for a thousand cases. */
export function growthPerThousand(samples: readonly MemorySample[]): number {
  const half = samples.slice(Math.floor(samples.length / 2));
  const mean = (of: (sample: MemorySample) => number): number => half.reduce((sum, sample) => sum + of(sample), 0) / half.length;
  const [cases, mb] = [mean((sample) => sample.cases), mean((sample) => sample.mb)];
  const variance = mean((sample) => (sample.cases - cases) ** 2);
  return variance === 0 ? 0 : (1_000 * mean((sample) => (sample.cases - cases) * (sample.mb - mb))) / variance;
}

/** A report as a person reads it. */
export function describeReport({ faults, outcomes, slowest, memory }: FuzzReport): string {
  const memories = Object.entries(memory).map(([name, samples]) => `  ${name}: ${samples[0]?.mb.toFixed(0)} MB at first, ${Math.max(...samples.map(({ mb }) => mb)).toFixed(0)} at most, ${samples.at(-1)?.mb.toFixed(0)} in the end, ${growthPerThousand(samples).toFixed(1)} MB per 1,000 cases in the second half`);
  return [
    ...Object.entries(outcomes).sort().map(([outcome, count]) => `  ${String(count).padStart(6)}  ${outcome}`),
    `Slowest: case ${slowest.number}, ${slowest.ms.toFixed(0)} ms`,
    ...memories,
    ...faults.map(({ number, kind, description, fault }) => `FAULT in case ${number} (${kind}; ${description}): ${fault}`),
  ].join('\n');
}
