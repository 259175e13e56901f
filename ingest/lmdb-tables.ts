/** What the tables have in common that ingest keeps in LMDB. */
import { createHash } from 'node:crypto';
import type { Database } from 'lmdb';

/** A key for a text of any length, such as a path or a URL: those of LMDB are short. */
export function digestKey(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

export function entryCount(table: Pick<Database, 'getStats'>): number {
  return (table.getStats() as { entryCount: number }).entryCount;
}
