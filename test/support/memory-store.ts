/**
 * A store in memory, held by the store's contract: for tests of what uses a store, with a clock and faults that the test
 * controls.
 */
import { EisError } from '../../common/errors.js';
import { hasSameValues, latestMetadata } from '../../common/metadata.js';
import { hasSlot, type SlotRange } from '../../common/slots.js';
import type { ChangeKey, GroupWrite, ImageWrite, Ledger, LedgerEntry, LedgerKey, LedgerOutcome, LedgerPage, LedgerQueryOptions, LiveVersion, Reembedding, Reembeddings, Store, StoredRecord, VectorCollection, WriteOutcome } from '../../common/store/store.js';
import { versionIsLive } from '../../common/store/store.js';
import { LEDGER_STATES, type LedgerState } from '../../common/wire.js';

export interface MemoryStoreOptions {
  /** The store's clock, ms since the epoch. */
  readonly now?: () => number;
  readonly urlsPerImageMax?: number;
  /** Records, or keys, in one batch. */
  readonly pageSize?: number;
}

/** Called before every operation and every batch, with its name: throwing fails it, a promise delays it. */
export type Fault = (operation: string) => void | Promise<void>;

interface StoredImage extends StoredRecord {
  readonly origin: string;
  /** Of a tombstone: writes that were given before leave it standing. */
  readonly removedAt?: number;
}

export class MemoryStore implements Store {
  readonly ledger: Ledger;
  readonly reembeddings: Reembeddings = new MemoryReembeddings(async (operation) => this.fault(operation));
  fault: Fault = () => undefined;
  readonly #options: Required<MemoryStoreOptions>;
  readonly #live = new Map<string, LiveVersion>();
  readonly #collections = new Map<string, MemoryCollection>();

