/** The data of one collection, in memory. */
import type { Document } from 'bson';
import { matching } from './wire-evaluate.js';

export class WireCollection {
  /** By id. The store's ids are strings, and so are all here. */
  readonly documents = new Map<string, Document>();
  readonly indexes: Document[] = [{ v: 2, name: '_id_', key: { _id: 1 } }];

  /** Documents that match; those of one id, or of some, are not searched for. */
  find(filter: Document): Document[] {
    const id: unknown = filter['_id'];
    const ids = typeof id === 'string' ? [id] : (id as { $in?: string[] } | undefined)?.$in;
    return matching(ids ? ids.flatMap((one) => this.documents.get(one) ?? []) : this.documents.values(), filter);
  }

  put(document: Document): void {
    this.documents.set(document['_id'] as string, document);
  }
}

/** A database: collections are made when they are first written to. */
export class WireDatabase {
  readonly collections = new Map<string, WireCollection>();

  collection(name: string): WireCollection {
    const standing = this.collections.get(name);
    if (standing) return standing;
    const made = new WireCollection();
    this.collections.set(name, made);
    return made;
  }
}
