/** Logs an evaluation to the MLflow server of the environment, and says what was not logged. */
import type { Environment } from '../common/environment.js';
import { logRuns, type LoggedReport, type LoggedRun } from '../evaluation/mlflow-log.js';
import type { MlflowServer } from '../evaluation/mlflow-client.js';

const DEFAULT_EXPERIMENT = 'elastic-image-search';

export interface MlflowTask {
  readonly environment: Pick<Environment, 'mlflow' | 'limits'>;
  readonly runs: readonly LoggedRun[];
  readonly report: LoggedReport;
  readonly signal: AbortSignal;
}

/** @returns lines for a person: what was logged, what was not and why */
export async function logToMlflow({ environment: { mlflow, limits }, runs, report, signal }: MlflowTask): Promise<string[]> {
  const server = serverOf(mlflow);
  if (typeof server === 'string') return [`Not logged to MLflow: ${server}`];
  const experiment = mlflow.experiment ?? DEFAULT_EXPERIMENT;
  const missing = await logRuns({ server, experiment, runs, report, timeoutMs: limits.mlflowTimeoutMs, signal });
  if (missing.length > 0) return missing.map((line) => `Not logged to MLflow: ${line}`);
  return [`Logged to MLflow at ${server.url}, experiment ${experiment}: ${runs.length} run${runs.length === 1 ? '' : 's'}, ${runs.reduce((sum, { metrics }) => sum + metrics.size, 0)} metrics, the report.`];
}

/** Credentials go by header, as MLflow's own client sends them: a name with its password before a token; those of the URL where there are no others. */
function serverOf({ trackingUri = '', token, username, password }: Environment['mlflow']): MlflowServer | string {
  const url = URL.canParse(trackingUri) ? new URL(trackingUri) : undefined;
  if (!url || !/^https?:$/.test(url.protocol)) return 'MLFLOW_TRACKING_URI names no server (an http:// or https:// URL); other stores of MLflow cannot be written from here.';
  const basic = username !== undefined && password !== undefined ? `${username}:${password}` : undefined;
  const ofUrl = url.username === '' ? undefined : `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  const authorization = basic !== undefined ? basicOf(basic) : token !== undefined ? `Bearer ${token}` : ofUrl === undefined ? undefined : basicOf(ofUrl);
  return { url: `${url.origin}${url.pathname}`.replace(/\/+$/, ''), authorization };
}

function basicOf(credentials: string): string {
  return `Basic ${Buffer.from(credentials).toString('base64')}`;
}
