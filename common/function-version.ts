/** Asks a function whether it is ready, and which version of its model it embeds with. */
import { request, type Dispatcher } from 'undici';
import { callWithToken, identityTokensOf } from './identity-token.js';
import type { LiveVersion } from './store/store.js';

const TIMEOUT_MS = 2_000;

/**
 * What a function answers to `GET /ready`.
 *
 * @throws what goes wrong on the way to it
 */
export function askFunctionReady(url: string): Promise<Dispatcher.ResponseData> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  return callWithToken(identityTokensOf(url), signal, (headers) => request(new URL('/ready', url), { headers, signal }));
}

/**
 * The version that `GET /ready` of a function tells; undefined while it is not ready, or does not say.
 *
 * @throws what goes wrong on the way to it
 */
export async function askFunctionVersion(url: string): Promise<LiveVersion | undefined> {
  const { statusCode, body } = await askFunctionReady(url);
  const { model_version: version, dim } = (await body.json()) as { model_version?: unknown; dim?: unknown };
  return statusCode === 200 && typeof version === 'string' && typeof dim === 'number' ? { version, dim } : undefined;
}
