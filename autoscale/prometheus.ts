/** Asks Prometheus: instant queries of its HTTP API (https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries). */
import { request } from 'undici';
import { EisError } from '../common/errors.js';
import { readResponse, tryParseJson } from '../common/read-bounded.js';

/** One element of an instant vector. */
export interface PromSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Prometheus {
  readonly url: string;
  /**
   * The vector that a PromQL expression comes to now; empty when no series fits.
   *
   * @throws EisError EIS_PROMETHEUS; the signal's reason
   */
  query(promql: string, signal: AbortSignal): Promise<PromSample[]>;
}

interface Answer {
  readonly status?: string;
  readonly data?: { readonly resultType?: string; readonly result?: readonly { readonly metric?: Record<string, string>; readonly value?: readonly [number, string] }[] };
  readonly errorType?: string;
  readonly error?: string;
}

const ANSWER_BYTES_MAX = 1024 * 1024;

/** @param url of its root, such as http://prometheus:9090 */
export function createPrometheus(url: string): Prometheus {
  const failed = (detail: string, cause?: unknown): EisError => new EisError('EIS_PROMETHEUS', { url, detail }, { cause });
  return {
    url,
    async query(promql, signal) {
      const { statusCode, text } = await ask(`${url}/api/v1/query?${new URLSearchParams({ query: promql }).toString()}`, signal).catch((cause: unknown) => {
        if (signal.aborted) throw signal.reason;
        throw failed('it does not answer.', cause);
      });
      const answer = tryParseJson(text) as Answer | undefined;
      if (answer?.status === 'error') throw failed(`it refuses the query ${promql}: ${answer.errorType ?? 'error'}: ${answer.error ?? 'it does not say why'}.`);
      if (statusCode !== 200 || answer?.status !== 'success') throw failed(`it answers ${statusCode}, and not as Prometheus does.`);
      const { resultType, result = [] } = answer.data ?? {};
      if (resultType !== 'vector') throw failed(`the query ${promql} comes to a ${resultType ?? 'nothing'} where a vector was expected.`);
      return result.map(({ metric = {}, value }) => ({ labels: metric, value: Number(value?.[1]) }));
    },
  };
}

async function ask(url: string, signal: AbortSignal): Promise<{ readonly statusCode: number; readonly text: Buffer }> {
  const { statusCode, body } = await request(url, { headers: { accept: 'application/json' }, signal });
  const text = await readResponse(body, ANSWER_BYTES_MAX);
  if (!text) throw new Error(`more than ${ANSWER_BYTES_MAX} bytes`);
  return { statusCode, text };
}
