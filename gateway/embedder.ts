/**
 * An image to its embedding, by as few calls of the function as do: what was embedded lately is remembered, and the same
 * image under way is waited for.
 */
import type { EmbedInput } from '../common/embed-client.js';
import { sha256 } from '../common/sha256.js';
import type { Embedding } from '../common/wire.js';
import type { EmbedMetrics } from './embed-metrics.js';
import type { EmbeddingCache } from './embedding-cache.js';
import type { FunctionCall, FunctionCalls } from './function-calls.js';
import { SharedCalls } from './shared-calls.js';

export interface FoundEmbedding {
  readonly embedding: Embedding;
  /** Remembered, not computed for this call. */
  readonly isCached: boolean;
}

export interface EmbedderOptions {
  readonly calls: FunctionCalls;
  readonly cache: EmbeddingCache;
  readonly metrics: EmbedMetrics;
}

export class Embedder {
  readonly #options: EmbedderOptions;
  readonly #shared = new SharedCalls<Embedding>();

  constructor(options: EmbedderOptions) {
    this.#options = options;
  }

  /** @throws what `FunctionCalls.embed` does */
  async embed(input: EmbedInput, { signal, requestId }: FunctionCall): Promise<FoundEmbedding> {
    const { calls, cache, metrics } = this.#options;
    if ('url' in input) return { embedding: await this.#share(input.url, signal, (left) => calls.embed(input, { signal: left, requestId })), isCached: false };
    const id = await sha256(input.bytes);
    const known = cache.get(id);
    metrics.looked(known !== undefined);
    if (known) return { embedding: known, isCached: true };
    const embedding = await this.#share(id, signal, async (left) => {
      const embedded = await calls.embed(input, { signal: left, requestId });
      cache.set(id, embedded);
      return embedded;
    });
    return { embedding, isCached: false };
  }

  /** What is remembered is not used until the function has said again which version it runs. */
  forgetVersion(): void {
    this.#options.cache.forgetVersion();
  }

  #share(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<Embedding>): Promise<Embedding> {
    if (this.#shared.has(key)) this.#options.metrics.shared();
    return this.#shared.run(key, signal, work);
  }
}
