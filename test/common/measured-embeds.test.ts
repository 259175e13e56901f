import { describe, expect, it } from 'vitest';
import type { EmbedClient } from '../../common/embed-client.js';
import { EisError } from '../../common/errors.js';
import { createMeasureEmbeds } from '../../common/measured-embeds.js';
import { Metrics } from '../../common/metrics.js';
import type { Embedding } from '../../common/wire.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';

const EMBEDDING = { modelVersion: 'v' } as Embedding;

describe('createMeasureEmbeds()', () => {
  it('counts every call by what came of it, and times those that gave an embedding or none in time', async () => {
    const metrics = new Metrics('gateway');
    const answers: (Error | Embedding)[] = [EMBEDDING, EMBEDDING, new EisError('EIS_OVERLOADED', { detail: 'Full.' }), new EisError('EIS_FUNCTION_TIMEOUT', { model: 'm', timeoutMs: 5 }), new Error('The worker is closing.')];
    const inner: EmbedClient = {
      embed: async () => {
        const answer = answers.shift()!;
        if (answer instanceof Error) throw answer;
        return answer;
      },
      close: async () => undefined,
    };
    const client = createMeasureEmbeds(metrics)('m', inner);
    const results = await Promise.all([...answers].map(() => client.embed({ url: 'https://example.com/a.jpg' }).catch((error: unknown) => error)));
    expect(results.slice(0, 2)).toEqual([EMBEDDING, EMBEDDING]);
    expect(results[2]).toMatchObject({ code: 'EIS_OVERLOADED' });
    const samples = parsePrometheus(await metrics.text());
    const calls = (outcome: string): number => sumOf(samples, 'eis_embed_calls_total', { model: 'm', outcome });
    expect(['ok', 'EIS_OVERLOADED', 'EIS_FUNCTION_TIMEOUT', 'given_up'].map(calls)).toEqual([2, 1, 1, 1]);
    expect(sumOf(samples, 'eis_embed_call_duration_seconds_count', { model: 'm' })).toBe(3);
  });
});
