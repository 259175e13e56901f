/**
 * A re-embedding on what a cluster has: RabbitMQ, the wire protocol of MongoDB, and every role of both lanes as a process of its
 * own, while images come in and one is removed. There, back, there again, and for good.
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { parseEnvironment } from '../../common/environment.js';
import { compiledUrl, packagePath } from '../../common/package-root.js';
import { openStore } from '../../common/store/open-store.js';
import type { LiveVersion, RecallMeasurement } from '../../common/store/store.js';
import type { IngestAnswer, SearchAnswer } from '../../common/wire.js';
import { sha256 } from '../ingest/support.js';
import { WireServer } from '../support/mongo-wire/wire-server.js';
import { Broker, RABBITMQ_MISSING } from '../support/rabbitmq.js';
import { RoleProcess } from '../support/role-process.js';
import { runCli } from '../support/run-cli.js';
import { SeededRandom } from '../support/seeded-random.js';
import { tempFolder } from '../support/temp-folder.js';
import { drawSmallImage } from './small-images.js';

const MODEL = 'builtin';
const WEIGHTS = { name: MODEL, model_url: packagePath('models/builtin') };
/** The same weights behind other preprocessing: another version, whose vectors cannot be compared. */
const NEXT = { ...WEIGHTS, preprocess: '[0,1]' };
const PICTURES = 48;
const FRAMEWORK = join(dirname(createRequire(import.meta.url).resolve('@google-cloud/functions-framework')), 'main.js');
const LONG = { timeout: 60_000, interval: 250 };

async function startCluster() {
  const folder = tempFolder();
  const file = (name: string, content: unknown): string => {
    writeFileSync(join(folder, name), JSON.stringify(content));
    return join(folder, name);
  };
  const configFile = file('config.json', { models: [{ ...WEIGHTS, next: { model_url: NEXT.model_url, preprocess: NEXT.preprocess } }] });
  const [broker, mongo] = [await Broker.start(), await WireServer.start()];
  onTestFinished(async () => void (await Promise.all([broker.stop(), mongo.stop()])));
  const env: Record<string, string> = { EIS_CONFIG: configFile, EIS_DATA_DIR: join(folder, 'data'), MONGODB_URI: mongo.uri('eis'), AMQP_URL: broker.url, LOG_LEVEL: 'info' };
  const start = async (entry: string, name: string, own: Record<string, string> = {}): Promise<RoleProcess> => {
    const isFunction = entry === FRAMEWORK;
    const role = await RoleProcess.start({ entry, env: { ...env, MODEL, ...own }, logFile: join(folder, `${name}.log`), ...(isFunction && { args: ['--target=embed', `--source=${fileURLToPath(compiledUrl('functions/index.ts'))}`], readyPath: '/ready' }) });
    onTestFinished(() => role.stop());
    return role;
  };
  const fn = await start(FRAMEWORK, 'function');
  const nextFn = await start(FRAMEWORK, 'function-next', { EIS_CONFIG: file('next.json', { models: [NEXT] }) });
  const pods = await Promise.all([start('indexer/main.ts', 'index', { SHARD: '0/1' }), start('indexer/main.ts', 'index-next', { SHARD: '0/1', LANE: 'next' })]);
  Object.assign(env, { FUNCTION_URL_BUILTIN: fn.url, FUNCTION_URL_BUILTIN_NEXT: nextFn.url, INDEX_URLS_BUILTIN: pods[0].url, INDEX_URLS_BUILTIN_NEXT: pods[1].url });
  const wrapper = await start('ingest/wrapper-main.ts', 'wrapper');
  env['WRAPPER_URL'] = wrapper.url;
  const [, nextWorker, gateway] = await Promise.all([start('ingest/worker-main.ts', 'worker'), start('ingest/worker-main.ts', 'worker-next', { LANE: 'next' }), start('gateway/main.ts', 'gateway')]);
  const store = await openStore(parseEnvironment(env));
  onTestFinished(() => store.close());
  return { env, configFile, fn, nextWorker, gateway, store };
}

/** Adds a picture, and returns its id. */
async function add(url: string, bytes: Buffer): Promise<string> {
  const form = new FormData();
  form.append('image', new Blob([new Uint8Array(bytes)]), 'picture.png');
  const response = await fetch(`${url}/images`, { method: 'POST', body: form });
  expect(response.status, await response.clone().text()).toBe(202);
  await (response.json() as Promise<IngestAnswer>);
  return sha256(bytes);
}

