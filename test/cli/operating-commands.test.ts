import type { AddressInfo } from 'node:net';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { addOperatingCommands } from '../../cli/operating-commands.js';
import type { App } from '../../common/http.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import type { ImageMessage } from '../../common/wire.js';
import { parseConfig } from '../../common/config.js';
import { parseEnvironment } from '../../common/environment.js';
import { createGateway } from '../../gateway/app.js';
import { closeModels, connectModels } from '../../gateway/served-models.js';
import { createWrapperClient } from '../../gateway/wrapper-client.js';
import { EmbeddedQueue } from '../../ingest/queue/embedded-queue.js';
import { createWrapperApp } from '../../ingest/wrapper-app.js';
import { LIMITS, MemoryBucket, sha256 } from '../ingest/support.js';
import { MemoryStore } from '../support/memory-store.js';
import { runCli } from '../support/run-cli.js';
import { tempFolder } from '../support/temp-folder.js';

const MODELS = ['alpha', 'beta'];
const REASON = { code: 'EIS_INTERNAL', message: 'Something went wrong on our side.' };
const source = `eis://${sha256('poison')}#poison.png`;

let queue: EmbeddedQueue;
let store: MemoryStore;
let gatewayUrl: string;
const closing: (() => Promise<unknown>)[] = [];

async function listen(app: App): Promise<string> {
  await app.listen({ port: 0, host: '127.0.0.1' });
  closing.push(() => app.close());
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
}

/** A wrapper over a queue, and a gateway in front of it that serves no model. */
beforeEach(async () => {
  queue = new EmbeddedQueue({ folder: tempFolder(), models: MODELS, deliveryMax: 1, messagesMax: 100, log: SILENT_LOG });
  store = new MemoryStore();
  const wrapper = await createWrapperApp({ queue, store, bucket: new MemoryBucket(), ingestModels: MODELS, models: MODELS, limits: LIMITS, metrics: new Metrics('wrapper'), log: SILENT_LOG });
  const client = createWrapperClient({ url: await listen(wrapper), connections: 4 });
  const config = parseConfig(JSON.stringify({ models: [{ name: 'alpha', model_url: 'alpha' }], services: [{ name: 'indexing', models: [{ name: 'alpha' }] }] }), '/config.json');
  const environment = parseEnvironment({ FUNCTION_URL_ALPHA: 'http://127.0.0.1:9', INDEX_URLS_ALPHA: 'http://127.0.0.1:9' });
  const models = connectModels(config, environment);
  closing.push(() => closeModels(models));
  gatewayUrl = await listen(await createGateway({ models, wrapper: client, limits: LIMITS, log: SILENT_LOG, metrics: new Metrics('gateway'), version: '0' }));
  await fail({ submission: 's1', source, acceptedAt: Date.now() - 120_000 }, 'alpha');
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await queue.close();
});

/** A message that failed once too often, in the queue and in the ledger; it waits in the other model's queue. */
async function fail(message: ImageMessage, model: string): Promise<void> {
  await queue.publish([message]);
  await store.ledger.accept(MODELS.map((each) => ({ submission: message.submission, source: message.source, model: each })));
  await store.ledger.settle([{ ...message, model, state: 'dead', code: 'EIS_DELIVERY_LIMIT', message: 'Given up after 1 deliveries: no luck.' }]);
  const consumer = await new Promise<{ close(): Promise<void> }>((resolve, reject) => {
    const consuming = queue.consume(model, { prefetch: 1, onDelivery: (delivery) => void delivery.reject(REASON).then(() => consuming.then(resolve), reject) });
  });
  await consumer.close();
}

/** The command, run in this process. */
async function eis(...args: string[]): Promise<{ readonly stdout: string; readonly error: string }> {
  const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const program = new Command('eis').exitOverride().configureOutput({ writeErr: () => undefined });
  addOperatingCommands(program, gatewayUrl);
  const error = await program.parseAsync(args, { from: 'user' }).then(() => '', (thrown: Error) => thrown.message);
  const stdout = written.mock.calls.map(([text]) => String(text)).join('');
  written.mockRestore();
  return { stdout, error };
}

