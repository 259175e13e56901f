/**
 * A model is embedded again with other weights under load, by a command that is killed twice; then back, there again, and for
 * good. No search may fail, none may mix versions, and no image may stay behind.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { packagePath } from '../../common/package-root.js';
import { ALL_SLOTS } from '../../common/slots.js';
import { LmdbStore } from '../../common/store/lmdb-store.js';
import type { LiveVersion, VectorCollection } from '../../common/store/store.js';
import { dot } from '../../common/vector.js';
import type { SearchAnswer } from '../../common/wire.js';
import { sha256 } from '../ingest/support.js';
import { drawImages, readImage } from '../support/drawn-images.js';
import { startLocalStack, type LocalStack } from '../support/local-stack.js';
import { describeLatencies, runOpenLoop, type Sent } from '../support/open-loop.js';
import { runCli } from '../support/run-cli.js';
import { tempFolder } from '../support/temp-folder.js';
import { missingTestData, testDataPath } from '../support/test-data.js';

const SEARCHES_PER_S = Number(process.env['EIS_TEST_SEARCHES_PER_S'] ?? 50);
const INSERTS_PER_S = 5;
const PICTURES = 60;
/** Pictures that are searched for by their bytes: each costs one call of a function, then gateways remember it. */
const SEARCHED = 40;
/** Of each picture, told apart by bytes behind its end, which no decoder reads. */
const COPIES = 4;
const NEXT_MODEL = testDataPath('models', 'teachable-machine');
const LONG_MS = 600_000;

interface Searched {
  readonly status: number;
  readonly query: string;
  readonly answer: SearchAnswer;
  readonly text: string;
}

class Load {
  readonly #ended = new AbortController();
  readonly versions: string[] = [];
  readonly #searches: Promise<Sent<Searched>[]>;
  readonly #inserts: Promise<Sent<number>[]>;
  readonly #insertsEnded = new AbortController();

  constructor(readonly url: string, readonly pictures: readonly Buffer[]) {
    this.#searches = runOpenLoop({ perS: SEARCHES_PER_S, forMs: LONG_MS, signal: this.#ended.signal, send: (n) => this.#search(n) });
    this.#inserts = runOpenLoop({ perS: INSERTS_PER_S, forMs: LONG_MS, signal: this.#insertsEnded.signal, send: (n) => this.#insert(n) });
  }

  /** Every other one by the id of a stored image. */
  async #search(n: number): Promise<Searched> {
    const picture = this.pictures[n % (n % 2 === 0 ? this.pictures.length : SEARCHED)]!;
    const query = sha256(picture);
    const body = n % 2 === 0 ? JSON.stringify({ id: query }) : new Uint8Array(picture);
    // What goes wrong on the way is an answer, too: one that fails.
    const response = await fetch(`${this.url}/search?top=5`, { method: 'POST', body, headers: { 'content-type': n % 2 === 0 ? 'application/json' : 'image/jpeg' } });
    const text = await response.text();
    const answer = JSON.parse(text) as SearchAnswer;
    this.versions.push(answer.model_version);
    return { status: response.status, query, answer, text };
  }

  async #insert(n: number): Promise<number> {
    const bytes = Buffer.concat([this.pictures[n % this.pictures.length]!, Buffer.from(`inserted ${n}`)]);
    const form = new FormData();
    form.append('image', new Blob([new Uint8Array(bytes)]), `${n}.jpg`);
    const { status } = await fetch(`${this.url}/images`, { method: 'POST', body: form });
    return status;
  }

  /** Until searches have been answered by this version for a second, and by no other. */
  async untilSearched(version: string): Promise<void> {
    await vi.waitFor(() => {
      const latest = this.versions.slice(-SEARCHES_PER_S);
      expect(latest.every((each) => each === version)).toBe(true);
    }, { timeout: 60_000, interval: 200 });
  }

  async endInserts(): Promise<Sent<number>[]> {
    this.#insertsEnded.abort();
    return this.#inserts;
  }

  async end(): Promise<Sent<Searched>[]> {
    this.#ended.abort();
    return this.#searches;
  }
}

