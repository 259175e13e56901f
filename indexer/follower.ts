/**
 * Keeps an index and its catalog equal to a collection of the store: loads its slots, then follows what changes. Keys
 * come first, documents are read only for what is not known yet, and applying one twice changes nothing.
 *
 * Why nothing is missed: the change index is read again from 10 s before the newest change seen, because the clocks of
 * the store's own shards differ (in a quiet store: from 10 s before what that clock has come to since); and an image is read once more by the next poll, because a second change within the
 * same millisecond leaves its key as it was. What slips through all the same (a clock set back) is found by reconciling.
 */
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import type { SlotRange } from '../common/slots.js';
import type { ChangeKey, StoredRecord, VectorCollection } from '../common/store/store.js';
import type { Catalog } from './catalog.js';
import { isFiniteVector, type VectorIndex } from './vector-index.js';

/** What became of a change: `refused` when its vector does not fit the collection. */
export const CHANGE_KINDS = ['upsert', 'remove', 'refused'] as const;
export type ChangeKind = (typeof CHANGE_KINDS)[number];

export interface FollowerOptions {
  readonly collection: VectorCollection;
  readonly slots: SlotRange;
  readonly index: VectorIndex;
  readonly catalog: Catalog;
  /** ms since the epoch. */
  readonly now: () => number;
  /** ms of a clock that is never set: how much time passed. */
  readonly uptimeMs?: () => number;
  readonly overlapMs?: number;
  readonly reconcileEveryMs?: number;
  /** Told of every change when it is applied. */
  readonly onChange?: (kind: ChangeKind, id: string) => void;
}

/** Where a follower is, between two polls: what it takes to go on from there. */
export interface FollowerState {
  readonly position: number;
  readonly reconciledAt: number;
  readonly unsettled: readonly string[];
  readonly absent: readonly (readonly [id: string, updatedAt: number])[];
}

export const OVERLAP_MS = 10_000;
export const RECONCILE_EVERY_MS = 600_000;
/** Documents applied, or read by id, in one step: with 1,280 numbers each, 1.3 MB. */
const STEP = 256;
/** Steps of a load that are taken in while the next is read. */
const STEPS_AHEAD = 2;
/** Ids compared in one step. */
const LOOKS = 10_000;

export class Follower {
  readonly #options: Required<Omit<FollowerOptions, 'onChange'>> & Pick<FollowerOptions, 'onChange'>;
  /** The `updatedAt`, not later than now, up to which all is known that the store had when the last poll began, but for what clocks differ. */
  #position = 0;
  /** When the last poll that succeeded began. */
  #polledAtMs = 0;
  #reconciledAt = 0;
  /** Ids to be read again by the next poll. */
  readonly #unsettled = new Set<string>();
  /** `updatedAt` of what is not in the catalog although its key is still listed: tombstones and refused records. */
  readonly #absent = new Map<string, number>();
  /** A key of this time or later does not vouch for its document before the first poll: the load may have read it within that millisecond. */
  #loadedFrom = Infinity;

  constructor(options: FollowerOptions) {
    this.#options = { overlapMs: OVERLAP_MS, reconcileEveryMs: RECONCILE_EVERY_MS, uptimeMs: () => performance.now(), ...options };
  }

