/** Clients of an HTTP service: as many as are told, one request after the other; or requests at fixed times, whatever comes of those before. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'undici';

/** The n-th request, counted from 0. */
export type SendRequest = (n: number) => Promise<void>;

export interface Measured {
  /** Of each request, in no order. */
  readonly latenciesMs: readonly number[];
  readonly tookMs: number;
}

/** @throws what a request failed with */
export async function sendByClients(send: SendRequest, { clients, forMs }: { readonly clients: number; readonly forMs: number }): Promise<Measured> {
  const latenciesMs: number[] = [];
  const startedAt = performance.now();
  let next = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    for (let sentAt = performance.now(); sentAt - startedAt < forMs; sentAt = performance.now()) {
      await send(next++);
      latenciesMs.push(performance.now() - sentAt);
    }
  }));
  return { latenciesMs, tookMs: performance.now() - startedAt };
}

/**
 * An open loop: a request is sent when its time has come, and its latency counts from that time, so that a service that
 * stalls is not spared the requests which it would have held up.
 *
 * @throws what a request failed with
 */
export async function sendAtRate(send: SendRequest, { perS, forMs }: { readonly perS: number; readonly forMs: number }): Promise<Measured> {
  const latenciesMs: number[] = [];
  const startedAt = performance.now();
  const requests = Math.floor((forMs * perS) / 1000);
  const sending: Promise<void>[] = [];
  for (let n = 0; n < requests; n++) {
    const dueAt = startedAt + (n * 1000) / perS;
    while (performance.now() < dueAt) await sleep(Math.max(0, dueAt - performance.now()));
    sending.push(send(n).then(() => void latenciesMs.push(performance.now() - dueAt)));
  }
  await Promise.all(sending);
  return { latenciesMs, tookMs: performance.now() - startedAt };
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Posts an image and reads the answer. @throws Error when it is not a 200 */
export async function postImage(pool: Pool, path: string, image: Buffer): Promise<Buffer> {
  const { statusCode, body } = await pool.request({ method: 'POST', path, headers: { 'content-type': 'image/jpeg', accept: 'application/octet-stream, application/json' }, body: image });
  const answer = Buffer.from(await body.arrayBuffer());
  if (statusCode !== 200) throw new Error(`${path} answered ${statusCode}: ${answer.toString().slice(0, 300)}`);
  return answer;
}
