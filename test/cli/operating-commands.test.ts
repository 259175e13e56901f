import type { AddressInfo } from 'node:net';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createGatewayOption } from '../../cli/gateway-option.js';
import { addOperatingCommands } from '../../cli/operating-commands.js';
import { EisError } from '../../common/errors.js';
import type { App } from '../../common/http.js';
import { SILENT_LOG } from '../../common/log.js';
import { Metrics } from '../../common/metrics.js';
import type { ImageMessage } from '../../common/wire.js';
import { parseConfig } from '../../common/config.js';
import { parseEnvironment } from '../../common/environment.js';
import { accessOf } from '../../gateway/access.js';
import { createGateway } from '../../gateway/app.js';
import { closeModels, connectModels } from '../../gateway/served-models.js';
import { createWrapperClient } from '../../gateway/wrapper-client.js';
import { EmbeddedQueue } from '../../ingest/queue/embedded-queue.js';
import { createWrapperApp } from '../../ingest/wrapper-app.js';
import { imageWrite } from '../common/store/store-contract.js';
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
  const metrics = new Metrics('gateway');
  const models = await connectModels(config, environment, { metrics, log: SILENT_LOG });
  closing.push(() => closeModels(models));
  gatewayUrl = await listen(await createGateway({ models, wrapper: client, access: accessOf(environment), limits: LIMITS, log: SILENT_LOG, metrics, version: '0' }));
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
  addOperatingCommands(program, createGatewayOption({ port: Number(new URL(gatewayUrl).port), basePort: 0, apiKey: undefined }));
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

  it('keeps the outcome of what is dropped after a replay that was cut off', async () => {
    await store.ledger.reopen([{ submission: 's1', source, model: 'alpha' }]); // and there it was cut off
    expect(await store.ledger.counts('s1')).toMatchObject({ accepted: 2, dead: 0 });
    expect(await json('dead', 'drop', '--model', 'alpha')).toEqual({ models: [{ model: 'alpha', dropped: 1 }] });
    expect(await store.ledger.counts('s1')).toMatchObject({ accepted: 1, dead: 1 });
  });

  it('reopens no outcome but a dead one', async () => {
    await store.ledger.reopen([{ submission: 's1', source, model: 'alpha' }]);
    await store.ledger.settle([{ submission: 's1', source, model: 'alpha', state: 'stored', id: sha256('poison') }]); // its other copy
    expect(await json('dead', 'replay', '--model', 'alpha')).toEqual({ models: [{ model: 'alpha', replayed: 1 }] });
    expect(await store.ledger.counts('s1')).toMatchObject({ stored: 1 });
  });

  it('writes the outcomes again when letters cannot go back', async () => {
    const replay = vi.spyOn(queue, 'replay').mockImplementation(async (_model, { prepare } = {}) => {
      await prepare?.([{ submission: 's1', source, acceptedAt: 0 }]);
      throw new EisError('EIS_QUEUE_UNAVAILABLE', { detail: 'full.' });
    });
    expect((await eis('dead', 'replay', '--model', 'alpha')).error).toContain('full.');
    expect(await store.ledger.counts('s1')).toMatchObject({ accepted: 1, dead: 1 });
    replay.mockRestore();
  });

  it('drops only what is named', async () => {
    expect(await runCli(['dead', 'drop', '--gateway', gatewayUrl])).toMatchObject({ code: 1, stderr: expect.stringContaining('--all') as string });
    expect((await queue.depth('alpha')).dead).toBe(1);
    expect((await eis('dead', 'drop', '--model', 'nobody')).error).toContain('Choose one of: alpha, beta');
    expect(await json('dead', 'drop', '--all')).toEqual({ models: [{ model: 'alpha', dropped: 1 }, { model: 'beta', dropped: 0 }] });
    expect((await queue.depth('alpha')).dead).toBe(0);
  });
});

const LIVE = { version: 'a'.repeat(64), dim: 4 };

describe('eis backfill', () => {
  beforeEach(async () => {
    await store.setLiveVersion('alpha', LIVE);
    await store.collection('alpha', LIVE).write(['one', 'two', 'three'].map((text) => imageWrite(text)));
  });

  it('puts every stored image that the model lacks into its queue alone, and goes on when it is given again', async () => {
    const before = { alpha: await queue.depth('alpha'), beta: await queue.depth('beta') };
    const first = await json<{ submission: string }>('backfill', 'beta', '--no-wait');
    expect(first).toEqual({ model: 'beta', submission: 'backfill-beta-new-1', published: 3, known: 0 });
    expect((await queue.depth('beta')).ready).toBe(before.beta.ready + 3);
    expect((await queue.depth('alpha')).ready).toBe(before.alpha.ready);
    expect(await json('backfill', 'beta', '--no-wait')).toEqual({ ...first, published: 0, known: 3 });
  });

  it('waits until they are embedded, and says which were not', async () => {
    const running = eis('backfill', 'beta');
    const submission = 'backfill-beta-new-1';
    await vi.waitFor(async () => expect((await store.ledger.counts(submission)).accepted).toBe(3));
    const sources = (await store.ledger.list({ submission, limit: 10 })).entries;
    await store.ledger.settle(sources.map((entry, i) => ({ ...entry, ...(i === 0 ? { state: 'rejected', code: 'EIS_URL_REJECTED', message: 'gone' } : { state: 'stored', id: sha256(entry.source) }) })));
    expect((await running).stdout).toBe(`beta: 2 images embedded, 1 not: "eis status --rejected --submission ${submission}" says why. (submission ${submission})\n`);
    process.exitCode = undefined;
  });

  it('has nothing to do where nothing is missing, and knows which models there are', async () => {
    await store.setLiveVersion('alpha', LIVE);
    expect((await eis('backfill', 'alpha')).stdout).toBe('alpha has every stored image.\n');
    expect((await eis('backfill', 'gamma')).error).toContain('Choose one of: alpha, beta');
  });
});

describe('eis delete', () => {
  afterEach(() => {
    process.exitCode = undefined;
  });

  it('removes images from every model, and says which it does not know', async () => {
    await store.setLiveVersion('alpha', LIVE);
    const [one, two] = [imageWrite('one'), imageWrite('two')];
    await store.collection('alpha', LIVE).write([one, two]);
    const { stdout } = await eis('delete', one.id.toUpperCase(), 'nonsense', 'f'.repeat(64));
    expect(stdout).toContain('removed from alpha.\nnonsense: An image id is 64');
    expect(stdout).toContain(`ffffffffffff…: No image ${'f'.repeat(64)} is known here.`);
    expect(process.exitCode).toBe(1);
    expect(await store.collection('alpha', LIVE).count()).toBe(1);
    expect(await json('delete', two.id)).toEqual({ images: [{ id: two.id, models: ['alpha'] }] });
  });
});
