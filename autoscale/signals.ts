/** What is asked of Prometheus about a Deployment, and what is made of the answers. */
import { EisError } from '../common/errors.js';
import type { Prometheus } from './prometheus.js';
import type { ScaleTarget } from './target.js';

/** How much there is to do. */
export interface Signal {
  /** Of gateways, the requests that are being answered, by all of them together, in the mean of the last minute; of workers, the seconds for which the foremost message has waited. */
  readonly value: number;
  /** Pods that say what they do. */
  readonly pods: number;
  /** Of workers: what they wait for, and more of them would not help. */
  readonly waitingFor?: string;
}

/** A sample is stale when it is older than four scrapes that should have been. */
export const STALE_S = 60;

export interface SignalQueries {
  readonly value: string;
  readonly pods: string;
  readonly age: string;
  /** Of workers alone. */
  readonly waiting?: string;
}

/** PromQL for each thing that is asked, over the names that `/metrics` of the roles has (`monitoring` renders the scrape configuration). */
export function queriesOf({ role, model }: Pick<ScaleTarget, 'role' | 'model'>): SignalQueries {
  const of = `model=${JSON.stringify(model)}`;
  if (role === 'gateway') {
    const busy = `eis_requests_in_flight{role="gateway",${of}}`;
    return { value: `sum(avg_over_time(${busy}[1m]))`, pods: `count(${busy})`, age: `time() - min(timestamp(${busy}))` };
  }
  // Whoever is asked says the same of a queue: the wrapper does while no worker runs.
  const oldest = `eis_queue_oldest_age_seconds{${of}}`;
  return {
    value: `max(${oldest})`,
    pods: `count(eis_ingest_in_flight{role="worker",${of}})`,
    age: `time() - min(timestamp(${oldest}))`,
    waiting: `max by (part) (eis_ingest_waiting{role="worker",${of}}) == 1`,
  };
}

/**
 * @throws EisError EIS_PROMETHEUS when it does not answer, knows nothing of this Deployment, or what it knows is stale; the
 *   signal's reason
 */
export async function readSignal(target: ScaleTarget, prometheus: Prometheus, signal: AbortSignal): Promise<Signal> {
  const queries = queriesOf(target);
  const ask = (promql: string): ReturnType<Prometheus['query']> => prometheus.query(promql, signal);
  const [values, pods, ages, waits] = await Promise.all([ask(queries.value), ask(queries.pods), ask(queries.age), queries.waiting === undefined ? [] : ask(queries.waiting)]);
  const [value, age] = [values[0]?.value, ages[0]?.value];
  const silent = (detail: string): EisError => new EisError('EIS_PROMETHEUS', { url: prometheus.url, detail });
  if (value === undefined || age === undefined || !Number.isFinite(value)) throw silent(`it knows nothing of ${target.deployment} (${queries.value}).`);
  if (age > STALE_S) throw silent(`what it knows of ${target.deployment} is ${Math.round(age)} s old.`);
  const parts = waits.map(({ labels }) => labels['part'] ?? 'something');
  return { value, pods: pods[0]?.value ?? 0, ...(parts.length > 0 && { waitingFor: parts.join(' and ') }) };
}
