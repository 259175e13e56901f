/**
 * Requests at fixed times, whatever comes of those before (an open loop): a service that stalls is not spared the requests
 * that it would have held up, and each one's latency counts from when it was due.
 */
import { setTimeout as sleep } from 'node:timers/promises';

export interface OpenLoopOptions<Outcome> {
  readonly perS: number;
  readonly forMs: number;
  /** Ends the run before its time: no further request is sent. */
  readonly signal?: AbortSignal;
  /** Sends the n-th request, counted from 0. What it throws ends the run, once every request has come back. */
  readonly send: (n: number) => Promise<Outcome>;
}

export interface Sent<Outcome> {
  readonly outcome: Outcome;
  /** When it was due, in ms from the start. */
  readonly dueMs: number;
  readonly latencyMs: number;
}

/** Every request, in the order in which they were due. */
export async function runOpenLoop<Outcome>({ perS, forMs, signal, send }: OpenLoopOptions<Outcome>): Promise<Sent<Outcome>[]> {
  const startedAt = performance.now();
  const sending: Promise<Sent<Outcome>>[] = [];
  for (let n = 0; n < (forMs * perS) / 1000; n++) {
    const dueMs = (n * 1000) / perS;
    while (performance.now() - startedAt < dueMs) await sleep(Math.max(0, dueMs - (performance.now() - startedAt)));
    if (signal?.aborted) break;
    sending.push(send(n).then((outcome) => ({ outcome, dueMs, latencyMs: performance.now() - startedAt - dueMs })));
    sending.at(-1)!.catch(() => undefined);
  }
  return Promise.all(sending);
}

/** Of latencies, in ms: `percentile(sent, 0.99)`. NaN of none. */
export function percentile(sent: readonly { readonly latencyMs: number }[], share: number): number {
  const sorted = sent.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** A line for whoever reads the run. */
export function describeLatencies(name: string, sent: readonly { readonly latencyMs: number }[]): string {
  const [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1].map((share) => percentile(sent, share).toFixed(1));
  return `${name}: ${sent.length} requests, p50 ${p50} ms, p95 ${p95}, p99 ${p99}, max ${max}`;
}
