/** Clients of an HTTP service, one request after the other each. Requests at fixed times: `test/support/open-loop.ts`. */
import type { Pool } from 'undici';

/** The n-th request, counted from 0. */
export type SendRequest = (n: number) => Promise<void>;

export interface Answered {
  readonly latencyMs: number;
}

export interface Measured {
  /** In no order. */
  readonly answered: readonly Answered[];
  readonly perS: number;
}

/** @throws what a request failed with */
export async function sendByClients(send: SendRequest, { clients, forMs }: { readonly clients: number; readonly forMs: number }): Promise<Measured> {
  const answered: Answered[] = [];
  const startedAt = performance.now();
  let next = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    for (let sentAt = performance.now(); sentAt - startedAt < forMs; sentAt = performance.now()) {
      await send(next++);
      answered.push({ latencyMs: performance.now() - sentAt });
    }
  }));
  return { answered, perS: (answered.length * 1000) / (performance.now() - startedAt) };
}

/** Posts an image and reads the answer. @throws Error when it is not a 200 */
export async function postImage(pool: Pool, path: string, image: Buffer): Promise<Buffer> {
  const { statusCode, body } = await pool.request({ method: 'POST', path, headers: { 'content-type': 'image/jpeg', accept: 'application/octet-stream, application/json' }, body: image });
  const answer = Buffer.from(await body.arrayBuffer());
  if (statusCode !== 200) throw new Error(`${path} answered ${statusCode}: ${answer.toString().slice(0, 300)}`);
  return answer;
}
