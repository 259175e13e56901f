/**
 * Where the embeddings of a model go: to the collection of the version that embedded them. The first version becomes
 * the one that is searched; a later one fills its own collection beside it, because their vectors cannot be compared. What
 * comes of a second lane never decides what is searched: `eis reembed` does.
 */
import type { Lane } from '../common/lanes.js';
import type { Log } from '../common/log.js';
import { isEmpty, type LiveVersion, type Store, type VectorCollection } from '../common/store/store.js';

export class Collections {
  readonly #store: Store;
  readonly #model: string;
  readonly #lane: Lane;
  readonly #log: Log;
  readonly #byVersion = new Map<string, Promise<VectorCollection>>();

  constructor({ store, model, lane, log }: { readonly store: Store; readonly model: string; readonly lane: Lane; readonly log: Log }) {
    this.#store = store;
    this.#model = model;
    this.#lane = lane;
    this.#log = log;
  }

  /** The collection of a version. */
  async of(live: LiveVersion): Promise<VectorCollection> {
    const known = this.#byVersion.get(live.version) ?? this.#prepare(live);
    this.#byVersion.set(live.version, known);
    try {
      return await known;
    } catch (error) {
      this.#byVersion.delete(live.version);
      throw error;
    }
  }

  async #prepare(live: LiveVersion): Promise<VectorCollection> {
    if (this.#lane === 'next') return this.#store.collection(this.#model, live);
    const standing = await this.#store.setLiveVersion(this.#model, live, { onlyIfAbsent: true });
    if (standing.version !== live.version && !(await this.#store.reembeddings.get(this.#model))) await this.#replaceIfEmpty(standing, live);
    return this.#store.collection(this.#model, live);
  }

  async #replaceIfEmpty(standing: LiveVersion, live: LiveVersion): Promise<void> {
    if (await isEmpty(this.#store.collection(this.#model, standing))) {
      await this.#store.setLiveVersion(this.#model, live);
      return;
    }
    this.#log.warn(
      { searched: standing.version, embedded: live.version },
      'The model changed: its images now go to a collection of their own, which is not searched until the live version is switched to it.',
    );
  }
}
