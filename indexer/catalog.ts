/** What a pod knows of each image besides its vector: what a hit is answered with, and the version it has of it. */
import type { StoredRecord } from '../common/store/store.js';
import type { IndexHit } from '../common/wire.js';

export type CatalogEntry = Pick<StoredRecord, 'urls' | 'width' | 'height' | 'phash' | 'updatedAt'>;

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
}
