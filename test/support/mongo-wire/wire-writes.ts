/** insert, update, delete and findAndModify, one statement after another. */
import type { Document } from 'bson';
import type { WireCollection, WireDatabase } from './wire-collection.js';
import { isSame, projected, sorted, updated } from './wire-evaluate.js';
import type { Effect } from './wire-faults.js';

export interface WriteContext {
  readonly database: WireDatabase;
  readonly now: Date;
  readonly effect: Effect | undefined;
  /** What statements of this transaction number did before: a retry is answered with that, and not applied again. */
  readonly done: Map<number, Document>;
}

const WRITES: Readonly<Record<string, (command: Document, context: WriteContext) => Document>> = { insert, update, delete: remove, findAndModify };

export function isWrite(name: string): boolean {
  return Object.hasOwn(WRITES, name);
}

export function runWrite(name: string, command: Document, context: WriteContext): Document {
  return (WRITES[name] as (typeof WRITES)[string])(command, context);
}

type Statement = (statement: Document, collection: WireCollection) => Document;

/** Applies each statement that was not applied before, and counts what all of them did. */
function applyAll(statements: Document[], { collection, context, apply }: { collection: WireCollection; context: WriteContext; apply: Statement }): Document {
  const reply = { ok: 1, n: 0, nModified: 0, upserted: [] as Document[], writeErrors: [] as Document[] };
  for (const [index, statement] of statements.entries()) {
    const result = context.done.get(index) ?? apply(statement, collection);
    if (result['code'] !== undefined) {
      reply.writeErrors.push({ index, ...result });
      continue;
    }
    context.done.set(index, result);
    reply.n += Number(result['n']);
    reply.nModified += Number(result['nModified'] ?? 0);
    if (result['upserted'] !== undefined) reply.upserted.push({ index, _id: result['upserted'] as unknown });
  }
  const { upserted, writeErrors, ...counts } = reply;
  return { ...counts, ...(upserted.length > 0 ? { upserted } : {}), ...(writeErrors.length > 0 ? { writeErrors } : {}) };
}

const DUPLICATE = { code: 11000, errmsg: 'E11000 duplicate key error', keyPattern: { _id: 1 } };

function insert(command: Document, context: WriteContext): Document {
  const collection = context.database.collection(command['insert'] as string);
  const apply: Statement = (document) => {
    if (collection.documents.has(document['_id'] as string)) return DUPLICATE;
    collection.put(document);
    return { n: 1 };
  };
  return applyAll(command['documents'] as Document[], { collection, context, apply });
}

function update(command: Document, context: WriteContext): Document {
  const collection = context.database.collection(command['update'] as string);
  const apply: Statement = ({ q, u, upsert, multi }) => {
    const found = collection.find(q as Document);
    if (found.length === 0) return upsert === true ? upsertOne(collection, { filter: q as Document, change: u as Document, context }) : { n: 0, nModified: 0 };
    const due = multi === true ? found : found.slice(0, 1);
    return { n: due.length, nModified: due.filter((document) => change(collection, { document, by: u as Document, now: context.now })).length };
  };
  return applyAll(command['updates'] as Document[], { collection, context, apply });
}

/** Whether it changed anything. */
function change(collection: WireCollection, { document, by, now }: { document: Document; by: Document; now: Date }): boolean {
  const result = updated(document, by, now);
  if (isSame(result, document)) return false;
  collection.put(result);
  return true;
}

function upsertOne(collection: WireCollection, { filter, change: by, context }: { filter: Document; change: Document; context: WriteContext }): Document {
  if (context.effect?.kind === 'race') {
    context.effect.meanwhile?.();
    return DUPLICATE;
  }
  const id: unknown = filter['_id'];
  collection.put(updated({ _id: id }, by, context.now));
  return { n: 1, nModified: 0, upserted: id };
}

function remove(command: Document, context: WriteContext): Document {
  const collection = context.database.collection(command['delete'] as string);
  const apply: Statement = ({ q, limit }) => {
    const due = collection.find(q as Document).slice(0, limit === 1 ? 1 : undefined);
    for (const { _id } of due) collection.documents.delete(_id as string);
    return { n: due.length };
  };
  return applyAll(command['deletes'] as Document[], { collection, context, apply });
}

function findAndModify(command: Document, context: WriteContext): Document {
  const collection = context.database.collection(command['findAndModify'] as string);
  const { query, sort, update: by, upsert, new: isAfter, fields } = command as { query: Document; sort?: Document; update: Document; upsert?: boolean; new?: boolean; fields?: Document };
  const apply: Statement = () => {
    const [before] = sorted(collection.find(query), sort ?? {});
    if (!before && upsert !== true) return { ok: 1, value: null, lastErrorObject: { n: 0, updatedExisting: false } };
    const result = before ? { n: Number(change(collection, { document: before, by, now: context.now })) } : upsertOne(collection, { filter: query, change: by, context });
    if (result['code'] !== undefined) return result;
    const after = collection.documents.get((before?.['_id'] ?? query['_id']) as string);
    const value = isAfter === true ? after : before;
    return { ok: 1, value: value ? projected(value, fields ?? {}) : null, lastErrorObject: { n: 1, updatedExisting: before !== undefined } };
  };
  const result = context.done.get(0) ?? apply({}, collection);
  if (result['code'] !== undefined) return { ok: 0, codeName: 'DuplicateKey', ...result };
  context.done.set(0, result);
  return result;
}
