/** Asks a function which version of its model it embeds with. */
import { request } from 'undici';
import type { LiveVersion } from './store/store.js';

const TIMEOUT_MS = 2_000;

/**
 * The version that `GET /ready` of a function tells; undefined while it is not ready, or does not say.
 *
 * @throws what goes wrong on the way to it
 */
export async function askFunctionVersion(url: string): Promise<LiveVersion | undefined> {
  const { statusCode, body } = await request(new URL('/ready', url), { signal: AbortSignal.timeout(TIMEOUT_MS) });
  const { model_version: version, dim } = (await body.json()) as { model_version?: unknown; dim?: unknown };
  return statusCode === 200 && typeof version === 'string' && typeof dim === 'number' ? { version, dim } : undefined;
}