  /**
   * Fills the (empty) index with every living record of the slots.
   *
   * @param signal stops it between two batches, with the signal's reason
   */
  async load(signal?: AbortSignal): Promise<void> {
    const { collection, slots, now, uptimeMs } = this.#options;
    const startedAt = now();
    this.#polledAtMs = uptimeMs();
    let newest = 0;
    const holding: Promise<void>[] = []; // what was read is taken in while more is read
    try {
      for await (const records of collection.scan(slots)) {
        for (const step of slice(records)) {
          signal?.throwIfAborted();
          const fitting = step.filter((record) => this.#fits(record));
          const held = this.#hold(fitting);
          held.catch(() => undefined); // it is waited for below
          holding.push(held);
          if (fitting.length < step.length) for (const { id } of step.filter((record) => !this.#fits(record))) this.#options.onChange?.('refused', id);
          if (holding.length > STEPS_AHEAD) await holding.shift();
          await yieldToLoop();
        }
        for (const { updatedAt } of records) newest = Math.max(newest, updatedAt);
      }
    } finally {
      await Promise.all(holding);
    }
    // What the scan did not see was written after it began. The older of both clocks: ours may be ahead of the store's.
    this.#position = Math.min(startedAt, newest);
    this.#loadedFrom = startedAt - this.#options.overlapMs;
    this.#reconciledAt = startedAt;
  }

  /** Not to be called while it polls. */
  state(): FollowerState {
    return { position: this.#position, reconciledAt: this.#reconciledAt, unsettled: [...this.#unsettled], absent: [...this.#absent] };
  }

  /** Goes on where another follower was, whose index and catalog these are. */
  resume({ position, reconciledAt, unsettled, absent }: FollowerState): void {
    this.#position = position;
    this.#polledAtMs = this.#options.uptimeMs();
    this.#reconciledAt = reconciledAt;
    this.#loadedFrom = Infinity;
    for (const id of unsettled) this.#unsettled.add(id);
    for (const [id, updatedAt] of absent) this.#absent.set(id, updatedAt);
  }

  /**
   * Applies what changed since the last poll, and every 10 minutes reconciles. When it throws, nothing is lost: the next
   * poll starts where this one did. Not to be called again before it settled.
   */
  async poll(): Promise<void> {
    const { collection, slots, overlapMs, reconcileEveryMs, now, uptimeMs } = this.#options;
    const startedAt = now();
    const startedAtMs = uptimeMs();
    const since = Math.max(0, this.#position - overlapMs);
    const due = new Set(this.#unsettled);
    let newest = this.#position;
    for await (const keys of collection.changes(slots, since)) {
      for (const key of keys) {
        newest = Math.max(newest, key.updatedAt);
        if (key.updatedAt >= this.#loadedFrom || !this.#knows(key)) due.add(key.id);
      }
      await yieldToLoop();
    }
    await this.#refresh(due);
    // Stamps may be ahead of every clock: an image that changes again is stamped later than before, by one that is slow too.
    // And the writers' clocks went on: what is written in a quiet store will be stamped later than the newest by that much.
    this.#position = Math.max(this.#position, Math.min(startedAt, Math.max(newest, this.#position + startedAtMs - this.#polledAtMs)));
    this.#polledAtMs = startedAtMs;
    this.#loadedFrom = Infinity;
    for (const [id, updatedAt] of this.#absent) if (updatedAt < since) this.#absent.delete(id);
    if (startedAt - this.#reconciledAt >= reconcileEveryMs) {
      await this.reconcile();
      this.#reconciledAt = startedAt;
    }
  }

  /** Compares all keys with the catalog, both ways, and reads what differs again. */
  async reconcile(): Promise<void> {
    const { collection, slots, catalog } = this.#options;
    const living = new Set<string>();
    const due = new Set<string>();
    for await (const keys of collection.keys(slots)) {
      for (const key of keys) {
        living.add(key.id);
        if (!this.#knows(key)) due.add(key.id);
      }
      await yieldToLoop();
    }
    let looked = 0;
    for (const id of catalog.ids()) {
      if (!living.has(id)) due.add(id);
      if (++looked % LOOKS === 0) await yieldToLoop();
    }
    await this.#refresh(due);
  }

  #updatedAt(id: string): number | undefined {
    return this.#options.catalog.updatedAt(id) ?? this.#absent.get(id);
  }

  #knows({ id, updatedAt }: ChangeKey): boolean {
    return this.#updatedAt(id) === updatedAt;
  }

  /** Reads ids again and applies what they are now; one that the store does not have any more is removed. */
  async #refresh(ids: Iterable<string>): Promise<void> {
    for (const step of slice([...ids])) {
      const records = await this.#options.collection.getMany(step);
      const found = new Set(records.map(({ id }) => id));
      const gone = step.filter((id) => !found.has(id));
      await this.#apply(records);
      await this.#remove(gone);
      for (const id of gone) {
        this.#absent.delete(id);
        this.#unsettled.delete(id);
      }
      await yieldToLoop();
    }
  }

  async #apply(records: readonly StoredRecord[]): Promise<void> {
    const fresh = records.filter((record) => !this.#knows(record));
    for (const { id } of fresh) this.#unsettled.add(id); // first, so that what fails here is read again
    const living = records.filter((record) => record.deletedAt === undefined && this.#fits(record));
    const others = records.filter((record) => record.deletedAt !== undefined || !this.#fits(record));
    await this.#hold(living);
    await this.#remove(others.map(({ id }) => id));
    for (const { id, updatedAt } of others) this.#absent.set(id, updatedAt);

    const unread = new Set(fresh);
    for (const record of records) if (!unread.has(record)) this.#unsettled.delete(record.id);
    for (const record of fresh) this.#options.onChange?.(this.#kindOf(record), record.id);
  }

  #fits({ vector }: StoredRecord): boolean {
    return vector.length === this.#options.index.dim && isFiniteVector(vector);
  }

  #kindOf(record: StoredRecord): ChangeKind {
    if (record.deletedAt !== undefined) return 'remove';
    return this.#fits(record) ? 'upsert' : 'refused';
  }

  async #hold(records: readonly StoredRecord[]): Promise<void> {
    for (const record of records) {
      this.#options.catalog.set(record); // before its vector: a hit is never without its entry
      this.#absent.delete(record.id);
    }
    await this.#options.index.upsert(records);
  }

  async #remove(ids: readonly string[]): Promise<void> {
    await this.#options.index.remove(ids);
    for (const id of ids) this.#options.catalog.delete(id);
  }
}

function* slice<T>(values: readonly T[]): Generator<T[]> {
  for (let i = 0; i < values.length; i += STEP) yield values.slice(i, i + STEP);
}
