/**
 * The ledger in LMDB: the entries, an order of them by state, and counts by submission, all moved in one transaction.
 * Sources are hashed in keys, because a URL can be longer than a key of LMDB.
 */
import { hash } from 'node:crypto';
import type { Database, RangeOptions, RootDatabase } from 'lmdb';
import { LEDGER_STATES, type LedgerState } from '../wire.js';
import { cursorInvalid } from '../errors.js';
import { commit, guard } from './lmdb-guard.js';
import { ledgerKey, type Ledger, type LedgerEntry, type LedgerKey, type LedgerOutcome, type LedgerPage, type LedgerQueryOptions } from './store.js';

type EntryKey = [submission: string, sourceHash: string, model: string];
type StateKey = [state: LedgerState, ...EntryKey];

type CountKey = [submission: string, state: LedgerState];

/** By how much the counts of a transaction change. */
class CountChanges implements Iterable<{ readonly key: CountKey; readonly change: number }> {
  readonly #changes = new Map<string, { readonly key: CountKey; change: number }>();

  add(submission: string, state: LedgerState, change: number): void {
    const name = `${state} ${submission}`;
    const standing = this.#changes.get(name);
    if (standing) standing.change += change;
    else this.#changes.set(name, { key: [submission, state], change });
  }

  [Symbol.iterator](): Iterator<{ readonly key: CountKey; readonly change: number }> {
    return this.#changes.values();
  }
}

/** Greater than every part of a key. */
const LAST = '\uffff';

export class LmdbLedger implements Ledger {
  readonly #entries: Database<LedgerEntry, EntryKey>;
  readonly #byState: Database<true, StateKey>;
  readonly #counts: Database<number, CountKey>;

  constructor(root: RootDatabase) {
    this.#entries = root.openDB({ name: 'ledger' });
    this.#byState = root.openDB({ name: 'ledger.states' });
    this.#counts = root.openDB({ name: 'ledger.counts' });
  }

  accept(keys: readonly LedgerKey[]): Promise<void> {
    return this.#write((changes) => {
      for (const key of keys) {
        const place = toKey(key);
        if (!this.#entries.get(place)) this.#put(place, { ...ledgerKey(key), state: 'accepted', updatedAt: Date.now() }, { standing: undefined, changes });
      }
    });
  }

  settle(outcomes: readonly LedgerOutcome[]): Promise<LedgerEntry[]> {
    return this.#write((changes) =>
      outcomes.map((outcome) => {
        const place = toKey(outcome);
        const standing = this.#entries.get(place);
        if (standing && standing.state !== 'accepted') return standing;
        const { state, id, code, message } = outcome;
        return this.#put(place, { ...ledgerKey(outcome), state, id, code, message, updatedAt: Date.now() }, { standing, changes });
      }),
    );
  }

  reopen(keys: readonly LedgerKey[]): Promise<void> {
    return this.#write((changes) => {
      for (const key of keys) {
        const place = toKey(key);
        const standing = this.#entries.get(place);
        if (standing?.state === 'dead') this.#put(place, { ...ledgerKey(key), state: 'accepted', updatedAt: Date.now() }, { standing, changes });
      }
    });
  }

  /** Runs a change of many entries; what it does to the counts is written once, in the same transaction. */
  #write<T>(operation: (changes: CountChanges) => T): Promise<T> {
    return commit(this.#entries, () => {
      const changes = new CountChanges();
      const result = operation(changes);
      for (const { key, change } of changes) void this.#counts.put(key, (this.#counts.get(key) ?? 0) + change);
      return result;
    });
  }

  #put(place: EntryKey, entry: LedgerEntry, { standing, changes }: { readonly standing: LedgerEntry | undefined; readonly changes: CountChanges }): LedgerEntry {
    if (standing) {
      void this.#byState.remove([standing.state, ...place]);
      changes.add(entry.submission, standing.state, -1);
    }
    void this.#entries.put(place, entry);
    void this.#byState.put([entry.state, ...place], true);
    changes.add(entry.submission, entry.state, 1);
    return entry;
  }

  getMany(keys: readonly LedgerKey[]): Promise<(LedgerEntry | undefined)[]> {
    return guard(() => keys.map((key) => this.#entries.get(toKey(key))));
  }

  /** Newest submissions first: their ids sort by time. */
  list({ submission, state, limit, after }: LedgerQueryOptions): Promise<LedgerPage> {
    return guard(() => {
      const prefix = [...(state === undefined ? [] : [state]), ...(submission === undefined ? [] : [submission])];
      const last = after === undefined ? [...prefix, LAST] : decodeCursor(after);
      const range: RangeOptions = { start: last, end: prefix.length === 0 ? [''] : prefix, reverse: true, limit: limit + 1 + (after === undefined ? 0 : 1) };
      const keys: string[][] = state === undefined ? Array.from(this.#entries.getKeys(range)) : Array.from(this.#byState.getKeys(range));
      const page = (after !== undefined && sameKey(keys[0], last) ? keys.slice(1) : keys).slice(0, limit + 1);
      const entries = page.slice(0, limit).flatMap((key) => this.#entries.get(key.slice(-3) as EntryKey) ?? []);
      return { entries, next: page.length > limit ? encodeCursor(page[limit - 1] as string[]) : undefined };
    });
  }

  counts(submission: string): Promise<Record<LedgerState, number>> {
    return guard(() => Object.fromEntries(LEDGER_STATES.map((state) => [state, this.#counts.get([submission, state]) ?? 0])) as Record<LedgerState, number>);
  }
}

function toKey({ submission, source, model }: LedgerKey): EntryKey {
  return [submission, hash('sha256', source, 'base64url'), model];
}

function sameKey(a: readonly string[] | undefined, b: readonly string[]): boolean {
  return a !== undefined && a.length === b.length && a.every((part, i) => part === b[i]);
}

function encodeCursor(key: readonly string[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url');
}

function decodeCursor(cursor: string): string[] {
  try {
    const key: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(key) && key.length >= 3 && key.length <= 4 && key.every((part): part is string => typeof part === 'string' && !part.includes('\0'))) return key;
  } catch {
    // Falls through: it is not one of ours.
  }
  throw cursorInvalid();
}
