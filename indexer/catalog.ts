/** What a pod knows of each image besides its vector: what a hit is answered with, and the version it has of it. */
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import type { StoredRecord } from '../common/store/store.js';
import type { IndexHit } from '../common/wire.js';

export type CatalogEntry = Pick<StoredRecord, 'urls' | 'width' | 'height' | 'phash' | 'updatedAt'>;

/** Entries that are written, or read, in one turn of the event loop. */
const STEP = 4_096;

export class Catalog {
  readonly #entries = new Map<string, CatalogEntry>();

  get size(): number {
    return this.#entries.size;
  }

  get(id: string): CatalogEntry | undefined {
    return this.#entries.get(id);
  }

  /** Keeps what is needed of a record; its vector is the index's. */
  set({ id, urls, width, height, phash, updatedAt }: StoredRecord): void {
    this.#entries.set(id, { urls, width, height, phash, updatedAt });
  }

  /** A hit as it is answered; none when the image was removed in this very moment. */
  describe(id: string, score: number): IndexHit[] {
    const entry = this.#entries.get(id);
    if (!entry) return [];
    const { urls, width, height, phash } = entry;
    return [{ id, score, url: urls[0] ?? '', urls: [...urls], width, height, phash }];
  }

  delete(id: string): void {
    this.#entries.delete(id);
  }

  ids(): Iterable<string> {
    return this.#entries.keys();
  }

  /** All entries as pieces of JSON, for `restore`. Nothing may be changed until it resolves. */
  async save(): Promise<Buffer[]> {
    const pieces: Buffer[] = [];
    let step: (readonly [string, CatalogEntry])[] = [];
    for (const entry of this.#entries) {
      if (step.push(entry) < STEP) continue;
      pieces.push(Buffer.from(JSON.stringify(step)));
      step = [];
      await yieldToLoop();
    }
    return [...pieces, Buffer.from(JSON.stringify(step))];
  }

  /** Takes the entries of a piece. */
  restore(piece: Buffer): void {
    for (const [id, entry] of JSON.parse(piece.toString()) as (readonly [string, CatalogEntry])[]) this.#entries.set(id, entry);
  }
}
