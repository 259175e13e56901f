/** How often a caller may ask: by key, else by address, counted in memory by each gateway for itself. */
import rateLimit, { normalizeIP } from '@fastify/rate-limit';
import type { FastifyRequest } from 'fastify';
import { EisError } from '../common/errors.js';
import type { App } from '../common/http.js';
import type { Limits } from '../common/limits.js';
import { isLoopback } from '../common/public-address.js';

export interface RateLimits {
  /**
   * Counts a request.
   *
   * @param key the name of the caller's key; undefined: there is none, and its address counts, unless that is this machine's
   * @throws EisError EIS_OVERLOADED when it is one too many
   */
  count(request: FastifyRequest, key: string | undefined): Promise<void>;
  /** Counts a key that is not known. */
  countFailure(request: FastifyRequest): Promise<void>;
  /** @throws EisError EIS_OVERLOADED when too many keys that are not known came from the address: right or wrong, the next is not looked at */
  refuseGuesser(request: FastifyRequest): Promise<void>;
}

const WINDOW_MS = 60_000;

/** Callers that are remembered; who has not asked for longest is forgotten first. */
const CALLERS_MAX = 10_000;

export async function createRateLimits(app: App, { requestsPerMinuteMax, keyFailuresPerMinuteMax }: Pick<Limits, 'requestsPerMinuteMax' | 'keyFailuresPerMinuteMax'>): Promise<RateLimits> {
  await app.register(rateLimit, { global: false });
  const keys = new WeakMap<FastifyRequest, string>();
  const addressOf = ({ ip }: FastifyRequest): string => normalizeIP(ip);
  const shared = { timeWindow: WINDOW_MS, cache: CALLERS_MAX };
  const requests = app.createRateLimit({ ...shared, max: requestsPerMinuteMax, keyGenerator: (request) => keys.get(request) ?? addressOf(request) });
  const failures = app.createRateLimit({ ...shared, max: keyFailuresPerMinuteMax, keyGenerator: addressOf });
  return {
    async count(request, key) {
      if (key !== undefined) keys.set(request, `key ${key}`);
      else if (isLoopback(request.ip) && isLoopback(request.socket.remoteAddress ?? '')) return;
      const counted = await requests(request);
      const caller = key === undefined ? 'This address' : 'This API key';
      if (!counted.isAllowed && counted.isExceeded) throw overloaded(`${caller} has sent ${requestsPerMinuteMax} requests within a minute, which is all that it may.`, counted.ttlInSeconds);
    },
    async countFailure(request) {
      await failures(request);
    },
    async refuseGuesser(request) {
      const counted = await failures(request, { increment: false });
      if (!counted.isAllowed && counted.remaining === 0) throw overloaded(`This address has sent ${keyFailuresPerMinuteMax} API keys within a minute that are not known here, so none is looked at.`, counted.ttlInSeconds);
    },
  };
}

function overloaded(detail: string, retryAfterS: number): EisError {
  return new EisError('EIS_OVERLOADED', { detail }, { retryAfterS });
}
