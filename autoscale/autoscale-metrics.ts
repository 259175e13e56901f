/** What the autoscaler counts. */
import type { Metrics } from '../common/metrics.js';
import type { ScaleTarget } from './target.js';

export interface AutoscaleMetrics {
  /** @param signal what there is to do (`Signal.value`) */
  observed(target: ScaleTarget, replicas: { readonly current: number; readonly wanted: number }, signal: number): void;
  changed(target: ScaleTarget, direction: 'up' | 'down'): void;
  /** Nothing could be decided, or done. */
  failed(target: ScaleTarget, code: string): void;
}

/** Without `--apply`, what would be changed is counted as if it was. */
export function createAutoscaleMetrics(metrics: Metrics, targets: readonly ScaleTarget[]): AutoscaleMetrics {
  const labels = ['deployment', 'model'] as const;
  const current = metrics.gauge('autoscale_replicas', 'Pods that a Deployment is to have', labels);
  const wanted = metrics.gauge('autoscale_replicas_wanted', 'Pods that it is given by the last decision', labels);
  const signals = metrics.gauge('autoscale_signal', 'What the last decision is made from: requests that are being answered, or seconds for which the foremost message has waited', labels);
  const decidedAt = metrics.gauge('autoscale_last_decision_timestamp_seconds', 'When something was decided last, since 1970', labels);
  const changes = metrics.counter('autoscale_changes_total', 'Changes of a number of pods', [...labels, 'direction']);
  const failures = metrics.counter('autoscale_failures_total', 'Rounds in which nothing could be decided or done, by the code of the error', [...labels, 'code']);
  const namesOf = ({ deployment, model }: ScaleTarget): { deployment: string; model: string } => ({ deployment, model });
  for (const target of targets) for (const direction of ['up', 'down']) changes.inc({ ...namesOf(target), direction }, 0);
  return {
    observed(target, replicas, signal) {
      current.set(namesOf(target), replicas.current);
      wanted.set(namesOf(target), replicas.wanted);
      signals.set(namesOf(target), signal);
      decidedAt.set(namesOf(target), Date.now() / 1000);
    },
    changed: (target, direction) => changes.inc({ ...namesOf(target), direction }),
    failed: (target, code) => failures.inc({ ...namesOf(target), code }),
  };
}
