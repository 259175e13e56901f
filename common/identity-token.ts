/**
 * Identity tokens for functions that answer nobody else: one for each function, kept while it is valid and fetched anew
 * before it ends, so that calls seldom wait for one. Where tokens come from is `google-identity.ts`, which is loaded
 * only by who calls such a function. No token is ever part of an error or of the log.
 */
import { unlessAborted, withDeadline } from './deadline.js';
import { isThisMachine } from './public-address.js';

/** Tells a new token for an audience. */
export type FetchIdentityToken = (audience: string) => Promise<string>;

export interface IdentityTokensOptions {
  /** The address of the function: whom the token is for. */
  readonly audience: string;
  readonly fetchToken: FetchIdentityToken;
  /** ms since 1970; default: the system's. */
  readonly now?: () => number;
}

/** A token is fetched anew so long before it ends: Google's are valid for an hour. */
const RENEWED_BEFORE_MS = 5 * 60_000;
/** One that ends sooner is not sent any more: clocks differ, and the call takes its time. */
const USABLE_MS = 30_000;
/** Between two attempts to renew a token that still serves. */
const RETRY_MS = 30_000;
const FETCH_TIMEOUT_MS = 5_000;

interface Token {
  readonly text: string;
  readonly endsAtMs: number;
}

export class IdentityTokens {
  readonly #options: Required<IdentityTokensOptions>;
  #token: Token | undefined;
  #fetching: Promise<Token> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: IdentityTokensOptions) {
    this.#options = { now: Date.now, ...options };
  }

  /**
   * The token, fetched where none is valid; calls that come meanwhile wait for the same one.
   *
   * @throws TokenUnavailable; the signal's reason
   */
  async current(signal?: AbortSignal): Promise<string> {
    const token = this.#token;
    return token && this.#leftMs(token) > USABLE_MS ? token.text : this.#wait(signal);
  }

  /**
   * A newer token than one that the function refused. Of calls that were refused together, the first has it fetched.
   *
   * @throws TokenUnavailable; the signal's reason
   */
  async renewed(refused: string, signal?: AbortSignal): Promise<string> {
    if (this.#token?.text === refused) this.#token = undefined;
    return this.current(signal);
  }

  /** Fetches the first token before a call needs it. What goes wrong, the call meets. */
  prepare(): void {
    void this.#fetch().catch(() => undefined);
  }

  /** Who gives up waiting leaves the fetch to the others. */
  #wait(signal: AbortSignal | undefined): Promise<string> {
    const fetched = this.#fetch().then(({ text }) => text);
    return signal ? unlessAborted(fetched, signal) : fetched;
  }

  #fetch(): Promise<Token> {
    this.#fetching ??= this.#fetchOnce().finally(() => (this.#fetching = undefined));
    return this.#fetching;
  }

  async #fetchOnce(): Promise<Token> {
    const { audience, fetchToken, now } = this.#options;
    try {
      const timeoutError = (): Error => new Error(`nothing came within ${FETCH_TIMEOUT_MS} ms`);
      const text = await withDeadline({ timeoutMs: FETCH_TIMEOUT_MS, timeoutError }, () => fetchToken(audience));
      const token = { text, endsAtMs: endOf(text, now()) };
      this.#token = token;
      this.#renewIn(Math.max(RETRY_MS, this.#leftMs(token) - RENEWED_BEFORE_MS));
      return token;
    } catch (thrown) {
      this.#renewIn(this.#token ? RETRY_MS : undefined);
      throw new TokenUnavailable(audience, thrown);
    }
  }

  /** @param ms undefined: nothing serves, so the next call fetches */
  #renewIn(ms: number | undefined): void {
    clearTimeout(this.#timer);
    this.#timer = ms === undefined ? undefined : setTimeout(() => this.prepare(), ms).unref();
  }

  #leftMs({ endsAtMs }: Token): number {
    return endsAtMs - this.#options.now();
  }
}

/** No token can be had. Says why in plain words, without what was sent or answered. */
export class TokenUnavailable extends Error {
  constructor(audience: string, thrown: unknown) {
    super(`No identity token for ${audience}: ${describe(thrown)}`);
  }
}

/** Errors of HTTP clients carry the request with them, credentials included: of those, the words alone. */
function describe(thrown: unknown): string {
  const words = thrown instanceof Error ? (thrown.message.split('\n')[0] as string) : 'an unknown error';
  return words.replace(/[\w-]{20,}\.[\w-]{20,}(\.[\w-]*)?/g, '(a token)').replace(/[\w+/=-]{80,}/g, '(a secret)').slice(0, 300);
}

/**
 * When a token ends (RFC 7519, `exp`). It is the function that checks tokens: here it is read only to know when to ask anew.
 *
 * @throws Error when it is no token
 */
function endOf(token: string, nowMs: number): number {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { exp?: unknown };
    if (typeof exp === 'number' && exp * 1000 > nowMs) return exp * 1000;
  } catch {
    // said below
  }
  throw new Error('what came is no token that is valid now; does the clock of this machine go right?');
}

interface TokenAnswer {
  readonly statusCode: number;
  readonly body: { dump(): Promise<unknown> };
}

/**
 * Calls a function with the header that it wants; once more with a new token where the answer is 401 (the token was
 * revoked, or a clock is wrong). A second 401 is the answer.
 *
 * @param tokens undefined: the function takes none
 * @throws TokenUnavailable; the signal's reason; what `call` throws
 */
export async function callWithToken<Answer extends TokenAnswer>(tokens: IdentityTokens | undefined, signal: AbortSignal, call: (headers: Readonly<Record<string, string>>) => Promise<Answer>): Promise<Answer> {
  if (!tokens) return call({});
  const token = await tokens.current(signal);
  const answer = await call(bearer(token));
  if (answer.statusCode !== 401) return answer;
  await answer.body.dump();
  return call(bearer(await tokens.renewed(token, signal)));
}

function bearer(token: string): Readonly<Record<string, string>> {
  return { authorization: `Bearer ${token}` };
}

const known = new Map<string, IdentityTokens>();

/**
 * The tokens of a function, the same for all who call it from this process, the first of them being fetched; undefined
 * for one that takes none: over plain http a token could be read, and what listens on this machine asks for none.
 *
 * @param url the address of the function
 */
export function identityTokensOf(url: string): IdentityTokens | undefined {
  if (!takesToken(new URL(url))) return undefined;
  const audience = url.replace(/\/+$/, '');
  let tokens = known.get(audience);
  if (!tokens) {
    tokens = new IdentityTokens({ audience, fetchToken: async (of) => (await import('./google-identity.js')).fetchGoogleIdentityToken(of) });
    known.set(audience, tokens);
    tokens.prepare();
  }
  return tokens;
}

/** Whether a function at this address is called with a token. */
export function takesToken({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' && !isThisMachine(hostname);
}
