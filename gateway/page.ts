/** The web page. */
import compress from '@fastify/compress';
import fastifyStatic from '@fastify/static';
import type { App } from '../common/http.js';
import { packagePath } from '../common/package-root.js';

/** The page at `/`, compressed. Apart from the other routes, whose answers are passed on as they come. */
export async function addPage(app: App): Promise<void> {
  await app.register(async (scope: App) => {
    await scope.register(compress, { encodings: ['br', 'gzip'], threshold: 512 });
    await scope.register(fastifyStatic, { root: packagePath('gateway/public'), wildcard: false, schemaHide: true });
  });
}
