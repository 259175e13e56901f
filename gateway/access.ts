/** Who may do what: every route of the API says which scope it takes, and here is the one place where that is asked for. */
import type { IncomingMessage } from 'node:http';
import type { FastifyReply } from 'fastify';
import { findKey, keyName, SCOPES, type ApiKey, type Scope } from '../common/api-keys.js';
import type { Environment } from '../common/environment.js';
import { EisError } from '../common/errors.js';
import { HEADERS } from '../common/headers.js';
import type { App } from '../common/http.js';
import type { Limits } from '../common/limits.js';
import { isLoopback } from '../common/public-address.js';
import { createRateLimits } from './rate-limits.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** That a caller of the route needs; undefined: it is no part of the API, and open to all. */
    scope?: Scope;
  }
}

/** Who is let in, and whose word about callers is taken. */
export interface Access {
  readonly keys: readonly ApiKey[];
  /** What may be done without a key. */
  readonly open: ReadonlySet<Scope>;
  readonly corsOrigins: readonly string[];
  readonly trustProxy: readonly string[];
}

const HOSTS_OF_THIS_MACHINE = new Set(['localhost']);

/**
 * What the environment says about who may do what. Without EIS_API_KEYS a gateway that only its own machine can reach
 * lets everybody do everything, and any other lets everybody search, and nothing else.
 */
export function accessOf({ host, apiKeys: { keys, everybody }, corsOrigins, trustProxy }: Pick<Environment, 'host' | 'apiKeys' | 'corsOrigins' | 'trustProxy'>): Access {
  const isConfigured = keys.length > 0 || everybody.size > 0;
  const isLocal = HOSTS_OF_THIS_MACHINE.has(host) || isLoopback(host);
  const open = isConfigured ? everybody : new Set<Scope>(isLocal ? SCOPES : ['search']);
  return { keys, open, corsOrigins, trustProxy };
}

/**
 * Lets a request through to a route of the API when its key, or everybody, has the scope that the route's `config` names,
 * and within the rates of `limits`. Before the routes: one that is described to the outside and names no scope is an error.
 */
export async function addAccess(app: App, { access: { keys, open }, limits }: { readonly access: Access; readonly limits: Limits }): Promise<void> {
  app.addHook('onRoute', ({ method, url, schema, config }) => {
    if (schema?.hide !== true && config?.scope === undefined) throw new Error(`${String(method)} ${url} is part of the API and names no scope in its config.`);
  });
  const rates = await createRateLimits(app, limits);
  app.addHook('onRequest', async (request, reply) => {
    const scope = request.routeOptions.config?.scope;
    if (scope === undefined) return;
    const sent = keys.length > 0 ? sentKey(request.raw) : undefined;
    if (sent !== undefined) await rates.refuseGuesser(request);
    const key = sent === undefined ? undefined : findKey(sent, keys);
    if (sent !== undefined && !key) {
      await rates.countFailure(request);
      throw unauthorised(reply, 'EIS_KEY_UNKNOWN');
    }
    await rates.count(request, key && keyName(key));
    if (open.has(scope) || key?.scopes.has(scope)) return;
    if (key) throw new EisError('EIS_SCOPE_MISSING', { scope });
    throw keys.length > 0 ? unauthorised(reply, 'EIS_KEY_MISSING') : new EisError('EIS_KEYS_UNSET', { scope });
  });
  app.addHook('onSend', async ({ routeOptions }, reply) => {
    const scope = routeOptions.config?.scope;
    if (scope !== undefined && !open.has(scope)) keepFromOthers(reply);
  });
}

function unauthorised(reply: FastifyReply, code: 'EIS_KEY_MISSING' | 'EIS_KEY_UNKNOWN'): EisError {
  void reply.header('www-authenticate', 'Bearer');
  return new EisError(code, {});
}

/**
 * The key that a request carries; an empty one counts as none, and so do credentials that are no key.
 *
 * @throws EisError EIS_BAD_REQUEST when it carries several: two parts of the way could each take another for the one that counts
 */
function sentKey({ headersDistinct }: IncomingMessage): string | undefined {
  const bearers = (headersDistinct['authorization'] ?? []).flatMap((value) => /^bearer +(.*)$/i.exec(value)?.[1] ?? []);
  const sent = [...bearers, ...(headersDistinct[HEADERS.apiKey] ?? [])].filter((key) => key !== '');
  if (sent.length > 1) throw new EisError('EIS_BAD_REQUEST', { detail: 'The request has more than one API key. Send one, as "Authorization: Bearer KEY" or as "X-Api-Key: KEY".' });
  return sent[0];
}

/** What was answered to a key is kept by the caller's own cache alone, and for that key. */
function keepFromOthers(reply: FastifyReply): void {
  const cacheControl = reply.getHeader('cache-control');
  if (typeof cacheControl === 'string') void reply.header('cache-control', cacheControl.replace(/\bpublic\b/i, 'private'));
  const vary = reply.getHeader('vary');
  void reply.header('vary', [...(vary === undefined ? [] : [String(vary)]), 'authorization', HEADERS.apiKey].join(', '));
}
