/**
 * num_indexes 2 → 3 while it is searched, rehearsed with processes in the place of pods. What is started is what the manifests of
 * both configurations say; the order is that of an apply (k8s/phases.ts): the new set of shards beside the old, gateways
 * replaced one by one when all of it is ready, the old set last.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { limitVariable } from '../../common/limits.js';
import { LmdbStore } from '../../common/store/lmdb-store.js';
import type { SearchAnswer } from '../../common/wire.js';
import type { Manifest } from '../../k8s/manifests/objects.js';
import { manifestsOf } from '../k8s/support/deployments.js';
import { image } from '../indexer/index-pod.js';
import { Balancer } from '../support/balancer.js';
import { RoleProcess } from '../support/role-process.js';
import { startStubFunction, STUB_VERSION } from '../support/stub-function.js';
import { tempFolder } from '../support/temp-folder.js';

const MODEL = 'm';
const LIVE = { version: STUB_VERSION, dim: 16 };
const IMAGES = 3_000;
const QUERIES = 40;
const CLIENTS = 4;
const GATEWAYS = 2;
/** Shorter than in a cluster, whose endpoints take longer to reach everybody. */
const DRAIN_MS = 1_000;
/** Searches of each kind that count as load. */
const SOME = 100;

type Workload = Extract<Manifest, { kind: 'Deployment' | 'StatefulSet' }>;

const configOf = (shards: number): string => JSON.stringify({ models: [{ name: MODEL, model_url: 'https://example.com/model.json' }], services: [{ name: 'indexing', models: [{ name: MODEL, num_indexes: shards }] }, { name: 'serving', models: [{ name: MODEL, pods: GATEWAYS }] }] });

function workloads(text: string, component: string): Workload[] {
  return manifestsOf(text).filter((object): object is Workload => (object.kind === 'Deployment' || object.kind === 'StatefulSet') && object.metadata.labels['app.kubernetes.io/component'] === component);
}

function variable({ spec }: Workload, name: string): string {
  return spec!.template.spec!.containers[0]!.env!.find((each) => each.name === name)!.value!;
}

/** The pods of one configuration, as they are when all that they need is there. */
class Cluster {
  readonly #folder = tempFolder();
  readonly #functionUrl: string;
  #count = 0;

  private constructor(functionUrl: string) {
    this.#functionUrl = functionUrl;
  }

