/** Calls of the function as who makes them measures them: a function in the cloud is scraped by nobody. */
import type { EmbedClient } from './embed-client.js';
import { isEisError } from './errors.js';
import type { Metrics } from './metrics.js';

/** The client of a model's function, measured. */
export type MeasureEmbeds = (model: string, client: EmbedClient) => EmbedClient;

/** Of a call that the caller gave up itself, for no error of ours: it closes, or wants the image no more. */
const GIVEN_UP = 'given_up';

export function createMeasureEmbeds(metrics: Metrics): MeasureEmbeds {
  const calls = metrics.counter('embed_calls_total', 'Calls of the function, each attempt, by outcome: ok, given_up, or the code of the error', ['model', 'outcome']);
  const seconds = metrics.histogram('embed_call_duration_seconds', 'Time of the calls of the function that gave an embedding, or none in time', ['model']);
  return (model, client) => ({
    async embed(input, call) {
      const startedAt = performance.now();
      const count = (outcome: string): void => {
        calls.inc({ model, outcome });
        if (outcome === 'ok' || outcome === 'EIS_FUNCTION_TIMEOUT') seconds.observe({ model }, (performance.now() - startedAt) / 1000);
      };
      try {
        const embedding = await client.embed(input, call);
        count('ok');
        return embedding;
      } catch (thrown) {
        count(isEisError(thrown) ? thrown.code : GIVEN_UP);
        throw thrown;
      }
    },
    close: () => client.close(),
  });
}