async function json<T>(...args: string[]): Promise<T> {
  const { stdout, error } = await eis(...args, '--json');
  expect(error).toBe('');
  return JSON.parse(stdout) as T;
}

describe('eis status', () => {
  it('says what waits, in words and as JSON', async () => {
    const { stdout } = await eis('status');
    expect(stdout).toMatch(/alpha\s+0\s+0\s+—\s+1\s+0\s+0 of 1/);
    expect(stdout).toMatch(/beta\s+1\s+0\s+2 min\s+0\s+—\s+not served/);
    expect(stdout).toContain('eis dead list');
    expect(await json('status')).toMatchObject({ queues: [{ model: 'alpha', ready: 0, dead: 1 }, { model: 'beta', ready: 1, dead: 0 }], models: [{ name: 'alpha', vectors: 0 }] });
  });

  it('says what became of a submission, and of one that nobody knows', async () => {
    expect((await eis('status', '--submission', 's1')).stdout).toContain('Submission s1: 0 stored, 0 known already, 0 rejected, 1 dead, 1 not done.');
    expect((await eis('status', '--submission', 'other')).stdout).toContain('nothing of it is known here');
  });

  it('lists what was refused, and why', async () => {
    const { stdout } = await eis('status', '--rejected');
    expect(stdout).toContain('poison.png (alpha) EIS_DELIVERY_LIMIT\n  Given up after 1 deliveries: no luck.');
    const { rejected } = await json<{ rejected: { entries: unknown[]; more: boolean } }>('status', '--rejected', '--submission', 's1');
    expect(rejected).toMatchObject({ more: false, entries: [{ source, model: 'alpha', state: 'dead' }] });
    expect((await json<{ rejected: unknown }>('status', '--rejected', '--submission', 'other')).rejected).toEqual({ entries: [], more: false });
  });

  it('says where no gateway is, and what an option must be', async () => {
    expect((await eis('status', '--gateway', 'http://127.0.0.1:9')).error).toContain('No gateway answers at http://127.0.0.1:9');
    expect((await runCli(['status', '--limit', '0'])).stderr).toContain('a whole number from 1');
  });
});

describe('eis dead', () => {
  it('lists the letters of every model with their reasons', async () => {
    const { stdout } = await eis('dead', 'list');
    expect(stdout).toContain('alpha: 1 dead letter.\n  poison.png  (EIS_INTERNAL,');
    expect(stdout).toContain('beta: no dead letters.');
  });

  it('puts them back and reopens their outcome', async () => {
    expect(await json('dead', 'replay', '--model', 'alpha')).toEqual({ models: [{ model: 'alpha', replayed: 1 }] });
    expect(await queue.depth('alpha')).toMatchObject({ ready: 1, dead: 0 });
    expect(await store.ledger.counts('s1')).toMatchObject({ accepted: 2, dead: 0 });
    expect((await eis('dead', 'replay')).stdout).toBe('alpha: 0 back in the queue.\nbeta: 0 back in the queue.\n');
  });

  it('drops only what is named', async () => {
    expect(await runCli(['dead', 'drop', '--gateway', gatewayUrl])).toMatchObject({ code: 1, stderr: expect.stringContaining('--all') as string });
    expect((await queue.depth('alpha')).dead).toBe(1);
    expect((await eis('dead', 'drop', '--model', 'nobody')).error).toContain('Choose one of: alpha, beta');
    expect(await json('dead', 'drop', '--all')).toEqual({ models: [{ model: 'alpha', dropped: 1 }, { model: 'beta', dropped: 0 }] });
    expect((await queue.depth('alpha')).dead).toBe(0);
  });
});