  static async create(): Promise<Cluster> {
    const stub = await startStubFunction({ model: MODEL, dim: LIVE.dim, delayMs: 2 });
    onTestFinished(() => {
      stub.server.closeAllConnections();
      stub.server.close();
    });
    const cluster = new Cluster(stub.url);
    const store = new LmdbStore({ folder: join(cluster.#folder, 'store'), urlsPerImageMax: 10 });
    await store.setLiveVersion(MODEL, LIVE);
    await store.collection(MODEL, LIVE).write(Array.from({ length: IMAGES }, (_, i) => image(i, LIVE.dim)));
    await store.close();
    return cluster;
  }

  /** By the names of their Services. Resolves when each is ready. */
  async startShards(text: string): Promise<ReadonlyMap<string, RoleProcess>> {
    const sets = workloads(text, 'index');
    return new Map(await Promise.all(sets.map(async (set) => [set.metadata.name, await this.#start('indexer/main.ts', text, { SHARD: variable(set, 'SHARD') })] as const)));
  }

  async startGateway(text: string, shards: ReadonlyMap<string, RoleProcess>): Promise<RoleProcess> {
    const [gateway] = workloads(text, 'gateway');
    const urls = variable(gateway!, 'INDEX_URLS_M').replace(/http:\/\/([\w-]+):8080/g, (_, name: string) => shards.get(name)!.url);
    return this.#start('gateway/main.ts', text, { INDEX_URLS_M: urls, FUNCTION_URL_M: this.#functionUrl, WRAPPER_URL: 'http://127.0.0.1:1' });
  }

  async #start(entry: string, text: string, env: Readonly<Record<string, string>>): Promise<RoleProcess> {
    const name = `${this.#count++}`;
    const file = join(this.#folder, `${name}.json`);
    writeFileSync(file, text);
    const role = await RoleProcess.start({ entry, env: { EIS_CONFIG: file, EIS_DATA_DIR: this.#folder, MODEL, [limitVariable('drainMs')]: String(DRAIN_MS), ...env }, logFile: join(this.#folder, `${name}.log`) });
    onTestFinished(() => role.kill());
    return role;
  }
}

const bodyOf = (query: number): Buffer => Buffer.from(`query ${query}`);

async function search(url: string, query: number): Promise<SearchAnswer & { readonly status: number }> {
  const response = await fetch(`${url}/search?top=10`, { method: 'POST', headers: { 'content-type': 'image/jpeg' }, body: new Uint8Array(bodyOf(query)) });
  const text = await response.text();
  return { ...(response.ok ? (JSON.parse(text) as SearchAnswer) : ({} as SearchAnswer)), status: response.status };
}

/** Searches without a pause; what was not whole, or another answer than before, is kept. */
class Load {
  readonly wrong: string[] = [];
  /** Whole answers, by how many shards gave them. */
  readonly whole = new Map<number, number>();
  #ended = false;
  readonly #clients: Promise<void>[];

  constructor(url: string, expected: readonly SearchAnswer['results'][]) {
    this.#clients = Array.from({ length: CLIENTS }, async (_, client) => {
      for (let query = client; !this.#ended; query++) await this.#ask(url, query % QUERIES, expected);
    });
  }

  async #ask(url: string, query: number, expected: readonly SearchAnswer['results'][]): Promise<void> {
    const { status, partial, shards, results } = await search(url, query);
    if (status !== 200 || partial || shards.ok !== shards.total) this.wrong.push(`query ${query}: ${status}, partial ${partial}, ${JSON.stringify(shards)}`);
    else if (JSON.stringify(results) !== JSON.stringify(expected[query])) this.wrong.push(`query ${query}: other results of ${shards.total} shards`);
    else this.whole.set(shards.total, (this.whole.get(shards.total) ?? 0) + 1);
  }

  async untilMore(shards: number): Promise<void> {
    const enough = (this.whole.get(shards) ?? 0) + SOME;
    await vi.waitFor(() => expect(this.whole.get(shards) ?? 0).toBeGreaterThanOrEqual(enough), { timeout: 20_000 });
  }

  async end(): Promise<void> {
    this.#ended = true;
    await Promise.all(this.#clients);
  }
}

it('a third shard comes up under load: no search fails, none is partial, and each finds what it found before', async () => {
  const [before, after] = [configOf(2), configOf(3)];
  const cluster = await Cluster.create();
  const oldShards = await cluster.startShards(before);
  const gateways = await Promise.all(Array.from({ length: GATEWAYS }, () => cluster.startGateway(before, oldShards)));
  const balancer = await Balancer.start({ targets: gateways.map(({ url }) => url), readyPath: '/readyz' });
  onTestFinished(() => balancer.close());
  const expected: SearchAnswer['results'][] = [];
  for (let query = 0; query < QUERIES; query++) expected.push((await search(balancer.url, query)).results);
  expect(expected.every((results) => results.length === 10)).toBe(true);

  const load = new Load(balancer.url, expected);
  onTestFinished(() => load.end());
  await load.untilMore(2);
  const newShards = await cluster.startShards(after);
  expect([...oldShards.keys(), ...newShards.keys()]).toEqual(['index-m-2-0', 'index-m-2-1', 'index-m-3-0', 'index-m-3-1', 'index-m-3-2']);
  await load.untilMore(2);

  for (const old of gateways) {
    balancer.add((await cluster.startGateway(after, newShards)).url);
    // Connections that stand stay where they are, until a gateway that leaves has had time to end them.
    await old.stop();
    await load.untilMore(3);
  }
  for (const shard of oldShards.values()) await shard.stop();
  await load.untilMore(3);
  await load.end();

  expect(load.wrong).toEqual([]);
  expect([...load.whole.keys()].sort()).toEqual([2, 3]);
  expect((await search(balancer.url, 0)).shards).toMatchObject({ total: 3, ok: 3 });
}, 120_000);