describe.skipIf(RABBITMQ_MISSING !== undefined)(`a model that is embedded again on RabbitMQ and the wire protocol of MongoDB${RABBITMQ_MISSING ? ` (${RABBITMQ_MISSING})` : ''}`, () => {
  it('has every image in the end that was there or came meanwhile, and none that was removed', async () => {
    const { env, configFile, fn, nextWorker, gateway, store } = await startCluster();
    const random = new SeededRandom(1);
    const pictures: Buffer[] = [];
    for (let i = 0; i < PICTURES; i++) pictures.push(await drawSmallImage(random));
    const ids = new Set<string>();
    for (const bytes of pictures) ids.add(await add(gateway.url, bytes));
    const versionOf = async (): Promise<string | undefined> => (await store.liveVersion(MODEL))?.version;
    const count = async (live: LiveVersion): Promise<number> => store.collection(MODEL, live).count();
    await vi.waitFor(async () => expect(await count((await store.liveVersion(MODEL))!)).toBe(PICTURES), LONG);
    const former = (await store.liveVersion(MODEL))!;
    const searched = async (): Promise<string> => {
      const response = await fetch(`${gateway.url}/search?top=3`, { method: 'POST', body: new Uint8Array(pictures[7]!), headers: { 'content-type': 'image/png' } });
      const answer = (await response.json()) as SearchAnswer;
      expect([response.status, answer.partial], JSON.stringify(answer)).toEqual([200, false]);
      return answer.model_version;
    };
    await vi.waitFor(async () => expect(await searched()).toBe(former.version), LONG);

    let isOver = false;
    const inserting = (async () => {
      while (!isOver) {
        ids.add(await add(gateway.url, await drawSmallImage(random)));
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    })();
    onTestFinished(() => void (isOver = true));
    const reembed = async (...args: string[]): Promise<{ step: string; version: string; recall?: RecallMeasurement; missing?: number }> => {
      const { code, stdout, stderr } = await runCli(['reembed', MODEL, '--min-overlap', '0', '--max-recall-loss', '1', '--json', ...args], env);
      expect(code, stderr).toBe(0);
      return JSON.parse(stdout) as never;
    };
    const switched = await reembed();
    expect(switched).toMatchObject({ step: 'switched', missing: 0, recall: { passed_over: 0 } });
    expect(switched.recall!.copies).toBeGreaterThanOrEqual(PICTURES);
    expect(await versionOf()).toBe(switched.version);
    const next = (await store.liveVersion(MODEL))!;
    await vi.waitFor(async () => expect(await searched()).toBe(next.version), LONG);
    const status = await runCli(['status', '--gateway', gateway.url], env);
    expect(status.stdout, status.stderr).toMatch(/the new version is searched.*altered copies/s);

    const removed = [...ids][3]!;
    expect((await fetch(`${gateway.url}/images/${removed}`, { method: 'DELETE' })).status).toBe(200);
    ids.delete(removed);
    expect(await reembed('--rollback')).toMatchObject({ step: 'rolled_back' });
    await vi.waitFor(async () => expect(await searched()).toBe(former.version), LONG);
    expect(await reembed()).toMatchObject({ step: 'switched', recall: switched.recall });
    await vi.waitFor(async () => expect(await searched()).toBe(next.version), LONG);
    isOver = true;
    await inserting;
    await vi.waitFor(async () => expect([await count(former), await count(next)]).toEqual([ids.size, ids.size]), LONG);

    const { name, ...definition } = NEXT;
    writeFileSync(configFile, JSON.stringify({ models: [{ name, ...definition, next: definition }] }));
    const finishing = reembed('--finish');
    await vi.waitFor(async () => expect((await store.reembeddings.get(MODEL))?.step).toBe('finishing'), LONG);
    await fn.stop(); // as the function of the new config.json is deployed
    await fn.restart();
    await vi.waitFor(async () => expect((await store.reembeddings.get(MODEL))?.step).toBe('removing'), LONG);
    await nextWorker.stop(); // as its lane is taken away
    expect(await finishing).toMatchObject({ step: 'finished' });
    expect([await count(former), await count(next), await store.reembeddings.list()]).toEqual([0, ids.size, []]);
    await vi.waitFor(async () => expect(await searched()).toBe(next.version), LONG);
    await add(gateway.url, await drawSmallImage(random));
    await vi.waitFor(async () => expect(await count(next)).toBe(ids.size + 1), LONG);
  }, 480_000);
});
