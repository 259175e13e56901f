/**
 * What the embedded queue keeps in LMDB, and the moves between its tables: each move is one transaction, which is
 * atomic over all processes. A message is in exactly one table of its model: `ready`, `leased` or `dead`; keys are
 * numbers of one sequence, so that a table's order is the order of delivery.
 */
import type { Database, RootDatabase } from 'lmdb';
import type { ImageMessage } from '../../common/wire.js';
import { hasEnded, thisProcess, type ProcessIdentity } from '../../common/process-identity.js';
import { entryCount } from '../lmdb-tables.js';
import type { DeadLetter, FailureReason } from './queue.js';

/** Time after which a holder that has said nothing is taken for dead. */
export const LEASE_MS = 30_000;

interface ReadyMessage {
  readonly message: ImageMessage;
  /** Deliveries that were rejected. */
  readonly failures: number;
  readonly deliveries: number;
}

interface LeasedMessage extends ReadyMessage {
  readonly holder: string;
}

/** A consumer that holds messages. */
interface Holder extends ProcessIdentity {
  readonly expiresAt: number;
}

/** A message as a holder has it. `deliveries` tells this delivery from a later one of the same message. */
export interface Lease extends LeasedMessage {
  readonly key: number;
}

export class ModelTables {
  readonly ready: Database<ReadyMessage, number>;
  readonly leased: Database<LeasedMessage, number>;
  readonly dead: Database<DeadLetter, number>;
  readonly #holders: Database<Holder, string>;
  readonly #sequence: Database<number, string>;
  readonly #self = thisProcess();

  constructor(root: RootDatabase, model: string, sequence: Database<number, string>) {
    this.ready = root.openDB({ name: `ready.${model}` });
    this.leased = root.openDB({ name: `leased.${model}` });
    this.dead = root.openDB({ name: `dead.${model}` });
    this.#holders = root.openDB({ name: `holders.${model}` });
    this.#sequence = sequence;
  }

  /** Messages that are not worked off. */
  get size(): number {
    return entryCount(this.ready) + entryCount(this.leased);
  }

  /** Whether nothing waits. */
  get isEmpty(): boolean {
    return firstOf(this.ready) === undefined;
  }

  // ── Moves: each runs inside a transaction ─────────────────────────────────────────────────────────────────────────

  append(messages: readonly ImageMessage[]): void {
    for (const message of messages) void this.ready.put(this.#nextKey(), { message, failures: 0, deliveries: 0 });
  }

  lease(holder: string, count: number): Lease[] {
    this.keepAlive(holder);
    return Array.from(this.ready.getRange({ limit: count })).map(({ key, value }) => {
      const leased = { ...value, deliveries: value.deliveries + 1, holder };
      void this.ready.remove(key);
      void this.leased.put(key, leased);
      return { ...leased, key };
    });
  }

  ack(lease: Lease): void {
    if (this.#isHeld(lease)) void this.leased.remove(lease.key);
  }

  release(lease: Lease): void {
    if (this.#isHeld(lease)) this.#putBack(lease.key, lease);
  }

  /** Returns whether the message is dead now. */
  reject(lease: Lease, reason: FailureReason, deliveryMax: number): boolean {
    if (!this.#isHeld(lease)) return false;
    const { message, deliveries } = lease;
    const failures = lease.failures + 1;
    void this.leased.remove(lease.key);
    const isDead = failures >= deliveryMax;
    if (isDead) void this.dead.put(this.#nextKey(), { message, reason, deadAt: Date.now() });
    else void this.ready.put(this.#nextKey(), { message, failures, deliveries });
    return isDead;
  }

  keepAlive(holder: string): void {
    void this.#holders.put(holder, { ...this.#self, expiresAt: Date.now() + LEASE_MS });
  }

  /** Gives back everything that a holder has, and forgets it. */
  dismiss(holder: string): void {
    for (const { key, value } of Array.from(this.leased.getRange())) if (value.holder === holder) this.#putBack(key, value);
    void this.#holders.remove(holder);
  }

  /** Puts dead letters back as if never delivered; keys that are not there any more are left out. */
  revive(keys: readonly number[]): number {
    const letters = keys.flatMap((key) => this.dead.get(key) ?? []);
    for (const key of keys) void this.dead.remove(key);
    this.append(letters.map(({ message }) => message));
    return letters.length;
  }

  /** Takes everything out, from whoever holds it. */
  clear(): void {
    for (const table of [this.ready, this.leased, this.dead, this.#holders]) table.clearSync();
  }

  // ── Reads ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The holders whose process has ended, or that have said nothing for too long. */
  lostHolders(): string[] {
    return Array.from(this.#holders.getRange())
      .filter(({ value }) => value.expiresAt < Date.now() || hasEnded(value))
      .map(({ key }) => key);
  }

  /** Whether there is a consumer that lives. */
  get isConsumed(): boolean {
    return Array.from(this.#holders.getKeys()).length > this.lostHolders().length;
  }

  counts(): { readonly ready: number; readonly unacked: number; readonly dead: number } {
    return { ready: entryCount(this.ready), unacked: entryCount(this.leased), dead: entryCount(this.dead) };
  }

  /** When the foremost message that is not acknowledged was accepted, ms since the epoch. */
  oldestAcceptedAt(): number | undefined {
    const foremost = [firstOf(this.ready), firstOf(this.leased)].flatMap((entry) => entry?.message.acceptedAt ?? []);
    return foremost.length === 0 ? undefined : Math.min(...foremost);
  }

  #isHeld({ key, holder, deliveries }: Lease): boolean {
    const standing = this.leased.get(key);
    return standing?.holder === holder && standing.deliveries === deliveries;
  }

  #putBack(key: number, { message, failures, deliveries }: ReadyMessage): void {
    void this.leased.remove(key);
    void this.ready.put(key, { message, failures, deliveries });
  }

  #nextKey(): number {
    const key = (this.#sequence.get('last') ?? 0) + 1;
    void this.#sequence.put('last', key);
    return key;
  }
}

function firstOf<V>(table: Database<V, number>): V | undefined {
  for (const { value } of table.getRange({ limit: 1 })) return value;
  return undefined;
}
