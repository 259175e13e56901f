/** Logs evaluations to MLflow: one run for each, in one experiment. Whatever happens there fails nothing here. */
import { withDeadline } from '../common/deadline.js';
import { MlflowClient, MlflowFailure, type MlflowServer } from './mlflow-client.js';

export interface LoggedRun {
  readonly name: string;
  /** ms since the epoch. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly params: ReadonlyMap<string, string>;
  readonly metrics: ReadonlyMap<string, number>;
}

export interface LoggedReport {
  readonly fileName: string;
  readonly type: string;
  readonly content: Buffer;
}

export interface LogOptions {
  readonly server: MlflowServer;
  readonly experiment: string;
  readonly runs: readonly LoggedRun[];
  /** Goes to each run, where the server passes artifacts on. */
  readonly report: LoggedReport;
  /** For everything together. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Of one request to runs/log-batch: 100 params, 1000 metrics, and 1000 of both together. */
const PARAMS_PER_BATCH = 100;
const METRICS_PER_BATCH = 900;
/** Characters of a parameter's value that every server takes; newer ones take more. */
const PARAM_CHARACTERS_MAX = 250;
const KEY_CHARACTERS_MAX = 250;

interface RunInfo {
  readonly run_id: string;
  readonly artifact_uri?: string;
}

/**
 * Logs runs, their parameters, metrics and report. A creation whose answer was lost is repeated, and may leave a run without
 * content: the API has no way to tell.
 *
 * @returns what was not logged, and why: sentences for a person; none when everything was
 */
export async function logRuns({ server, experiment, runs, report, timeoutMs, signal }: LogOptions): Promise<string[]> {
  const missing: string[] = [];
  let done = 0;
  try {
    await withDeadline({ timeoutMs, parent: signal, timeoutError: () => new MlflowFailure(`the ${timeoutMs} ms for it are over`) }, async (deadline) => {
      const client = new MlflowClient(server, deadline);
      const experimentId = await findExperiment(client, experiment);
      for (const run of runs) {
        missing.push(...(await logRun(client, { experimentId, run, report, host: new URL(server.url).host })));
        done++;
      }
    });
  } catch (error) {
    missing.push(`${runs.slice(done).map(({ name }) => name).join('; ')}: ${(error as Error).message}.`);
  }
  return missing;
}

/** Its id, made when there is none; of two who make it at once the other finds it. */
async function findExperiment(client: MlflowClient, name: string): Promise<string> {
  const known = await getExperiment(client, name);
  if (known !== undefined) return known;
  try {
    return (await client.post<{ experiment_id: string }>('/mlflow/experiments/create', { name })).experiment_id;
  } catch (error) {
    if (!hasCode(error, 'RESOURCE_ALREADY_EXISTS')) throw error;
    const made = await getExperiment(client, name);
    if (made === undefined) throw error;
    return made;
  }
}

async function getExperiment(client: MlflowClient, name: string): Promise<string | undefined> {
  try {
    const { experiment } = await client.get<{ experiment: { experiment_id: string; lifecycle_stage?: string } }>('/mlflow/experiments/get-by-name', { experiment_name: name });
    if (experiment.lifecycle_stage === 'deleted') throw new MlflowFailure(`the experiment ${JSON.stringify(name)} was deleted there; restore it, or name another with MLFLOW_EXPERIMENT_NAME`, '');
    return experiment.experiment_id;
  } catch (error) {
    if (hasCode(error, 'RESOURCE_DOES_NOT_EXIST')) return undefined;
    throw error;
  }
}

interface RunPlace {
  readonly experimentId: string;
  readonly run: LoggedRun;
  readonly report: LoggedReport;
  readonly host: string;
}

/** A run that was begun is ended, whatever became of its parts. */
async function logRun(client: MlflowClient, { experimentId, run, report, host }: RunPlace): Promise<string[]> {
  const missing: string[] = [];
  /** Whether it was done; what the server refuses is noted, what it does not answer ends everything. */
  const attempt = async (part: string, work: () => Promise<unknown>): Promise<boolean> => {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof MlflowFailure) || error.code === undefined) throw error;
      missing.push(`${run.name}, ${part}: ${error.message}.`);
      return false;
    }
  };
  const tags = [{ key: 'mlflow.runName', value: run.name }, { key: 'mlflow.source.name', value: 'eis evaluate' }, { key: 'mlflow.source.type', value: 'LOCAL' }];
  const { info } = (await client.post<{ run: { info: RunInfo } }>('/mlflow/runs/create', { experiment_id: experimentId, run_name: run.name, start_time: run.startedAt, tags })).run;
  let isComplete = true;
  for (const batch of batchesOf(run)) isComplete = (await attempt('parameters and metrics', () => client.post('/mlflow/runs/log-batch', { run_id: info.run_id, ...batch, tags: [] }))) && isComplete;
  const folder = proxiedFolder(info.artifact_uri ?? '', host);
  if (folder === undefined) missing.push(`${run.name}, the report: artifacts go to ${describeScheme(info.artifact_uri)}, and not through the server.`);
  else await attempt('the report', () => client.putArtifact(`${folder}/${report.fileName}`, report.type, report.content));
  await attempt('its end', () => client.post('/mlflow/runs/update', { run_id: info.run_id, status: isComplete ? 'FINISHED' : 'FAILED', end_time: run.endedAt }));
  return missing;
}