/** The command, killed as soon as it says something. */
async function killedReembed(stack: LocalStack, env: Record<string, string>, saying: string): Promise<void> {
  const child = spawn(process.execPath, [packagePath('dist/cli.js'), 'reembed', 'builtin', '--to', NEXT_MODEL], { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString('utf8');
    if (said.includes(saying)) child.kill('SIGKILL');
  });
  const signal = await new Promise((resolve) => child.once('exit', (_code, by) => resolve(by)));
  expect(signal, said).toBe('SIGKILL');
}

async function vectorsOf(collection: VectorCollection): Promise<Map<string, Float32Array>> {
  const vectors = new Map<string, Float32Array>();
  for await (const records of collection.scan(ALL_SLOTS)) for (const { id, vector } of records) vectors.set(id, vector.slice());
  return vectors;
}

/** What is wrong with an answer to a search by id: a score that is not that of both vectors under the version that it names. */
function findMixture({ query, answer }: Searched, vectors: ReadonlyMap<string, Map<string, Float32Array>>): string[] {
  const held = vectors.get(answer.model_version);
  if (!held) return [`version ${answer.model_version} is none of both`];
  return answer.results.flatMap(({ id, score }) => {
    const [a, b] = [held.get(query), held.get(id)];
    return a && b && Math.abs(dot(a, b) - score) < 1e-4 ? [] : [`${query} ${id}: ${score}`];
  });
}

const MISSING = missingTestData('models', 'teachable-machine');

