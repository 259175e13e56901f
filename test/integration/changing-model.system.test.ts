/**
 * A model is changed on a cluster while it is searched, rehearsed with processes in the place of pods: what is started, told
 * and replaced is what the manifests of each configuration say, in the order of an apply; the functions are stubs, and the
 * command runs with the variables of the wrapper's pod. Every state is searched without a pause, and gateways are replaced in
 * the middle of it. No search may fail, be partial, or mix versions.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { LmdbStore } from '../../common/store/lmdb-store.js';
import { dot } from '../../common/vector.js';
import type { SearchAnswer } from '../../common/wire.js';
import { ProcessCluster } from '../support/process-cluster.js';
import { runCli, type CliResult } from '../support/run-cli.js';
import { startStubFunction, STUB_VERSION, stubVector } from '../support/stub-function.js';
import { tempFolder } from '../support/temp-folder.js';

const [OLD, NEW] = [STUB_VERSION, 'e'.repeat(64)];
const DIM = 16;
const IMAGES = 400;
const QUERIES = 40;
const CLIENTS = 3;
const TOP = 5;
/** Searches that count as load. */
const SOME = 60;

const configOf = (model: object): string => JSON.stringify({ models: [{ name: 'm', ...model }], services: [{ name: 'indexing', models: [{ name: 'm', num_indexes: 2 }] }, { name: 'serving', models: [{ name: 'm', pods: 2 }] }] });
const [old, fresh] = ['https://example.com/old.json', './models/new.json'].map((url) => ({ model_url: url })) as [object, object];
const CONFIGS = { before: configOf(old), both: configOf({ ...old, next: fresh }), taken: configOf({ ...fresh, next: fresh }), after: configOf(fresh) };

const contents = Array.from({ length: IMAGES }, (_, i) => `https://example.com/${i}.jpg`);
const idOf = (content: string): string => createHash('sha256').update(content).digest('hex');

/** The ids that each query finds, by the version that answers. */
function expectedOf(version: string): string[][] {
  const vectors = contents.map((content) => ({ id: idOf(content), vector: stubVector(content, { dim: DIM, version }) }));
  return Array.from({ length: QUERIES }, (_, query) => {
    const asked = stubVector(`query ${query}`, { dim: DIM, version });
    return vectors.map(({ id, vector }) => ({ id, score: dot(asked, vector) })).sort((a, b) => b.score - a.score).slice(0, TOP).map(({ id }) => id);
  });
}

/** Searches without a pause; what failed, was partial, or is not what the version that it names would answer, is kept. */
class Load {
  readonly wrong: string[] = [];
  readonly #expected = new Map([OLD, NEW].map((version) => [version, expectedOf(version)]));
  readonly #clients: Promise<void>[];
  #versions: string[] = [];
  #ended = false;

