/** One request of the gateway, for commands that ask it for something. */
import { request, type Dispatcher, type FormData } from 'undici';
import { EisError, relayError } from '../common/errors.js';
import { tryParseJson } from '../common/read-bounded.js';
import { authorisation, type GatewayAddress } from './gateway-option.js';

export interface GatewayRequest {
  readonly gateway: GatewayAddress;
  /** With its query. */
  readonly path: string;
  readonly method?: 'GET' | 'POST' | 'DELETE';
  readonly body?: { readonly type: string; readonly content: string | Buffer } | { readonly content: FormData };
  readonly signal?: AbortSignal;
  /** It may take any time to answer, and in answering. */
  readonly isLong?: boolean;
}

/** The JSON of its answer. @throws EisError EIS_GATEWAY_UNREACHABLE, or what the gateway answered, in its words */
export async function askGateway<T>(asked: GatewayRequest): Promise<T> {
  const value = tryParseJson(await (await openGateway(asked)).text());
  if (value === undefined) throw unreachable(asked);
  return value as T;
}

/** The body of its answer, as it comes; otherwise as `askGateway`. */
export async function openGateway(asked: GatewayRequest): Promise<Dispatcher.ResponseData['body']> {
  const { gateway, path, method = 'GET', body, signal, isLong = false } = asked;
  const sent = { headers: { ...authorisation(gateway.apiKey), ...(body && 'type' in body ? { 'content-type': body.type } : {}) }, ...(body ? { body: body.content } : {}) };
  const answer = await request(`${gateway.url}${path}`, { method, signal: signal ?? null, ...(isLong ? { bodyTimeout: 0, headersTimeout: 0 } : {}), ...sent }).catch((cause: unknown) => {
    throw unreachable(asked, cause);
  });
  if (answer.statusCode >= 200 && answer.statusCode < 300) return answer.body;
  throw relayError(tryParseJson(await answer.body.text())) ?? unreachable(asked); // what answers there is not ours
}

function unreachable({ gateway }: GatewayRequest, cause?: unknown): EisError {
  return new EisError('EIS_GATEWAY_UNREACHABLE', { url: gateway.url }, { cause });
}
