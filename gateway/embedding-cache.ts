/** The latest embeddings by what they are of, so that an image that is searched again costs no call of the function. */
import type { Embedding } from '../common/wire.js';

/** What an entry takes beside its numbers: keys, texts and objects, roughly. */
const ENTRY_BYTES = 600;

/**
 * Least recently used goes first, bounded in bytes. An embedding is good for the model version that the function answered
 * with last: when the function is deployed anew, nothing of the version before is found any more.
 */
export class EmbeddingCache {
  readonly #bytesMax: number;
  readonly #entries = new Map<string, Embedding>();
  #bytes = 0;
  #version: string | undefined;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** @param sha256 of the image's bytes, hex */
  get(sha256: string): Embedding | undefined {
    if (this.#version === undefined) return undefined;
    const key = keyOf(this.#version, sha256);
    const embedding = this.#entries.get(key);
    if (!embedding) return undefined;
    this.#entries.delete(key); // to the end of the order
    this.#entries.set(key, embedding);
    return embedding;
  }

  /** Keeps what the function has just answered. */
  set(sha256: string, embedding: Embedding): void {
    this.#version = embedding.modelVersion;
    const key = keyOf(embedding.modelVersion, sha256);
    const bytes = bytesOf(embedding);
    if (bytes > this.#bytesMax) return;
    this.#remove(key);
    this.#entries.set(key, embedding);
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#remove(oldest);
    }
  }

  /** The function has to be asked again which version it runs: nothing is found until it answered. */
  forgetVersion(): void {
    this.#version = undefined;
  }

  #remove(key: string): void {
    const embedding = this.#entries.get(key);
    if (!embedding) return;
    this.#entries.delete(key);
    this.#bytes -= bytesOf(embedding);
  }
}

function keyOf(version: string, sha256: string): string {
  return `${version}/${sha256}`;
}

function bytesOf({ vector }: Embedding): number {
  return vector.byteLength + ENTRY_BYTES;
}