describe.skipIf(MISSING !== undefined)(`a model that is embedded again under load${MISSING === undefined ? '' : ` (${MISSING})`}`, () => {
  it('loses no search and no image, mixes no versions, can be taken back, and is the only one in the end', async () => {
    const folder = tempFolder();
    const names = await drawImages(join(folder, 'drawn'), PICTURES);
    const pictures = names.flatMap((name) => Array.from({ length: COPIES }, (_, copy) => Buffer.concat([readImage(join(folder, 'drawn'), name), Buffer.from(`copy ${copy}`)])));
    const config = { models: [{ name: 'builtin', model_url: packagePath('models/builtin') }], services: [{ name: 'indexing', models: [{ name: 'builtin', num_indexes: 2 }] }] };
    // On a machine that others load, too, a function's answers take long: that searches are turned away then is tried elsewhere.
    const stack = await startLocalStack({ folder, config, env: { EIS_REQUESTS_PER_MINUTE_MAX: '1000000', EIS_FUNCTION_QUEUE_TIME_MAX_MS: '9000' } });
    onTestFinished(async () => void (await stack.stop()));
    const env = { EIS_CONFIG: join(folder, 'config.json'), EIS_DATA_DIR: stack.dataDir, EIS_BASE_PORT: String(stack.basePort) };
    await add(stack.url, pictures);
    const isIndexed = async (count: number): Promise<void> => vi.waitFor(async () => expect(await countIndexed(stack.url)).toBe(count), { timeout: 120_000, interval: 250 });
    const gallery = 120;
    await isIndexed(pictures.length + gallery);

    const stage = (name: string): void => console.info(`${new Date().toISOString()} ${name}`);
    stage('indexed');
    const load = new Load(stack.url, pictures);
    onTestFinished(async () => void (await load.endInserts(), await load.end()));
    await vi.waitFor(() => expect(load.versions.length).toBeGreaterThan(SEARCHES_PER_S), { timeout: 30_000 });
    const before = load.versions[0]!;

    stage('filling');
    await killedReembed(stack, env, 'are put into the queue');
    await vi.waitFor(async () => {
      const { stdout, stderr } = await runCli(['status', '--gateway', stack.url], env);
      expect(stdout, stderr).toContain('the new version is being filled');
    }, { timeout: 60_000 });
    stage('killed once');
    await killedReembed(stack, env, 'Both versions agree');
    stage('killed twice');
    const switched = await runCli(['reembed', 'builtin', '--to', NEXT_MODEL, '--json'], env);
    expect(switched.code, switched.stderr).toBe(0);
    const { version: after } = JSON.parse(switched.stdout) as { version: string };
    await load.untilSearched(after);

    stage('switched');
    expect((await runCli(['reembed', 'builtin', '--rollback'], env)).code).toBe(0);
    await load.untilSearched(before);
    expect((await runCli(['reembed', 'builtin', '--to', NEXT_MODEL], env)).code).toBe(0);
    await load.untilSearched(after);

    stage('switched again');
    const inserts = await load.endInserts();
    expect(inserts.filter(({ outcome }) => outcome !== 202)).toEqual([]);
    await isIndexed(pictures.length + gallery + inserts.length);
    const vectors = await readBoth(stack.dataDir, [before, after]);
    expect(vectors.get(before)!.size).toBe(pictures.length + gallery + inserts.length);
    expect([...vectors.get(after)!.keys()].sort()).toEqual([...vectors.get(before)!.keys()].sort());

    stage('complete');
    const finished = await runCli(['reembed', 'builtin', '--finish', '--write-config'], env);
    expect(finished.code, finished.stderr).toBe(0);
    await vi.waitFor(() => expect(stack.names().filter((name) => name.includes('next'))).toEqual([]), { timeout: 20_000 });
    const seen = load.versions.length;
    await vi.waitFor(() => expect(load.versions.length).toBeGreaterThan(seen + SEARCHES_PER_S), { timeout: 30_000 });
    const searches = await load.end();
    console.info(describeLatencies(`${SEARCHES_PER_S} searches/s asked for, ${inserts.length} inserts`, searches));

    expect(searches.filter(({ outcome: { status, answer } }) => status !== 200 || answer.partial).map(({ outcome: { status, text } }) => `${status} ${text}`)).toEqual([]);
    expect(searches.flatMap(({ outcome }, n) => (n % 2 === 0 ? findMixture(outcome, vectors) : []))).toEqual([]);
    expect(searches.filter(({ outcome: { query, answer } }, n) => n % 2 === 1 && !((answer.results.find(({ id }) => id === query)?.score ?? answer.results[0]!.score) > 0.999))).toEqual([]);
    expect(new Set(searches.map(({ outcome: { answer } }) => answer.model_version))).toEqual(new Set([before, after]));

    expect(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))).toMatchObject({ models: [{ name: 'builtin', model_url: NEXT_MODEL }] });
    const left = await readBoth(stack.dataDir, [before, after]);
    expect([left.get(before)!.size, left.get(after)!.size]).toEqual([0, pictures.length + gallery + inserts.length]);
    await stack.stop();
    const again = await startLocalStack({ folder, config: JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')), basePort: stack.basePort });
    onTestFinished(async () => void (await again.stop()));
    await vi.waitFor(async () => expect(await countIndexed(again.url)).toBe(pictures.length + gallery + inserts.length), { timeout: 30_000 });
    expect(again.output()).not.toMatch(/embedding|second lane/);
  }, 480_000);
});

async function add(url: string, pictures: readonly Buffer[]): Promise<void> {
  const form = new FormData();
  for (const [i, bytes] of pictures.entries()) form.append('image', new Blob([new Uint8Array(bytes)]), `${i}.jpg`);
  const response = await fetch(`${url}/images`, { method: 'POST', body: form });
  expect(response.status).toBe(202);
}

async function countIndexed(url: string): Promise<number> {
  const { models } = (await (await fetch(`${url}/models`)).json()) as { models: { vectors: number }[] };
  return models[0]!.vectors;
}

async function readBoth(dataDir: string, versions: readonly string[]): Promise<Map<string, Map<string, Float32Array>>> {
  const store = new LmdbStore({ folder: join(dataDir, 'store'), urlsPerImageMax: 10 });
  try {
    const all = await Promise.all(versions.map(async (version): Promise<[string, Map<string, Float32Array>]> => {
      const live: LiveVersion = { version, dim: version === versions[0] ? 256 : 1280 };
      return [version, await vectorsOf(store.collection('builtin', live))];
    }));
    return new Map(all);
  } finally {
    await store.close();
  }
}
