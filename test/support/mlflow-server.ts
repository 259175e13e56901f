/**
 * An MLflow tracking server as far as runs are logged to it: takes and answers the messages of mlflow/protos/service.proto and
 * mlflow_artifacts.proto, refuses what the real one's validation refuses (mlflow/utils/validation.py), keeps what it was sent,
 * and fails as it is told.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** What becomes of a request instead of its answer. `lost`: it is done, and the connection breaks before the answer. */
export type Fault = { readonly status: number; readonly retryAfterS?: number } | 'reset' | 'silent' | 'lost';

export interface Recorded {
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

export interface StoredRun {
  readonly runId: string;
  readonly name: string;
  readonly experimentId: string;
  status: string;
  endTime: number | undefined;
  readonly tags: Map<string, string>;
  readonly params: Map<string, string>;
  readonly metrics: Map<string, number>;
}

interface Options {
  /** Of new experiments. */
  readonly artifactRoot?: string;
  readonly authorization?: string;
}

class Refusal extends Error {
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }
}

const KEY = /^[/\w.\- ]*$/;

export class MlflowServer {
  readonly recorded: Recorded[] = [];
  readonly experiments = new Map<string, { readonly id: string; stage: 'active' | 'deleted' }>();
  readonly runs: StoredRun[] = [];
  readonly artifacts = new Map<string, { readonly type: string | undefined; readonly content: Buffer }>();
  /** Told of each request before it is answered. */
  onRequest: (request: Recorded) => void = () => undefined;
  readonly #faults: { readonly path: RegExp; readonly fault: Fault; left: number }[] = [];
  #url = '';

  constructor(private readonly options: Options = {}) {}

  static async start(options: Options = {}): Promise<MlflowServer> {
    const mlflow = new MlflowServer(options);
    const server = createServer((request, response) => void mlflow.#answer(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    mlflow.#url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return mlflow;
  }

  get url(): string {
    return this.#url;
  }

  /** The next requests to such a path fail so. */
  fail(path: RegExp, fault: Fault, times = 1): void {
    this.#faults.push({ path, fault, left: times });
  }

  calls(): string[] {
    return this.recorded.map(({ method, path }) => `${method} ${path}`);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const bytes = Buffer.concat(chunks);
    const url = new URL(request.url ?? '/', this.#url);
    const isJson = request.headers['content-type'] === 'application/json';
    const recorded: Recorded = { method: request.method ?? '', path: url.pathname, authorization: request.headers.authorization, body: isJson ? JSON.parse(bytes.toString()) : undefined };
    this.recorded.push(recorded);
    this.onRequest(recorded);
    const planned = this.#faults.find(({ path, left }) => left > 0 && path.test(url.pathname));
    if (planned) planned.left--;
    const fault = planned?.fault;
    if (fault === 'reset') return void request.socket.destroy();
    if (fault === 'silent') return;
    if (typeof fault === 'object') {
      if (fault.retryAfterS !== undefined) response.setHeader('retry-after', String(fault.retryAfterS));
      return void response.writeHead(fault.status, { 'content-type': 'text/html' }).end('<h1>Bad day</h1>');
    }
    const [status, answer] = this.#respond(recorded, { query: url.searchParams, bytes, type: request.headers['content-type'] });
    if (fault === 'lost') return void request.socket.destroy();
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  }

  #respond(request: Recorded, sent: { readonly query: URLSearchParams; readonly bytes: Buffer; readonly type: string | undefined }): [number, object] {
    try {
      if (this.options.authorization !== undefined && request.authorization !== this.options.authorization) throw new Refusal(401, 'UNAUTHENTICATED', 'You are not authenticated.');
      return [200, this.#perform(request, sent)];
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return [error.status, { error_code: error.code, message: error.message }];
    }
  }

  #perform({ method, path, body }: Recorded, { query, bytes, type }: { readonly query: URLSearchParams; readonly bytes: Buffer; readonly type: string | undefined }): object {
    const message = (body ?? {}) as Record<string, unknown>;
    const [, artifact] = /^\/api\/2\.0\/mlflow-artifacts\/artifacts\/(.+)$/.exec(path) ?? [];
    if (method === 'PUT' && artifact !== undefined) {
      this.artifacts.set(decodeURIComponent(artifact), { type, content: bytes });
      return {};
    }
    switch (`${method} ${path.replace('/api/2.0/mlflow', '')}`) {
      case 'GET /experiments/get-by-name':
        return this.#getExperiment(query.get('experiment_name') ?? '');
      case 'POST /experiments/create':
        return this.#createExperiment(text(message, 'name'));
      case 'POST /runs/create':
        return this.#createRun(message);
      case 'POST /runs/log-batch':
        return this.#logBatch(message, bytes.length);
      case 'POST /runs/update':
        return this.#updateRun(message);
      default:
        throw new Refusal(404, 'ENDPOINT_NOT_FOUND', `No ${method} ${path}.`);
    }
  }

  #getExperiment(name: string): object {
    const found = this.experiments.get(name);
    if (!found) throw new Refusal(404, 'RESOURCE_DOES_NOT_EXIST', `Could not find experiment with name '${name}'`);
    return { experiment: { experiment_id: found.id, name, artifact_location: `${this.#artifactRoot()}/${found.id}`, lifecycle_stage: found.stage, creation_time: 1, last_update_time: 1, tags: [] } };
  }

