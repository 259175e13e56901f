/**
 * The embedded store: LMDB in one folder, for one machine. Every process opens it by itself; LMDB lets one write at a
 * time and any number read, and a process that is killed leaves no half transaction behind.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import { LmdbCollection } from './lmdb-collection.js';
import { LmdbLedger } from './lmdb-ledger.js';
import { commit, guard } from './lmdb-guard.js';
import { LmdbReembeddings } from './lmdb-reembeddings.js';
import { versionIsLive, versionName, type LiveVersion, type Store } from './store.js';

/** Named databases in the environment: four for each model version, and the ledger's. */
const DATABASES_MAX = 1024;

export interface LmdbStoreOptions {
  readonly folder: string;
  readonly urlsPerImageMax: number;
}

export class LmdbStore implements Store {
  readonly ledger: LmdbLedger;
  readonly reembeddings: LmdbReembeddings;
  readonly #root: RootDatabase;
  readonly #live: Database<LiveVersion, string>;
  readonly #collections = new Map<string, LmdbCollection>();
  readonly #urlsPerImageMax: number;

  constructor({ folder, urlsPerImageMax }: LmdbStoreOptions) {
    mkdirSync(folder, { recursive: true });
    this.#root = open({ path: join(folder, 'store.mdb'), maxDbs: DATABASES_MAX, compression: false });
    this.#live = this.#root.openDB({ name: 'live' });
    this.#urlsPerImageMax = urlsPerImageMax;
    this.ledger = new LmdbLedger(this.#root);
    this.reembeddings = new LmdbReembeddings(this.#root);
  }

  liveVersion(model: string): Promise<LiveVersion | undefined> {
    return guard(() => this.#live.get(model));
  }

  setLiveVersion(model: string, live: LiveVersion, { onlyIfAbsent = false } = {}): Promise<LiveVersion> {
    return commit(this.#live, () => {
      const standing = this.#live.get(model);
      if (onlyIfAbsent && standing) return standing;
      void this.#live.put(model, { version: live.version, dim: live.dim });
      return live;
    });
  }

  collection(model: string, live: LiveVersion): LmdbCollection {
    const name = versionName(model, live.version);
    let collection = this.#collections.get(name);
    if (!collection) {
      collection = new LmdbCollection(this.#root, { name, model, live, urlsPerImageMax: this.#urlsPerImageMax });
      this.#collections.set(name, collection);
    }
    return collection;
  }

  async removeVersion(model: string, live: LiveVersion): Promise<void> {
    if ((await this.liveVersion(model))?.version === live.version) throw versionIsLive(model, live);
    await this.collection(model, live).clear();
  }

  close(): Promise<void> {
    return this.#root.close();
  }
}
