/** What queries and updates mean, by mingo; orders and projections as far as they are plain. */
import { serialize, type Document } from 'bson';
import { Aggregator, Query, update as modify } from 'mingo';

export function matching(documents: Iterable<Document>, filter: Document): Document[] {
  if (Object.keys(filter).length === 0) return [...documents];
  const query = new Query(filter);
  return Array.from(documents).filter((document) => query.test(document));
}

export function aggregated(documents: Document[], pipeline: Document[], now: Date): Document[] {
  return new Aggregator(withNow(pipeline, now) as Document[]).run<Document>(documents);
}

/** The document after an update, which stands as it is. */
export function updated(document: Document, change: Document | Document[], now: Date): Document {
  if (Array.isArray(change)) {
    const [result] = aggregated([{ ...document }], change, now);
    return { _id: document['_id'] as unknown, ...(result as Document) };
  }
  if (!Object.keys(change).every((name) => name.startsWith('$'))) return { _id: document['_id'] as unknown, ...change };
  const copy = { ...document };
  modify(copy, change);
  return copy;
}

/** mingo has no clock that can be set, so the time is put in where it is asked for. */
function withNow(expression: unknown, now: Date): unknown {
  if (expression === '$$NOW') return now;
  if (Array.isArray(expression)) return expression.map((part) => withNow(part, now));
  if (typeof expression !== 'object' || expression === null || Object.getPrototypeOf(expression) !== Object.prototype) return expression;
  return Object.fromEntries(Object.entries(expression).map(([name, part]) => [name, name === '$literal' ? (part as unknown) : withNow(part, now)]));
}

export function isSame(a: Document, b: Document): boolean {
  return Buffer.compare(serialize(a), serialize(b)) === 0;
}

export function sorted(documents: Document[], order: Document): Document[] {
  const keys = Object.entries(order) as [string, number][];
  if (keys.length === 0) return documents;
  return [...documents].sort((a, b) => {
    for (const [name, direction] of keys) {
      const difference = compare(a[name], b[name]);
      if (difference !== 0) return difference * direction;
    }
    return 0;
  });
}

function compare(a: unknown, b: unknown): number {
  const [left, right] = [a, b].map((value) => (value instanceof Date ? value.getTime() : (value as number | string | undefined)));
  if (left === right) return 0;
  if (left === undefined) return -1;
  return right === undefined || left > right ? 1 : -1;
}

/** Fields named with 1 (and the id), or all but those named with 0. */
export function projected(document: Document, projection: Document): Document {
  const { _id: id, ...others } = projection;
  const names = Object.keys(others);
  if (names.length === 0 && id === undefined) return document;
  const isInclusive = Object.values(others).some(Boolean) || (names.length === 0 && Boolean(id));
  const keeps = (name: string): boolean => (name === '_id' ? id !== 0 : isInclusive === names.includes(name));
  return Object.fromEntries(Object.entries(document).filter(([name]) => keeps(name)));
}
