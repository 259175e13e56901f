/** find, aggregate and the cursors that they leave; count and distinct. */
import { Long, type Document } from 'bson';
import type { WireDatabase } from './wire-collection.js';
import { aggregated, projected, sorted } from './wire-evaluate.js';
import { WireError } from './wire-error.js';

const BATCH = 101;

interface OpenCursor {
  readonly namespace: string;
  rest: Document[];
}

export class WireReads {
  readonly #cursors = new Map<number, OpenCursor>();
  #lastCursor = 0;

  get openCursors(): number {
    return this.#cursors.size;
  }

  forgetCursors(): void {
    this.#cursors.clear();
  }

  isRead(name: string): boolean {
    return ['find', 'aggregate', 'getMore', 'killCursors', 'count', 'distinct', 'listCollections', 'listIndexes'].includes(name);
  }

  run(name: string, command: Document, { database, now }: { readonly database: WireDatabase; readonly now: Date }): Document {
    const of = command[name] as string;
    const collection = database.collections.get(of);
    const namespace = `${command['$db']}.${of}`;
    const found = (filter: unknown): Document[] => collection?.find((filter ?? {})) ?? [];
    switch (name) {
      case 'find':
        return this.#open(namespace, this.#find(found(command['filter']), command), command['batchSize'], command['singleBatch'] === true);
      case 'aggregate':
        return this.#open(namespace, aggregated([...(collection?.documents.values() ?? [])], command['pipeline'] as Document[], now), (command['cursor'] as Document)['batchSize']);
      case 'listCollections':
        return this.#open(`${command['$db']}.$cmd.listCollections`, [...database.collections.keys()].map((each) => ({ name: each, type: 'collection' })), undefined);
      case 'listIndexes':
        if (!collection) throw new WireError(26, 'NamespaceNotFound');
        return this.#open(namespace, collection.indexes, undefined);
      case 'count':
        return { ok: 1, n: found(command['query']).length };
      case 'distinct':
        return { ok: 1, values: [...new Set(found(command['query']).map((document) => document[command['key'] as string] as unknown))] };
      case 'getMore':
        return this.#more(command);
      default:
        for (const id of command['cursors'] as (Long | number)[]) this.#cursors.delete(Number(id));
        return { ok: 1, cursorsKilled: command['cursors'] as unknown, cursorsNotFound: [], cursorsAlive: [], cursorsUnknown: [] };
    }
  }

  #find(documents: Document[], { sort, skip, limit, projection }: Document): Document[] {
    const from = Number(skip ?? 0);
    const page = sorted(documents, (sort ?? {}) as Document).slice(from, limit ? from + Math.abs(Number(limit)) : undefined);
    return page.map((document) => projected(document, (projection ?? {}) as Document));
  }

  #open(namespace: string, documents: Document[], batchSize: unknown, isSingle = false): Document {
    const size = Number(batchSize ?? BATCH);
    const [firstBatch, rest] = [documents.slice(0, size), documents.slice(size)];
    if (rest.length === 0 || isSingle) return { ok: 1, cursor: { id: Long.ZERO, ns: namespace, firstBatch } };
    const id = ++this.#lastCursor;
    this.#cursors.set(id, { namespace, rest });
    return { ok: 1, cursor: { id: Long.fromNumber(id), ns: namespace, firstBatch } };
  }

  #more(command: Document): Document {
    const id = Number(command['getMore']);
    const cursor = this.#cursors.get(id);
    if (!cursor) throw new WireError(43, 'CursorNotFound');
    const size = Number(command['batchSize'] ?? cursor.rest.length);
    const nextBatch = cursor.rest.slice(0, size);
    cursor.rest = cursor.rest.slice(size);
    if (cursor.rest.length === 0) this.#cursors.delete(id);
    return { ok: 1, cursor: { id: cursor.rest.length === 0 ? Long.ZERO : Long.fromNumber(id), ns: cursor.namespace, nextBatch } };
  }
}
