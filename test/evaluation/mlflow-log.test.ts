import { describe, expect, it } from 'vitest';
import { batchesOf, logRuns, proxiedFolder, type LoggedRun, type LogOptions } from '../../evaluation/mlflow-log.js';
import { toLoggedRuns } from '../../evaluation/mlflow-runs.js';
import { findFreePort } from '../../local/ports.js';
import { MlflowServer, type Recorded } from '../support/mlflow-server.js';
import { evaluation, FIRST } from './fixtures.js';

const REPORT = { fileName: 'report.html', type: 'text/html', content: Buffer.from('<!doctype html><title>R</title>') };
const RUNS = toLoggedRuns(evaluation(), { startedAt: 1_700_000_000_000, endedAt: 1_700_000_060_000 });
const ONE = [RUNS[0]!];
/** What a server without faults is asked for one run. */
const CALLS = [
  'GET /api/2.0/mlflow/experiments/get-by-name',
  'POST /api/2.0/mlflow/experiments/create',
  'POST /api/2.0/mlflow/runs/create',
  'POST /api/2.0/mlflow/runs/log-batch',
  'PUT /api/2.0/mlflow-artifacts/artifacts/1/00000000000000000000000000000001/artifacts/report.html',
  'POST /api/2.0/mlflow/runs/update',
];

function log(mlflow: Pick<MlflowServer, 'url'>, options: Partial<LogOptions> = {}): Promise<string[]> {
  return logRuns({ server: { url: mlflow.url, authorization: undefined }, experiment: 'photos', runs: ONE, report: REPORT, timeoutMs: 30_000, signal: new AbortController().signal, ...options });
}

describe('logRuns()', () => {
  it('makes the experiment and a run, logs parameters and metrics in a batch, puts the report, and ends the run', async () => {
    const mlflow = await MlflowServer.start();
    expect(await log(mlflow)).toEqual([]);
    expect(mlflow.calls()).toEqual(CALLS);
    const [run] = mlflow.runs;
    expect(run).toMatchObject({ name: 'first (brute)', experimentId: '1', status: 'FINISHED', endTime: 1_700_000_060_000 });
    expect(Object.fromEntries(run!.tags)).toEqual({ 'mlflow.runName': 'first (brute)', 'mlflow.source.name': 'eis evaluate', 'mlflow.source.type': 'LOCAL' });
    expect(Object.fromEntries(run!.params)).toMatchObject({ model: 'first', algorithm: 'brute', mode: 'altered', k: '1 2' });
    expect(run!.metrics.get('recall_at_1')).toBeCloseTo(4 / 6, 12);
    expect(run!.metrics.get('alteration/flip/recall_at_1')).toBeCloseTo(1 / 3, 12);
    expect([...mlflow.artifacts]).toEqual([['1/00000000000000000000000000000001/artifacts/report.html', { type: 'text/html', content: REPORT.content }]]);
  });

  it('sends the messages that the API describes', async () => {
    const mlflow = await MlflowServer.start();
    await log(mlflow);
    const body = (path: string): unknown => mlflow.recorded.find((request: Recorded) => request.path.endsWith(path))?.body;
    expect(body('/experiments/create')).toEqual({ name: 'photos' });
    expect(body('/runs/create')).toEqual({ experiment_id: '1', run_name: 'first (brute)', start_time: 1_700_000_000_000, tags: [{ key: 'mlflow.runName', value: 'first (brute)' }, { key: 'mlflow.source.name', value: 'eis evaluate' }, { key: 'mlflow.source.type', value: 'LOCAL' }] });
    expect(body('/runs/log-batch')).toMatchObject({ run_id: mlflow.runs[0]!.runId, params: expect.arrayContaining([{ key: 'seed', value: '1' }]) as unknown, metrics: expect.arrayContaining([{ key: 'map_at_2', value: 0.75, timestamp: 1_700_000_060_000, step: 0 }]) as unknown, tags: [] });
    expect(body('/runs/update')).toEqual({ run_id: mlflow.runs[0]!.runId, status: 'FINISHED', end_time: 1_700_000_060_000 });
  });

  it('uses an experiment that is there, for all runs', async () => {
    const mlflow = await MlflowServer.start();
    mlflow.experiments.set('photos', { id: '7', stage: 'active' });
    expect(await log(mlflow, { runs: RUNS })).toEqual([]);
    expect(mlflow.runs.map(({ name, experimentId }) => [name, experimentId])).toEqual([['first (brute)', '7'], ['second (brute)', '7']]);
    expect(mlflow.calls()).not.toContain('POST /api/2.0/mlflow/experiments/create');
  });

  it('takes the experiment that another made in the same moment', async () => {
    const mlflow = await MlflowServer.start();
    mlflow.onRequest = ({ path }) => {
      if (path.endsWith('/experiments/create')) mlflow.experiments.set('photos', { id: '1', stage: 'active' });
    };
    expect(await log(mlflow)).toEqual([]);
  });

  it('says that an experiment was deleted, and what would be right', async () => {
    const mlflow = await MlflowServer.start();
    mlflow.experiments.set('photos', { id: '1', stage: 'deleted' });
    expect(await log(mlflow)).toEqual([expect.stringMatching(/"photos" was deleted there; restore it, or name another with MLFLOW_EXPERIMENT_NAME/)]);
    expect(mlflow.runs).toEqual([]);
  });

  it('sends its credentials, and says that they are refused without showing them', async () => {
    const mlflow = await MlflowServer.start({ authorization: 'Bearer right' });
    expect(await log(mlflow, { server: { url: mlflow.url, authorization: 'Bearer right' } })).toEqual([]);
    const [line] = await log(mlflow, { server: { url: mlflow.url, authorization: 'Bearer wrong-secret' } });
    expect(line).toMatch(/401 to .*UNAUTHENTICATED/);
    expect(line).not.toContain('wrong-secret');
  });
});