  constructor(options: MemoryStoreOptions = {}) {
    this.#options = { now: Date.now, urlsPerImageMax: 100, pageSize: 256, ...options };
    this.ledger = new MemoryLedger(this.#options.now, async (operation) => this.fault(operation));
  }

  async liveVersion(model: string): Promise<LiveVersion | undefined> {
    await this.fault('liveVersion');
    return this.#live.get(model);
  }

  async setLiveVersion(model: string, live: LiveVersion, { onlyIfAbsent = false }: { readonly onlyIfAbsent?: boolean } = {}): Promise<LiveVersion> {
    await this.fault('setLiveVersion');
    const standing = this.#live.get(model);
    if (standing && onlyIfAbsent) return standing;
    this.#live.set(model, live);
    return live;
  }

  collection(model: string, live: LiveVersion): MemoryCollection {
    const name = `${model}\n${live.version}`;
    const standing = this.#collections.get(name);
    if (standing) return standing;
    const made = new MemoryCollection({ ...this.#options, model, live, before: async (operation) => this.fault(operation) });
    this.#collections.set(name, made);
    return made;
  }

  async removeVersion(model: string, live: LiveVersion): Promise<void> {
    await this.fault('removeVersion');
    if (this.#live.get(model)?.version === live.version) throw versionIsLive(model, live);
    this.collection(model, live).clear();
  }

  async close(): Promise<void> {}
}

class MemoryReembeddings implements Reembeddings {
  readonly #jobs = new Map<string, Reembedding>();

  constructor(readonly before: (operation: string) => Promise<void>) {}

  async get(model: string): Promise<Reembedding | undefined> {
    await this.before('getReembedding');
    return this.#jobs.get(model);
  }

  async list(): Promise<Reembedding[]> {
    return [...this.#jobs.values()];
  }

  async save(job: Omit<Reembedding, 'updatedAt'>): Promise<Reembedding | undefined> {
    await this.before('saveReembedding');
    if ((this.#jobs.get(job.model)?.revision ?? 0) !== job.revision) return undefined;
    const saved = { ...job, revision: job.revision + 1, updatedAt: Date.now() };
    this.#jobs.set(job.model, saved);
    return saved;
  }

  async remove(model: string): Promise<void> {
    await this.before('removeReembedding');
    this.#jobs.delete(model);
  }
}

interface CollectionOptions extends Required<MemoryStoreOptions> {
  readonly model: string;
  readonly live: LiveVersion;
  readonly before: (operation: string) => Promise<void>;
}

export class MemoryCollection implements VectorCollection {
  readonly model: string;
  readonly version: string;
  readonly #options: CollectionOptions;
  readonly #images = new Map<string, StoredImage>();
  readonly #notes = new Map<string, string>();

  constructor(options: CollectionOptions) {
    this.model = options.model;
    this.version = options.live.version;
    this.#options = options;
  }

  async write(images: readonly ImageWrite[]): Promise<WriteOutcome[]> {
    await this.#options.before('write');
    const { dim } = this.#options.live;
    for (const { id, vector } of images) {
      if (vector.length !== dim) throw new EisError('EIS_VECTOR_INVALID', { detail: `The vector of image ${id} has ${vector.length} numbers; the collection holds ${dim}.` });
    }
    return images.map((image) => this.#writeOne(image));
  }

  async delete(id: string, at = 0): Promise<boolean> {
    await this.#options.before('delete');
    const standing = this.#images.get(id);
    if (standing?.deletedAt !== undefined) {
      this.#images.set(id, { ...standing, removedAt: Math.max(at, standing.removedAt ?? 0) });
      return false;
    }
    const now = this.#changeTime(standing);
    const unknown = { id, vector: new Float32Array(0), urls: [], phash: '', width: 0, height: 0, format: '', origin: '', createdAt: now };
    this.#images.set(id, { ...(standing ?? unknown), updatedAt: now, deletedAt: now, removedAt: at });
    return standing !== undefined;
  }

  async setGroups(writes: readonly GroupWrite[]): Promise<number> {
    await this.#options.before('setGroups');
    return writes.filter(({ id, canonical }) => {
      const standing = this.#images.get(id);
      if (!standing || standing.deletedAt !== undefined || standing.canonical === canonical) return false;
      this.#images.set(id, { ...standing, canonical, updatedAt: this.#changeTime(standing) });
      return true;
    }).length;
  }

  async readNote(name: string): Promise<unknown> {
    await this.#options.before('readNote');
    const note = this.#notes.get(name);
    return note === undefined ? undefined : (JSON.parse(note) as unknown);
  }

  async writeNote(name: string, value: unknown): Promise<void> {
    await this.#options.before('writeNote');
    this.#notes.set(name, JSON.stringify(value));
  }

  async getMany(ids: readonly string[]): Promise<StoredRecord[]> {
    await this.#options.before('getMany');
    return ids.flatMap((id) => this.#images.get(id) ?? []);
  }

  async *scan(slots: SlotRange): AsyncGenerator<StoredRecord[]> {
    for await (const page of this.#livingPages('scan', slots)) {
      const lent = page.map((record) => ({ ...record, vector: record.vector.slice() }));
      yield lent;
      for (const { vector } of lent) vector.fill(NaN); // as a store does that uses their memory again
    }
  }

  async *changes(slots: SlotRange, since: number): AsyncGenerator<ChangeKey[]> {
    const changed = [...this.#images.values()].filter(({ id, updatedAt }) => hasSlot(slots, id) && updatedAt >= since);
    yield* this.#pages('changes', changed.sort((a, b) => a.updatedAt - b.updatedAt || (a.id < b.id ? -1 : 1)).map(toKey));
  }

  async *keys(slots: SlotRange): AsyncGenerator<ChangeKey[]> {
    for await (const page of this.#livingPages('keys', slots)) yield page.map(toKey);
  }

  async count(): Promise<number> {
    return [...this.#images.values()].filter(({ deletedAt }) => deletedAt === undefined).length;
  }

  clear(): void {
    this.#images.clear();
    this.#notes.clear();
  }

  /** Takes a record away as if its tombstone had expired, without leaving a change. */
  forget(id: string): void {
    this.#images.delete(id);
  }

  /** Puts a record as it is, without the checks of `write`. */
  plant(record: StoredRecord): void {
    this.#images.set(record.id, { ...record, origin: '' });
  }

  #changeTime(standing: StoredImage | undefined): number {
    return standing ? Math.max(this.#options.now(), standing.updatedAt + 1) : this.#options.now();
  }

  #writeOne({ url, givenAt = Infinity, ...image }: ImageWrite): WriteOutcome {
    const standing = this.#images.get(image.id);
    const now = this.#changeTime(standing);
    if (!standing || (standing.deletedAt !== undefined && givenAt >= (standing.removedAt ?? 0))) {
      this.#images.set(image.id, { ...image, urls: [url], createdAt: now, updatedAt: now, deletedAt: undefined });
      return 'stored';
    }
    if (standing.deletedAt !== undefined) return standing.origin === image.origin ? 'stored' : 'duplicate';
    const isNewUrl = !standing.urls.includes(url) && standing.urls.length < this.#options.urlsPerImageMax;
    const metadata = latestMetadata(standing.metadata, image.metadata);
    const isChange = isNewUrl || !hasSameValues(metadata, standing.metadata);
    this.#images.set(image.id, { ...standing, urls: isNewUrl ? [...standing.urls, url] : standing.urls, metadata, updatedAt: isChange ? now : standing.updatedAt });
    return standing.origin === image.origin ? 'stored' : 'duplicate';
  }

  /** By id, each page as it is when its turn comes: a write meanwhile is seen when it is behind the place of reading. */
  async *#livingPages(operation: string, slots: SlotRange): AsyncGenerator<StoredImage[]> {
    let last = '';
    for (;;) {
      await this.#options.before(operation);
      const living = [...this.#images.values()].filter(({ id, deletedAt }) => id > last && hasSlot(slots, id) && deletedAt === undefined);
      const page = living.sort((a, b) => (a.id < b.id ? -1 : 1)).slice(0, this.#options.pageSize);
      if (page.length === 0) return;
      yield page;
      last = (page.at(-1) as StoredImage).id;
    }
  }

  async *#pages<T>(operation: string, all: readonly T[]): AsyncGenerator<T[]> {
    await this.#options.before(operation);
    for (let i = 0; i < all.length; i += this.#options.pageSize) {
      if (i > 0) await this.#options.before(operation);
      yield all.slice(i, i + this.#options.pageSize);
    }
  }
}

function toKey({ id, updatedAt }: StoredImage): ChangeKey {
  return { id, updatedAt };
}

class MemoryLedger implements Ledger {
  readonly #entries = new Map<string, LedgerEntry>();

  constructor(
    readonly now: () => number,
    readonly before: (operation: string) => Promise<void>,
  ) {}

  async accept(keys: readonly LedgerKey[]): Promise<void> {
    await this.before('accept');
    for (const key of keys) if (!this.#entries.has(nameOf(key))) this.#put({ ...keyOf(key), state: 'accepted' });
  }

  async settle(outcomes: readonly LedgerOutcome[]): Promise<LedgerEntry[]> {
    await this.before('settle');
    return outcomes.map((outcome) => {
      const standing = this.#entries.get(nameOf(outcome));
      return standing && standing.state !== 'accepted' ? standing : this.#put(outcome);
    });
  }

  async getMany(keys: readonly LedgerKey[]): Promise<(LedgerEntry | undefined)[]> {
    await this.before('getMany');
    return keys.map((key) => this.#entries.get(nameOf(key)));
  }

  async list({ submission, state, limit, after }: LedgerQueryOptions): Promise<LedgerPage> {
    await this.before('list');
    const start = after === undefined ? 0 : Number(after);
    if (!Number.isSafeInteger(start)) throw new EisError('EIS_BAD_REQUEST', { detail: 'The cursor in "after" is none of ours. Leave it out to start at the first page.' });
    const matching = [...this.#entries.values()].filter((entry) => (submission === undefined || entry.submission === submission) && (state === undefined || entry.state === state));
    return { entries: matching.slice(start, start + limit), next: start + limit < matching.length ? String(start + limit) : undefined };
  }

  async counts(submission: string): Promise<Record<LedgerState, number>> {
    await this.before('counts');
    const entries = [...this.#entries.values()].filter((entry) => entry.submission === submission);
    return Object.fromEntries(LEDGER_STATES.map((state) => [state, entries.filter((entry) => entry.state === state).length])) as Record<LedgerState, number>;
  }

  async reopen(keys: readonly LedgerKey[]): Promise<void> {
    await this.before('reopen');
    for (const key of keys) if (this.#entries.get(nameOf(key))?.state === 'dead') this.#put({ ...keyOf(key), state: 'accepted' });
  }

  #put(entry: Omit<LedgerEntry, 'updatedAt'>): LedgerEntry {
    const stamped = { ...entry, updatedAt: this.now() };
    this.#entries.set(nameOf(entry), stamped);
    return stamped;
  }
}

function keyOf({ submission, source, model }: LedgerKey): LedgerKey {
  return { submission, source, model };
}

function nameOf({ submission, source, model }: LedgerKey): string {
  return JSON.stringify([submission, source, model]);
}
