/**
 * Embeds what nobody waits for: one call of the function, where it has room for many more, and given up as soon as a search
 * needs its place. It stands beside `Embedder`: a search that joined such a call would be given up with it.
 */
import type { EmbedClient, EmbedInput } from '../common/embed-client.js';
import { EisError, toEisError } from '../common/errors.js';
import type { ConcurrencyLimit } from './concurrency-limit.js';
import type { FoundEmbedding } from './embedder.js';
import type { FunctionCall } from './function-calls.js';

export interface SpareEmbedderOptions {
  readonly model: string;
  readonly client: Pick<EmbedClient, 'embed'>;
  readonly limit: Pick<ConcurrencyLimit, 'enterSpare'>;
}

export class SpareEmbedder {
  readonly #options: SpareEmbedderOptions;

  constructor(options: SpareEmbedderOptions) {
    this.#options = options;
  }

  /**
   * @throws EisError EIS_OVERLOADED when the function has no time for it; else as a call of the function does
   */
  async embed(input: EmbedInput, { signal, requestId }: FunctionCall): Promise<FoundEmbedding> {
    const { model, client, limit } = this.#options;
    const overloaded = (): EisError => new EisError('EIS_OVERLOADED', { detail: `The function that embeds images for model ${model} has no time for what nobody waits for.` });
    const ended = new AbortController();
    const place = limit.enterSpare(() => ended.abort(overloaded()));
    if (!place) throw overloaded();
    try {
      const embedding = await client.embed(input, { signal: AbortSignal.any([signal, ended.signal]), requestId, isBackground: true });
      place.answered();
      return { embedding, isCached: false };
    } catch (thrown) {
      if (toEisError(thrown).code === 'EIS_OVERLOADED' && !ended.signal.aborted) place.refused();
      throw thrown;
    } finally {
      place.leave();
    }
  }

  /** It remembers nothing. */
  forgetVersion(): void {}
}
