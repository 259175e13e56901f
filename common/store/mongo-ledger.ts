/**
 * The ledger in MongoDB: one document for each entry. Its `_id` is its key, so that there is one entry of a key in a
 * cluster sharded by `_id`, and begins with the submission, so that ids sort as lists do.
 */
import { createHash } from 'node:crypto';
import type { Collection, Document } from 'mongodb';
import { EisError, cursorInvalid } from '../errors.js';
import { LEDGER_STATES, type LedgerState } from '../wire.js';
import type { MongoConnection } from './mongo-connection.js';
import { toEntry, type LedgerDocument } from './mongo-documents.js';
import { LEDGER_COLLECTION } from './mongo-schema.js';
import type { Update } from './mongo-updates.js';
import { upsertAll } from './mongo-upsert.js';
import { ledgerKey, type Ledger, type LedgerEntry, type LedgerKey, type LedgerOutcome, type LedgerPage, type LedgerQueryOptions } from './store.js';

/** Between the parts of an id; it sorts before every character of them, `PAST_SEPARATOR` right after it. */
const SEPARATOR = '\n';
const PAST_SEPARATOR = '\u000b';

export class MongoLedger implements Ledger {
  readonly #connection: MongoConnection;
  readonly #entries: Collection<LedgerDocument>;
  readonly #timeoutMs: number;

  /** @param timeoutMs after which the server stops looking */
  constructor(connection: MongoConnection, timeoutMs: number) {
    this.#connection = connection;
    this.#entries = connection.db.collection(LEDGER_COLLECTION);
    this.#timeoutMs = timeoutMs;
  }

  accept(keys: readonly LedgerKey[]): Promise<void> {
    const isUnknown = { $eq: [{ $type: '$state' }, 'missing'] };
    return this.#upsert(keys.map((key) => ({ id: ledgerId(key), pipeline: replaceIf(isUnknown, { ...ledgerKey(key), state: 'accepted' }) })));
  }

  async settle(outcomes: readonly LedgerOutcome[]): Promise<LedgerEntry[]> {
    const isOpen = { $in: [{ $ifNull: ['$state', 'accepted'] }, ['accepted']] };
    await this.#upsert(
      outcomes.map(({ state, id, code, message, ...key }) => ({ id: ledgerId(key), pipeline: replaceIf(isOpen, { ...ledgerKey(key), state, id, code, message }) })),
    );
    const standing = await this.getMany(outcomes);
    return standing.map((entry) => {
      if (entry === undefined) throw new EisError('EIS_STORE_UNAVAILABLE', { detail: 'an outcome is gone right after it was written: somebody drops the ledger.' }, { retryAfterS: 1 });
      return entry;
    });
  }

  async reopen(keys: readonly LedgerKey[]): Promise<void> {
    const reopened = [{ $set: { state: 'accepted', updated_at: '$$NOW' } }, { $unset: ['id', 'code', 'message'] }];
    const updates = keys.map((key) => ({ updateOne: { filter: { _id: ledgerId(key), state: 'dead' as const }, update: reopened } }));
    if (updates.length > 0) await this.#connection.run(() => this.#entries.bulkWrite(updates, { ordered: false }));
  }

  async getMany(keys: readonly LedgerKey[]): Promise<(LedgerEntry | undefined)[]> {
    const ids = keys.map(ledgerId);
    const documents = await this.#connection.run(() => this.#entries.find({ _id: { $in: ids } }).toArray());
    const byId = new Map(documents.map((document) => [document._id, toEntry(document)]));
    return ids.map((id) => byId.get(id));
  }

  /** Newest submissions first: their ids sort by time. */
  async list({ submission, state, limit, after }: LedgerQueryOptions): Promise<LedgerPage> {
    const range: Document = {
      ...(submission === undefined ? {} : { $gte: `${submission}${SEPARATOR}`, $lt: `${submission}${PAST_SEPARATOR}` }),
      ...(after === undefined ? {} : { $lt: decodeCursor(after) }),
    };
    const filter = { ...(state === undefined ? {} : { state }), ...(Object.keys(range).length === 0 ? {} : { _id: range }) };
    const documents = await this.#connection.run(() => this.#entries.find(filter, { sort: { _id: -1 }, limit: limit + 1, maxTimeMS: this.#timeoutMs }).toArray());
    const page = documents.slice(0, limit);
    return { entries: page.map(toEntry), next: documents.length > limit ? encodeCursor((page.at(-1) as LedgerDocument)._id) : undefined };
  }

  async counts(submission: string): Promise<Record<LedgerState, number>> {
    const pipeline = [{ $match: { submission } }, { $group: { _id: '$state', count: { $sum: 1 } } }];
    const counted = await this.#connection.run(() => this.#entries.aggregate<{ _id: LedgerState; count: number }>(pipeline, { maxTimeMS: this.#timeoutMs }).toArray());
    const byState = new Map(counted.map(({ _id, count }) => [_id, count]));
    return Object.fromEntries(LEDGER_STATES.map((state) => [state, byState.get(state) ?? 0])) as Record<LedgerState, number>;
  }

  /** Of several updates of one id the first is applied: where it does not change an entry, neither would the next. */
  async #upsert(updates: readonly Update[]): Promise<void> {
    const firstById = new Map([...updates].reverse().map((update) => [update.id, update]));
    if (firstById.size > 0) await this.#connection.run(() => upsertAll(this.#entries, [...firstById.values()]));
  }
}

/** Puts an entry in the place of what stands there, under a condition of that; it stays as it is otherwise. */
function replaceIf(condition: Document, entry: Document): Document[] {
  const literals = Object.entries(entry).filter(([, value]) => value !== undefined).map(([name, value]) => [name, { $literal: value as unknown }]);
  return [{ $replaceWith: { $cond: [condition, { _id: '$_id', ...Object.fromEntries(literals), updated_at: '$$NOW' }, '$$ROOT'] } }];
}

/** The source is hashed: it may be longer than an index takes. */
function ledgerId({ submission, source, model }: LedgerKey): string {
  return [submission, createHash('sha256').update(source).digest('base64url'), model].join(SEPARATOR);
}

function encodeCursor(id: string): string {
  return Buffer.from(id).toString('base64url');
}

function decodeCursor(cursor: string): string {
  const id = Buffer.from(cursor, 'base64url').toString('utf8');
  if (/^[^\n]*\n[\w-]{43}\n[^\n]+$/.test(id)) return id;
  throw cursorInvalid();
}
