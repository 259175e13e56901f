/** The web page, and the headers that keep it and every other answer safe in a browser. */
import compress from '@fastify/compress';
import fastifyStatic from '@fastify/static';
import { EisError } from '../common/errors.js';
import type { App } from '../common/http.js';
import { packagePath } from '../common/package-root.js';

/** Own scripts and styles only, none inline; images from anywhere, since results may lie on other hosts. */
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' https: http: data: blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/** On every answer, unless its route says otherwise. */
export function addSafetyHeaders(app: App): void {
  app.addHook('onRequest', async (_request, reply) => {
    void reply.headers({ 'content-security-policy': CSP, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
  });
}

/**
 * Refuses what another site's page makes a visitor's browser send here: it may not add, remove or reload. Browsers say
 * where a request comes from in `Sec-Fetch-Site` (Fetch Metadata, W3C), which no page can set; programs send none.
 *
 * @throws EisError EIS_CROSS_SITE
 */
export function refuseOtherSites(app: App): void {
  app.addHook('onRequest', async ({ method, headers }) => {
    const site = headers['sec-fetch-site'];
    if (!SAFE_METHODS.has(method) && site !== undefined && site !== 'same-origin' && site !== 'none') throw new EisError('EIS_CROSS_SITE', {});
  });
}

/** The page at `/`, compressed. Apart from the other routes, whose answers are passed on as they come. */
export async function addPage(app: App): Promise<void> {
  await app.register(async (scope: App) => {
    await scope.register(compress, { encodings: ['br', 'gzip'], threshold: 512 });
    await scope.register(fastifyStatic, { root: packagePath('gateway/public'), wildcard: false, schemaHide: true });
  });
}