describe('logRuns(), when the server has faults', () => {
  it.each(CALLS.map((call) => [call] as const))('tries again what failed with 500, 503 and a lost connection: %s', async (call) => {
    const mlflow = await MlflowServer.start();
    const path = new RegExp(`${call.split(' ')[1]!.replaceAll('.', '\\.')}$`);
    mlflow.fail(path, { status: 500 });
    mlflow.fail(path, { status: 503, retryAfterS: 0 });
    mlflow.fail(path, 'reset');
    expect(await log(mlflow)).toEqual([]);
    expect(mlflow.calls().filter((one) => one === call)).toHaveLength(4);
    expect(mlflow.runs.at(-1)).toMatchObject({ status: 'FINISHED' });
    expect(mlflow.artifacts.size).toBe(1);
  });

  it.each([['/runs/log-batch$'], ['/runs/update$'], ['/experiments/create$'], ['report.html$']])('goes on where an answer was lost: %s', async (path) => {
    const mlflow = await MlflowServer.start();
    mlflow.fail(new RegExp(path), 'lost');
    expect(await log(mlflow)).toEqual([]);
    expect(mlflow.runs).toMatchObject([{ status: 'FINISHED' }]);
  });

  it('gives up after some attempts, and says which runs are missing', async () => {
    const mlflow = await MlflowServer.start();
    mlflow.fail(/get-by-name/, 'reset', 100);
    expect(await log(mlflow, { runs: RUNS })).toEqual([expect.stringMatching(/^first \(brute\); second \(brute\): no answer to \/mlflow\/experiments\/get-by-name \(\w+\)\.$/)]);
    expect(mlflow.recorded).toHaveLength(4);
  });

  it('does not try again what is refused', async () => {
    const mlflow = await MlflowServer.start();
    mlflow.fail(/runs\/create/, { status: 404 }, 100);
    expect(await log(mlflow)).toEqual([expect.stringMatching(/404 to \/mlflow\/runs\/create, which is no answer of an MLflow server/)]);
    expect(mlflow.calls().filter((call) => call.endsWith('/runs/create'))).toHaveLength(1);
  });

  it('logs the rest when the report is refused', async () => {
    const mlflow = await MlflowServer.start();
    mlflow.fail(/mlflow-artifacts/, { status: 403 }, 100);
    expect(await log(mlflow)).toEqual([expect.stringMatching(/^first \(brute\), the report: 403/)]);
    expect(mlflow.runs).toMatchObject([{ status: 'FINISHED' }]);
  });

  it('ends a run as failed that lacks its metrics', async () => {
    const mlflow = await MlflowServer.start();
    mlflow.fail(/log-batch/, { status: 400 }, 100);
    expect(await log(mlflow)).toEqual([expect.stringMatching(/^first \(brute\), parameters and metrics: 400/)]);
    expect(mlflow.runs).toMatchObject([{ status: 'FAILED' }]);
  });

  it('is over in its time when the server does not answer, and says so', async () => {
    const mlflow = await MlflowServer.start();
    mlflow.fail(/runs\/create/, 'silent', 100);
    expect(await log(mlflow, { timeoutMs: 300 })).toEqual(['first (brute): the 300 ms for it are over.']);
  });

  it('is over in its time when the server asks for more of it', async () => {
    const mlflow = await MlflowServer.start();
    mlflow.fail(/runs\/create/, { status: 429, retryAfterS: 3_600 }, 100);
    expect(await log(mlflow, { timeoutMs: 300 })).toEqual(['first (brute): the 300 ms for it are over.']);
  });

  it('ends at once when it is interrupted', async () => {
    const mlflow = await MlflowServer.start();
    const interrupted = new AbortController();
    mlflow.fail(/runs\/create/, 'silent', 100);
    mlflow.onRequest = ({ path }) => void (path.endsWith('/runs/create') && interrupted.abort(new Error('interrupted')));
    expect(await log(mlflow, { signal: interrupted.signal })).toEqual(['first (brute): interrupted.']);
  });

  it('says that nobody is there', async () => {
    const url = `http://127.0.0.1:${await findFreePort()}`;
    expect(await log({ url })).toEqual([expect.stringMatching(/first \(brute\): no answer to \/mlflow\/experiments\/get-by-name \(ECONNREFUSED\)/)]);
  });
});

