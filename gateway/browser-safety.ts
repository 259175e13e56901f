/** What keeps the page, and every other answer, safe in a browser: headers, and which other sites may call. */
import cors from '@fastify/cors';
import type { FastifyRequest } from 'fastify';
import { EisError } from '../common/errors.js';
import { HEADERS } from '../common/headers.js';
import type { App } from '../common/http.js';

/** Own scripts and styles only, none inline; images from anywhere, since results may lie on other hosts. */
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' https: http: data: blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const SAFETY = {
  'content-security-policy': CSP,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  // What is here may be for those with a key only: no other site gets it into its own page, or this page into its hands.
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
};

/** A browser that came here over TLS comes no other way for a year. */
const HSTS = 'max-age=31536000';

const PREFLIGHT_AGE_S = 600;
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/** On every answer, unless its route says otherwise. Whether a client came over TLS says the proxy in front, where one is trusted. */
export function addSafetyHeaders(app: App): void {
  app.addHook('onRequest', async ({ protocol }, reply) => {
    void reply.headers(protocol === 'https' ? { ...SAFETY, 'strict-transport-security': HSTS } : SAFETY);
  });
}

/** Lets pages of `origins` call the routes of the API and read their answers, refusals included: so before what refuses. */
export async function openToOrigins(app: App, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return;
  const open = {
    origin: [...origins],
    methods: ['GET', 'HEAD', 'POST', 'DELETE'],
    allowedHeaders: ['authorization', 'content-type', 'range', HEADERS.apiKey, HEADERS.requestId, HEADERS.submission],
    exposedHeaders: ['retry-after', HEADERS.requestId, HEADERS.model, HEADERS.modelVersion],
    maxAge: PREFLIGHT_AGE_S,
  };
  await app.register(cors, {
    delegator: async ({ method, routeOptions }: FastifyRequest) => (method === 'OPTIONS' || routeOptions.config?.scope !== undefined ? open : { origin: false }),
  });
}

/**
 * Refuses what another site's page makes a visitor's browser send here: unless it is of `origins`, it may not add, remove
 * or reload. Browsers say where a request comes from in `Sec-Fetch-Site` (Fetch Metadata, W3C) and `Origin`, which no page
 * can set; programs send none.
 *
 * @throws EisError EIS_CROSS_SITE
 */
export function refuseOtherSites(app: App, origins: readonly string[]): void {
  app.addHook('onRequest', async ({ method, headers }) => {
    const { origin, 'sec-fetch-site': site } = headers;
    const isOwn = site === undefined || site === 'same-origin' || site === 'none';
    if (!SAFE_METHODS.has(method) && !isOwn && !origins.includes(origin ?? '')) throw new EisError('EIS_CROSS_SITE', {});
  });
}
