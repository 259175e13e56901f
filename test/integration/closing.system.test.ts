/** Every role as a process that is told to end, as a cluster does it, while a client is in the middle of a request. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compiledUrl } from '../../common/package-root.js';
import { encodeVector } from '../../common/vector.js';
import { startFunction, startPod, type Stub } from '../gateway/stubs.js';
import { RoleProcess } from '../support/role-process.js';

const FRAMEWORK = join(dirname(createRequire(import.meta.url).resolve('@google-cloud/functions-framework')), 'main.js');
const DRAIN_MS = 400;

let folder: string;
let fn: Stub;
let pod: Stub;
let env: Record<string, string>;
const running: RoleProcess[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eis-closing-'));
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ models: [{ name: 'builtin' }], services: [{ name: 'indexing', models: [{ name: 'builtin', num_indexes: 1 }] }] }));
  [fn, pod] = await Promise.all([startFunction(), startPod({ shard: '0/1', images: [] })]);
  env = {
    EIS_CONFIG: join(folder, 'config.json'), MODEL: 'builtin', SHARD: '', LOG_LEVEL: 'info', EIS_DRAIN_MS: String(DRAIN_MS),
    FUNCTION_URL_BUILTIN: fn.url, INDEX_URLS_BUILTIN: pod.url, WRAPPER_URL: 'http://127.0.0.1:9', MONGODB_URI: '', AMQP_URL: '', BUCKET: '',
  };
});
afterAll(async () => {
  await Promise.all([...running.map((role) => role.kill()), fn.close(), pod.close()]);
  rmSync(folder, { recursive: true, force: true });
});

async function start(name: string, entry: string, options: { readonly args?: readonly string[]; readonly readyPath?: string } = {}): Promise<RoleProcess> {
  const role = await RoleProcess.start({ entry, env: { ...env, EIS_DATA_DIR: join(folder, name) }, logFile: join(folder, `${name}.log`), ...options });
  running.push(role);
  return role;
}

/** A request of which the first half is sent; `finish` sends the rest. */
function beginRequest(url: string, type: string, body: Buffer): { finish(): Promise<IncomingMessage> } {
  const half = body.length >> 1;
  const request = httpRequest(url, { method: 'POST', agent: new Agent({ keepAlive: true }), headers: { 'content-type': type, 'content-length': body.length } });
  request.on('error', () => undefined).write(body.subarray(0, half));
  return {
    async finish() {
      const answered = once(request, 'response') as Promise<[IncomingMessage]>;
      request.end(body.subarray(half));
      const [response] = await answered;
      response.resume();
      return response;
    },
  };
}

async function get(url: string): Promise<{ readonly status: number; readonly connection: string | null } | 'refused'> {
  const response = await fetch(url).catch(() => undefined);
  await response?.arrayBuffer();
  return response ? { status: response.status, connection: response.headers.get('connection') } : 'refused';
}

const PNG = (): Buffer => Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

interface Role {
  readonly name: string;
  readonly start: () => Promise<RoleProcess>;
  readonly readyPath: string;
  readonly path: string;
  readonly type: string;
  readonly body: Buffer;
  readonly status: number;
}

const ROLES: readonly Role[] = [
  { name: 'gateway', start: () => start('gateway', 'gateway/main.ts'), readyPath: '/readyz', path: '/search', type: 'image/jpeg', body: Buffer.alloc(64, 7), status: 200 },
  { name: 'wrapper', start: () => start('wrapper', 'ingest/wrapper-main.ts'), readyPath: '/readyz', path: '/images', type: 'application/json', body: Buffer.from('{"urls":["https://example.com/a.jpg"]}'), status: 202 },
  { name: 'index pod', start: () => start('indexer', 'indexer/main.ts'), readyPath: '/readyz', path: '/search?top=1', type: 'application/octet-stream', body: encodeVector(Float32Array.of(1, 0)), status: 200 },
  { name: 'function', start: () => start('function', FRAMEWORK, { args: ['--target=embed', `--source=${fileURLToPath(compiledUrl('functions/index.ts'))}`], readyPath: '/ready' }), readyPath: '/ready', path: '/', type: 'image/png', body: PNG(), status: 200 },
];

describe.each(ROLES)('a $name that is told to end', ({ start: startRole, readyPath, path, type, body, status }) => {
  it('is unready and goes on answering, then takes no connection, finishes what it has in hand and ends with 0', async () => {
    const role = await startRole();
    const early = beginRequest(`${role.url}${path}`, type, body);
    const late = beginRequest(`${role.url}${path}`, type, body);
    await sleep(50);
    role.signal('SIGTERM');
    await expect.poll(() => get(`${role.url}${readyPath}`), { interval: 10 }).toEqual({ status: 503, connection: 'close' });
    const answered = await early.finish();
    expect([answered.statusCode, answered.headers.connection]).toEqual([status, 'close']);
    await expect.poll(() => get(`${role.url}${readyPath}`), { interval: 10 }).toBe('refused');
    expect((await late.finish()).statusCode).toBe(status);
    expect(await role.ended()).toBe(0);
  });
});

describe('a worker that is told to end', () => {
  it('ends with 0', async () => {
    const role = await start('worker', 'ingest/worker-main.ts');
    role.signal('SIGTERM');
    expect(await role.ended()).toBe(0);
  });
});

describe('a process that closes', () => {
  it('ends at once when it is told a second time', async () => {
    const role = await start('gateway-twice', 'gateway/main.ts');
    beginRequest(`${role.url}/search`, 'image/jpeg', Buffer.alloc(64, 7));
    await sleep(50);
    role.signal('SIGTERM');
    await expect.poll(() => role.log, { interval: 10 }).toContain('"closing"');
    role.signal('SIGTERM');
    expect(await role.ended()).toBe(1);
  });
});
