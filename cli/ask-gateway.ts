/** One request of the gateway, for commands that ask it for something. */
import { request } from 'undici';
import { EisError, relayError } from '../common/errors.js';
import { tryParseJson } from '../common/read-bounded.js';

export interface GatewayRequest {
  readonly gateway: string;
  /** With its query. */
  readonly path: string;
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly body?: { readonly type: string; readonly content: string | Buffer };
}

/** @throws EisError EIS_GATEWAY_UNREACHABLE, or what the gateway answered, in its words */
export async function askGateway<T>({ gateway, path, method = 'GET', body }: GatewayRequest): Promise<T> {
  const unreachable = (cause?: unknown): EisError => new EisError('EIS_GATEWAY_UNREACHABLE', { url: gateway }, { cause });
  const sent = body ? { body: body.content, headers: { 'content-type': body.type } } : {};
  const answer = await request(`${gateway}${path}`, { method, ...sent }).catch((cause: unknown) => {
    throw unreachable(cause);
  });
  const value = tryParseJson(await answer.body.text());
  if (answer.statusCode >= 200 && answer.statusCode < 300 && value !== undefined) return value as T;
  throw relayError(value) ?? unreachable(); // what answers there is not ours
}