describe('batchesOf()', () => {
  const logged = (metrics: number, params: number): LoggedRun => ({
    name: 'r', startedAt: 1, endedAt: 2,
    metrics: new Map(Array.from({ length: metrics }, (_, i) => [`metric ${i}`, i])),
    params: new Map(Array.from({ length: params }, (_, i) => [`param ${i}`, 'v'.repeat(300)])),
  });

  it('cuts what is more than one request may hold, and a value that is longer than every server takes', async () => {
    const mlflow = await MlflowServer.start();
    expect(await log(mlflow, { runs: [logged(2_500, 230)] })).toEqual([]);
    expect(mlflow.runs[0]!.metrics.size).toBe(2_500);
    expect(mlflow.runs[0]!.params.size).toBe(230);
    expect(mlflow.runs[0]!.params.get('param 0')).toBe(`${'v'.repeat(249)}…`);
    expect(mlflow.calls().filter((call) => call.endsWith('/log-batch'))).toHaveLength(3);
  });

  it('makes keys that the server takes of whatever classes are called, none of them twice', async () => {
    const names = ['class/ä?/recall', 'class/!?/recall', 'class/../recall', 'class//recall', '/class/x', `class/${'long'.repeat(100)}/a`, `class/${'long'.repeat(100)}/b`, 'class/日本/recall', 'class/a b.c-d/recall'];
    const run = { ...logged(0, 0), metrics: new Map(names.map((name, i) => [name, i])) };
    const mlflow = await MlflowServer.start();
    expect(await log(mlflow, { runs: [run] })).toEqual([]);
    expect(mlflow.runs[0]!.metrics.size).toBe(names.length);
    expect(batchesOf(run)[0]!.metrics.map(({ key }) => key)).toEqual(expect.arrayContaining(['class/__/recall', 'class/__/recall_2', 'class/a b.c-d/recall']));
  });
});

describe('proxiedFolder()', () => {
  it.each([
    ['mlflow-artifacts:/1/abc/artifacts', '1/abc/artifacts'],
    ['mlflow-artifacts://mlflow.example:5000/1/abc/artifacts', '1/abc/artifacts'],
    ['mlflow-artifacts://other.example/1/abc/artifacts', undefined],
    ['s3://bucket/1/abc/artifacts', undefined],
    ['/mlruns/1/abc/artifacts', undefined],
    ['', undefined],
  ])('of %s is %s', (uri, folder) => {
    expect(proxiedFolder(uri, 'mlflow.example:5000')).toBe(folder);
  });

  it('is missing where artifacts go past the server: the report is not sent, and that is said', async () => {
    const mlflow = await MlflowServer.start({ artifactRoot: 's3://bucket/mlruns' });
    expect(await log(mlflow)).toEqual(['first (brute), the report: artifacts go to s3, and not through the server.']);
    expect(mlflow.runs).toMatchObject([{ status: 'FINISHED', name: `${FIRST.model} (brute)` }]);
    expect(mlflow.artifacts.size).toBe(0);
  });
});