  #createExperiment(name: string): object {
    if (this.experiments.has(name)) throw new Refusal(400, 'RESOURCE_ALREADY_EXISTS', `Experiment '${name}' already exists.`);
    const id = String(this.experiments.size + 1);
    this.experiments.set(name, { id, stage: 'active' });
    return { experiment_id: id };
  }

  #createRun(message: Record<string, unknown>): object {
    allow(message, ['experiment_id', 'run_name', 'start_time', 'tags']);
    const experimentId = text(message, 'experiment_id');
    const experiment = [...this.experiments.values()].find(({ id }) => id === experimentId);
    if (experiment?.stage !== 'active') throw new Refusal(400, 'INVALID_PARAMETER_VALUE', `The experiment ${experimentId} must be in the 'active' state.`);
    if (!Number.isInteger(message['start_time'])) throw invalid('start_time');
    const tags = entries<string>(message, 'tags', 100);
    const run: StoredRun = { runId: `${'0'.repeat(31)}${this.runs.length + 1}`, name: text(message, 'run_name'), experimentId, status: 'RUNNING', endTime: undefined, tags: new Map(tags), params: new Map(), metrics: new Map() };
    this.runs.push(run);
    return { run: { info: { ...this.#info(run), start_time: message['start_time'] }, data: { tags: message['tags'] }, inputs: {} } };
  }

  #logBatch(message: Record<string, unknown>, length: number): object {
    allow(message, ['run_id', 'metrics', 'params', 'tags']);
    const run = this.#find(message);
    const params = entries<string>(message, 'params', 100);
    const metrics = entries<number>(message, 'metrics', 1000);
    const tags = entries<string>(message, 'tags', 100);
    if (params.length + metrics.length + tags.length > 1000 || length > 1_000_000) throw invalid('size of the batch');
    for (const metric of message['metrics'] as Record<string, unknown>[]) if (typeof metric['value'] !== 'number' || !Number.isInteger(metric['timestamp']) || !Number.isInteger(metric['step'])) throw invalid('metric');
    for (const [key, value] of params) {
      if (typeof value !== 'string' || value.length > 250) throw invalid(`length of the value of ${key}`);
      if (run.params.has(key) && run.params.get(key) !== value) throw new Refusal(400, 'INVALID_PARAMETER_VALUE', `Changing param values is not allowed: ${key}`);
      run.params.set(key, value);
    }
    for (const [key, value] of metrics) run.metrics.set(key, value);
    return {};
  }

  #updateRun(message: Record<string, unknown>): object {
    allow(message, ['run_id', 'status', 'end_time']);
    const run = this.#find(message);
    run.status = text(message, 'status');
    if (!['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED'].includes(run.status)) throw invalid('status');
    run.endTime = message['end_time'] as number;
    return { run_info: { ...this.#info(run), end_time: run.endTime } };
  }

  #find(message: Record<string, unknown>): StoredRun {
    const run = this.runs.find(({ runId }) => runId === message['run_id']);
    if (!run) throw new Refusal(404, 'RESOURCE_DOES_NOT_EXIST', `Run with id=${String(message['run_id'])} not found`);
    return run;
  }

  #info({ runId, name, experimentId, status }: StoredRun): object {
    return { run_id: runId, run_uuid: runId, run_name: name, experiment_id: experimentId, status, artifact_uri: `${this.#artifactRoot()}/${experimentId}/${runId}/artifacts`, lifecycle_stage: 'active' };
  }

  #artifactRoot(): string {
    return this.options.artifactRoot ?? 'mlflow-artifacts:';
  }
}

function text(message: Record<string, unknown>, name: string): string {
  const value = message[name];
  if (typeof value !== 'string' || value === '') throw new Refusal(400, 'INVALID_PARAMETER_VALUE', `Missing value for required parameter '${name}'.`);
  return value;
}

/** The real server ignores unknown fields; here they are mistakes. */
function allow(message: Record<string, unknown>, names: readonly string[]): void {
  for (const name of Object.keys(message)) if (!names.includes(name)) throw invalid(name);
}

function entries<T>(message: Record<string, unknown>, name: string, max: number): [string, T][] {
  const list = message[name] as { readonly key: string; readonly value: T }[];
  if (list.length > max) throw new Refusal(400, 'INVALID_PARAMETER_VALUE', `A batch logging request can contain at most ${max} ${name}. Got ${list.length} ${name}.`);
  for (const { key } of list) {
    if (!KEY.test(key) || key.length > 250 || key === '' || key.split('/').some((part) => part === '' || part === '.' || part === '..')) throw invalid(`key ${key}`);
  }
  if (new Set(list.map(({ key }) => key)).size < list.length) throw invalid(`${name}: a key twice`);
  return list.map(({ key, value }) => [key, value]);
}

function invalid(what: string): Refusal {
  return new Refusal(400, 'INVALID_PARAMETER_VALUE', `Invalid ${what}.`);
}
