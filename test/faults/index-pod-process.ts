/** Index pods as processes of their own, each with a data folder of its own, over one embedded store that the test writes to. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { IndexAlgorithm } from '../../common/config.js';
import { LmdbStore } from '../../common/store/lmdb-store.js';
import type { ImageWrite, LiveVersion, VectorCollection } from '../../common/store/store.js';
import { encodeVector } from '../../common/vector.js';
import type { IndexAnswer, IndexHit } from '../../common/wire.js';
import { RoleProcess } from '../support/role-process.js';

const MODEL = 'm';
/** Of one request. */
const QUERIES_MAX = 64;

export interface IndexPodsOptions {
  readonly algorithm: IndexAlgorithm;
  readonly dim: number;
}

export class IndexPods {
  readonly collection: VectorCollection;
  readonly #folder: string;
  readonly #store: LmdbStore;
  readonly #pods: IndexPod[] = [];

  private constructor(folder: string, store: LmdbStore, live: LiveVersion) {
    this.#folder = folder;
    this.#store = store;
    this.collection = store.collection(MODEL, live);
  }

  /** A store without images, and no pod yet. */
  static async create({ algorithm, dim }: IndexPodsOptions): Promise<IndexPods> {
    const folder = mkdtempSync(join(tmpdir(), 'eis-pods-'));
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ models: [{ name: MODEL, model_url: 'unused' }], services: [{ name: 'indexing', models: [{ name: MODEL, index_algorithm: algorithm }] }] }));
    const store = new LmdbStore({ folder: join(folder, 'store'), urlsPerImageMax: 10 });
    const live = { version: 'a'.repeat(64), dim };
    await store.setLiveVersion(MODEL, live);
    return new IndexPods(folder, store, live);
  }

  /** Starts a pod whose data folder has this name; resolves when it is ready. */
  async start(name: string, variables: Readonly<Record<string, string>> = {}): Promise<IndexPod> {
    const dataDir = join(this.#folder, name);
    mkdirSync(dataDir, { recursive: true });
    symlinkSync(join(this.#folder, 'store'), join(dataDir, 'store'));
    const env = { EIS_CONFIG: join(this.#folder, 'config.json'), EIS_DATA_DIR: dataDir, MODEL, SHARD: '', MONGODB_URI: '', LOG_LEVEL: 'info', ...variables };
    const role = await RoleProcess.start({ entry: 'indexer/main.ts', env, logFile: join(dataDir, 'pod.log') });
    const pod = new IndexPod(role, dataDir);
    this.#pods.push(pod);
    return pod;
  }

  async close(): Promise<void> {
    await Promise.all(this.#pods.map(({ role }) => role.stop()));
    await this.#store.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export class IndexPod {
  readonly role: RoleProcess;
  readonly #indexDir: string;

  constructor(role: RoleProcess, dataDir: string) {
    this.role = role;
    this.#indexDir = join(dataDir, 'index');
  }

  /** The hits of each query, best first. */
  async search(queries: readonly Float32Array[], top: number): Promise<IndexHit[][]> {
    const found: IndexHit[][] = [];
    for (let i = 0; i < queries.length; i += QUERIES_MAX) {
      const body = Buffer.concat(queries.slice(i, i + QUERIES_MAX).map(encodeVector));
      const response = await fetch(`${this.role.url}/search?top=${top}`, { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body });
      if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
      const answer = (await response.json()) as IndexAnswer | IndexAnswer[];
      found.push(...[answer].flat().map(({ hits }) => hits));
    }
    return found;
  }

  /** Has it load everything from the store once more. */
  async reload(): Promise<void> {
    const response = await fetch(`${this.role.url}/reload`, { method: 'POST' });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    await response.arrayBuffer();
  }

  /** Where each of its loads came from, by its log. */
  get loadedFrom(): string[] {
    return this.logged('loaded').map(({ from }) => String(from));
  }

  /** The lines of its log that begin with this message. */
  logged(message: string): Record<string, unknown>[] {
    const lines = this.role.log.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as Record<string, unknown>);
    return lines.filter(({ msg }) => String(msg).startsWith(message));
  }

  /** The paths that files of this name have in its folders for indexes. */
  files(name: string): string[] {
    return namesIn(this.#indexDir).map((folder) => join(this.#indexDir, folder)).filter((folder) => namesIn(folder).includes(name)).map((folder) => join(folder, name));
  }
}

/** An image whose vector is this one. */
export function imageOf(id: string, vector: Float32Array): ImageWrite {
  return { id, vector, url: `https://example.com/${id}`, origin: id, phash: id.slice(0, 16), width: 640, height: 480, format: 'jpeg' };
}

/**
 * Two pods' answers to the same queries.
 *
 * @param recall the least share of the expected hits that must be there; 1: they are the same, scores and order too
 */
export function expectAlike(answers: readonly IndexHit[][], expected: readonly IndexHit[][], recall: number): void {
  if (recall === 1) return expect(answers).toEqual(expected);
  const shared = expected.flatMap((hits, i) => hits.filter(({ id }) => answers[i]!.some((hit) => hit.id === id)));
  expect(shared.length / expected.flat().length).toBeGreaterThanOrEqual(recall);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