  constructor(readonly url: string) {
    this.#clients = Array.from({ length: CLIENTS }, async (_, client) => {
      for (let query = client; !this.#ended; query++) await this.#ask(query % QUERIES);
    });
  }

  async #ask(query: number): Promise<void> {
    const response = await fetch(`${this.url}/search?top=${TOP}`, { method: 'POST', headers: { 'content-type': 'image/jpeg' }, body: `query ${query}` });
    const text = await response.text();
    const { partial, results, model_version: version } = JSON.parse(text) as SearchAnswer;
    if (response.status !== 200 || partial) this.wrong.push(`${response.status} ${text}`);
    else if (JSON.stringify(results.map(({ id }) => id)) !== JSON.stringify(this.#expected.get(version)?.[query])) this.wrong.push(`query ${query}: other results of version ${version}`);
    else this.#versions.push(version);
  }

  /** Until there were some more searches, and the last of them were all answered by this version. */
  async untilSearched(version: string): Promise<void> {
    this.#versions = [];
    await vi.waitFor(() => expect([this.#versions.length >= SOME, new Set(this.#versions.slice(-SOME))]).toEqual([true, new Set([version])]), { timeout: 30_000 });
  }

  async end(): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#clients);
  }
}

it('a model is changed under load, from "next" to the end of it: each state answers every search, by one version', async () => {
  const folder = tempFolder();
  const store = new LmdbStore({ folder: join(folder, 'store'), urlsPerImageMax: 10 });
  onTestFinished(() => store.close());
  await store.setLiveVersion('m', { version: OLD, dim: DIM });
  await store.collection('m', { version: OLD, dim: DIM }).write(contents.map((url) => ({ id: idOf(url), url, vector: stubVector(url, { dim: DIM, version: OLD }), origin: 'seed', phash: '0'.repeat(16), width: 8, height: 8, format: 'jpeg' })));

  let deployed = (): string => OLD;
  const functions = await Promise.all([() => deployed(), () => NEW].map((version) => startStubFunction({ model: 'm', dim: DIM, delayMs: 1, version })));
  onTestFinished(() => functions.forEach(({ server }) => void (server.closeAllConnections(), server.close())));
  const [main, next] = functions.map(({ url }) => url) as [string, string];
  // Nothing is remembered, so that every search asks a function.
  const cluster = new ProcessCluster({ folder, functionUrls: { FUNCTION_URL_M: main, FUNCTION_URL_M_NEXT: next }, env: { EIS_EMBEDDING_CACHE_BYTES_MAX: '0', EIS_REQUESTS_PER_MINUTE_MAX: '1000000' } });
  onTestFinished(() => cluster.close());
  const reembed = async (...args: string[]): Promise<CliResult> => runCli(['reembed', 'm', ...args], cluster.environmentOf('wrapper'));

  await cluster.apply(CONFIGS.before);
  const load = new Load(cluster.url);
  onTestFinished(() => load.end());
  await load.untilSearched(OLD);

  expect(await cluster.apply(CONFIGS.both)).toEqual(['made index-m-next-2-0', 'made index-m-next-2-1', 'replaced wrapper', 'made worker-m-next', 'replaced gateway-m']);
  await load.untilSearched(OLD);
  expect(await reembed('--min-overlap', '0')).toMatchObject({ code: 0, stdout: expect.stringContaining('is searched now') as string });
  await load.untilSearched(NEW);
  await cluster.replacePods('gateway-m');
  await load.untilSearched(NEW);

  expect(await reembed('--finish')).toMatchObject({ code: 1, stderr: expect.stringContaining('"next":{"model_url":"./models/new.json"}') as string });
  expect(await cluster.apply(CONFIGS.taken)).toEqual(['replaced wrapper']);
  const finishing = reembed('--finish');
  await vi.waitFor(async () => expect(await versionsOf(cluster, ['index-m-2-0', 'index-m-2-1'])).toEqual([NEW, NEW]), { timeout: 20_000 });
  await cluster.replacePods('gateway-m'); // which ask main pods of the new version, whose function is still the old one
  await load.untilSearched(NEW);
  let calls = 0;
  deployed = () => (calls++ % 2 === 0 ? NEW : OLD); // as while instances are replaced
  await load.untilSearched(NEW);
  deployed = () => NEW;
  expect(await finishing).toMatchObject({ code: 0, stdout: expect.stringContaining('Take "next" of it out of config.json') as string });
  expect(await store.reembeddings.list()).toEqual([]);

  expect(await cluster.apply(CONFIGS.after)).toEqual(['replaced wrapper', 'replaced gateway-m', 'removed index-m-next-2-0', 'removed index-m-next-2-1', 'removed worker-m-next']);
  await load.untilSearched(NEW);
  await load.end();
  expect(load.wrong).toEqual([]);
}, 300_000);

async function versionsOf(cluster: ProcessCluster, names: readonly string[]): Promise<string[]> {
  return Promise.all(names.map(async (name) => ((await (await fetch(`${cluster.podsOf(name)[0]!.url}/stats`)).json()) as { model_version: string }).model_version));
}
