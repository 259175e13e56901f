/** Entry point of a gateway pod. */
import { loadConfig, readEnvironment } from '../common/config.js';
import { closeOnSignal, listen, runMain } from '../common/lifecycle.js';
import { createLog } from '../common/log.js';
import { Metrics } from '../common/metrics.js';
import { packageVersion } from '../common/package-root.js';
import { startTracing } from '../common/tracing.js';
import { accessOf } from './access.js';
import { createGateway } from './app.js';
import { closeModels, connectModels, missing } from './served-models.js';
import { createWrapperClient } from './wrapper-client.js';

runMain(async () => {
  const environment = readEnvironment();
  const { limits, wrapperUrl } = environment;
  const config = loadConfig(environment.configFile);
  if (wrapperUrl === undefined) throw missing('WRAPPER_URL', 'the address of the wrapper, for example http://127.0.0.1:8081');
  const wrapper = createWrapperClient({ url: wrapperUrl, connections: limits.inFlightMax });
  const log = createLog({ role: 'gateway', level: environment.logLevel });
  const tracing = startTracing({ role: 'gateway', environment, log });
  const metrics = new Metrics('gateway', environment.model === undefined ? {} : { model: environment.model }).collectProcess();
  const models = await connectModels(config, environment, { metrics, log });
  const app = await createGateway({ models, wrapper, access: accessOf(environment), limits, log, metrics, version: packageVersion() });
  closeOnSignal([app, { close: () => closeModels(models) }, wrapper, tracing], { log, limits });
  await listen(app, { host: environment.host, port: environment.port ?? environment.basePort, log });
});