interface Batch {
  readonly params: readonly { readonly key: string; readonly value: string }[];
  readonly metrics: readonly { readonly key: string; readonly value: number; readonly timestamp: number; readonly step: number }[];
}

/** The parameters and metrics of a run, cut into what one request may hold, with keys and values that every server takes. */
export function batchesOf({ params, metrics, endedAt }: Pick<LoggedRun, 'params' | 'metrics' | 'endedAt'>): Batch[] {
  const paramList = namedOnce(params).map(([key, value]) => ({ key, value: value.length <= PARAM_CHARACTERS_MAX ? value : `${value.slice(0, PARAM_CHARACTERS_MAX - 1)}…` }));
  const metricList = namedOnce(metrics).map(([key, value]) => ({ key, value, timestamp: endedAt, step: 0 }));
  const count = Math.max(Math.ceil(paramList.length / PARAMS_PER_BATCH), Math.ceil(metricList.length / METRICS_PER_BATCH));
  return Array.from({ length: count }, (_, i) => ({
    params: paramList.slice(i * PARAMS_PER_BATCH, (i + 1) * PARAMS_PER_BATCH),
    metrics: metricList.slice(i * METRICS_PER_BATCH, (i + 1) * METRICS_PER_BATCH),
  }));
}

/** Keys may have letters, digits, "_", "-", ".", " " and "/", no empty or dotted parts, and so many characters. Two that become one are numbered. */
function namedOnce<T>(entries: ReadonlyMap<string, T>): [string, T][] {
  const taken = new Set<string>();
  return [...entries].map(([name, value]) => {
    const parts = name.split('/').map((part) => part.replace(/[^\w.\- ]/g, '_').replace(/^\.+/, '_')).filter((part) => part !== '');
    const key = parts.join('/').slice(0, KEY_CHARACTERS_MAX);
    let unique = key;
    for (let i = 2; taken.has(unique); i++) unique = `${key.slice(0, KEY_CHARACTERS_MAX - 8)}_${i}`;
    taken.add(unique);
    return [unique, value];
  });
}

/** Where the server's proxy has a run's artifacts: `mlflow-artifacts:/1/abc/artifacts`, or with the server's own host. Credentials go to no other. */
export function proxiedFolder(artifactUri: string, host: string): string | undefined {
  if (!URL.canParse(artifactUri)) return undefined;
  const { protocol, host: named, pathname } = new URL(artifactUri);
  if (protocol !== 'mlflow-artifacts:' || (named !== '' && named !== host)) return undefined;
  return decodeURIComponent(pathname).replace(/^\/+/, '').replace(/\/+$/, '');
}

function describeScheme(artifactUri: string | undefined): string {
  return artifactUri !== undefined && URL.canParse(artifactUri) ? new URL(artifactUri).protocol.replace(/:$/, '') : 'a folder of its own';
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof MlflowFailure && error.code === code;
}
