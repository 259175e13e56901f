/** `eis autoscale`: scales gateways and workers by what Prometheus says there is to do. */
import { createAutoscaleApp } from '../autoscale/app.js';
import { createAutoscaleMetrics } from '../autoscale/autoscale-metrics.js';
import { Autoscaler, type Turn } from '../autoscale/autoscaler.js';
import { openClusterAccess, type ClusterAccess } from '../autoscale/cluster-access.js';
import { createPrometheus } from '../autoscale/prometheus.js';
import { startRounds } from '../autoscale/rounds.js';
import { createScales } from '../autoscale/scales.js';
import { scaleTargets } from '../autoscale/target.js';
import { loadConfig } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import { EisError } from '../common/errors.js';
import { closeOnSignal, listen } from '../common/lifecycle.js';
import { createLog, SILENT_LOG, type Log } from '../common/log.js';
import { Metrics } from '../common/metrics.js';
import { gatewayName, workerName } from '../k8s/manifests/names.js';

export interface AutoscaleCommandOptions {
  readonly apply: boolean;
  readonly once: boolean;
  readonly json: boolean;
  readonly prometheus: string;
  readonly api: string;
  readonly tokenFile: string;
  readonly caFile: string;
}

const DEFAULT_PORT = 8083;

/** @returns the exit code, with `once`: 1 when a Deployment could not be looked at or changed. Else it runs until it is told to end. */
export async function autoscaleCommand(environment: Environment, options: AutoscaleCommandOptions): Promise<number> {
  const { once, json } = options;
  const log = json || once ? SILENT_LOG : createLog({ role: 'autoscaler', level: environment.logLevel });
  const metrics = new Metrics('autoscaler').collectProcess();
  const access = openClusterAccess({ url: options.api, tokenFile: options.tokenFile, caFile: options.caFile });
  const autoscaler = createAutoscaler({ environment, options, metrics, log, access });
  if (once) return runOnce(autoscaler, access, json);
  const app = createAutoscaleApp({ metrics, log });
  await listen(app, { host: environment.host, port: environment.port ?? DEFAULT_PORT, log });
  const rounds = startRounds(autoscaler, (turns) => json && print(turns, json));
  closeOnSignal([rounds, app, access], { log, limits: { ...environment.limits, drainMs: 0 } }); // nobody sends to it
  return 0;
}

interface AutoscalerParts {
  readonly environment: Environment;
  readonly options: AutoscaleCommandOptions;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly access: ClusterAccess;
}

/** @throws EisError EIS_CONFIG_INVALID where nothing is to be scaled */
function createAutoscaler({ environment, options, metrics, log, access }: AutoscalerParts): Autoscaler {
  const config = loadConfig(environment.configFile);
  const targets = scaleTargets(config, (role, kubernetesName) => (role === 'gateway' ? gatewayName(kubernetesName) : workerName(kubernetesName)));
  if (targets.length === 0) throw new EisError('EIS_CONFIG_INVALID', { file: config.file, problems: ['nothing is to be scaled: give "pods" of "serving" or "extract_worker" a range, such as { "min": 1, "max": 10 }.'] });
  const { autoscale: { inFlightPerPod, queueAgeS, cooldownS }, namespace } = config.platform;
  return new Autoscaler({
    targets,
    rules: { inFlightPerPod, queueAgeS, cooldownMs: cooldownS * 1000 },
    prometheus: createPrometheus(options.prometheus),
    scales: createScales(access, namespace),
    isApplied: options.apply,
    waitsAtFirst: !options.once,
    metrics: createAutoscaleMetrics(metrics, targets),
    log,
  });
}

async function runOnce(autoscaler: Autoscaler, access: ClusterAccess, json: boolean): Promise<number> {
  try {
    const turns = await autoscaler.round(new AbortController().signal);
    print(turns, json);
    return turns.some(({ code }) => code !== undefined) ? 1 : 0;
  } finally {
    await access.close();
  }
}

function print(turns: readonly Turn[], json: boolean): void {
  process.stdout.write(json ? `${JSON.stringify({ at: new Date().toISOString(), turns })}\n` : `${turns.map(describe).join('\n')}\n`);
}

function describe({ deployment, from, to, applied, reason }: Turn): string {
  const pods = from === undefined ? '' : from === to ? `${from} pods. ` : `${from} → ${to ?? ''} pods${applied ? '' : ' (not applied)'}. `;
  return `${deployment}: ${pods}${reason}`;
}
