/** The re-embeddings that are under way, in LMDB: one entry for each model. */
import type { Database, RootDatabase } from 'lmdb';
import { commit, guard } from './lmdb-guard.js';
import type { Reembedding, Reembeddings } from './store.js';

export class LmdbReembeddings implements Reembeddings {
  readonly #jobs: Database<Reembedding, string>;

  constructor(root: RootDatabase) {
    this.#jobs = root.openDB({ name: 'reembeddings' });
  }

  get(model: string): Promise<Reembedding | undefined> {
    return guard(() => this.#jobs.get(model));
  }

  list(): Promise<Reembedding[]> {
    return guard(() => Array.from(this.#jobs.getRange(), ({ value }) => value));
  }

  save(job: Omit<Reembedding, 'updatedAt'>): Promise<Reembedding | undefined> {
    return commit(this.#jobs, () => {
      if ((this.#jobs.get(job.model)?.revision ?? 0) !== job.revision) return undefined;
      const saved = { ...job, revision: job.revision + 1, updatedAt: Date.now() };
      void this.#jobs.put(job.model, saved);
      return saved;
    });
  }

  async remove(model: string): Promise<void> {
    await commit(this.#jobs, () => void this.#jobs.remove(model));
  }
}
