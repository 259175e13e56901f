/** The gateway: puts its parts together. It holds no store and no bucket, and does not listen. */
import { createService, type App, type Readiness } from '../common/http.js';
import type { Limits } from '../common/limits.js';
import type { Log } from '../common/log.js';
import type { Metrics } from '../common/metrics.js';
import { addAccess, type Access } from './access.js';
import { limitAdmission } from './admission.js';
import { addSafetyHeaders, openToOrigins, refuseOtherSites } from './browser-safety.js';
import { boundConnections } from './connections.js';
import { addImagesRoutes } from './images-route.js';
import { createModelStatuses, type ModelStatuses } from './model-status.js';
import { addModelsRoutes } from './models-route.js';
import { addOpenApi } from './openapi.js';
import { addPage } from './page.js';
import { createSearchMetrics } from './search-metrics.js';
import { JSON_BYTES_MAX } from './search-input.js';
import { addQueuesRoutes } from './queues-route.js';
import { addSearchRoute } from './search-route.js';
import { ShadowTraffic } from './shadow.js';
import { createSearch } from './search.js';
import type { ServedModels } from './served-models.js';
import type { WrapperClient } from './wrapper-client.js';

export interface GatewayParts {
  readonly models: ServedModels;
  readonly wrapper: WrapperClient;
  readonly access: Access;
  readonly limits: Limits;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Of the package, for the API's description. */
  readonly version: string;
  readonly random?: () => number;
}

/**
 * A gateway over its connections, which stay the caller's to close. It is ready as soon as it knows which lane of each model
 * is searched: shards that do not answer are named in every answer, and restarting a gateway mends none.
 */
export async function createGateway({ models, wrapper, access, limits, log, metrics, version, random = Math.random }: GatewayParts): Promise<App> {
  const statuses = createModelStatuses({ models, timeoutMs: limits.indexTimeoutMs });
  const app = createService({ log, metrics, readiness: () => readinessOf(models, statuses), bodyBytesMax: JSON_BYTES_MAX, requestTimeoutMs: 0, trustProxy: access.trustProxy });
  boundConnections(app, { limits, metrics });
  // Nobody but the routes that want a body reads it, each within bounds of its own.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload));
  addSafetyHeaders(app);
  await openToOrigins(app, access.corsOrigins);
  refuseOtherSites(app, access.corsOrigins);
  await addAccess(app, { access, limits });
  await addOpenApi(app, { version });
  await addPage(app);
  const search = createSearch({ limits, metrics: createSearchMetrics(metrics), log });
  const shadows = new ShadowTraffic({ limits, metrics, log, random });
  app.addHook('preClose', () => shadows.close());
  await app.register(async (api: App) => {
    const placeOf = await limitAdmission(api, { limits, metrics });
    await api.register(async (scope: App) => addSearchRoute(scope, { models, search, shadows, limits, placeOf, random }));
    await api.register(async (scope: App) => addImagesRoutes(scope, { wrapper, limits }));
    await api.register(async (scope: App) => addQueuesRoutes(scope, { wrapper, limits }));
    addModelsRoutes(api, { models, statuses });
  });
  return app;
}

function readinessOf(models: ServedModels, statuses: ModelStatuses): Readiness {
  const undecided = [...models.values()].filter(({ isDecided }) => !isDecided).map(({ name }) => name);
  if (undecided.length === 0) return { ready: true, detail: statuses.describe() };
  return { ready: false, detail: `Waiting for the index pods and the function of the version that is searched, of: ${undecided.join(', ')}.` };
}
