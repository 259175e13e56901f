/** Whether the processes are there. Nothing of Kubernetes is asked, so what they say of themselves has to do. */
import { alert, type RuleGroup } from './rule.js';

export function targetRules(jobs: readonly string[]): RuleGroup {
  return {
    name: 'targets',
    rules: [
      alert('EisTargetDown', {
        severity: 'warning',
        lasting: '5m',
        expr: 'up == 0',
        summary: '{{ $labels.job }} at {{ $labels.instance }} has not answered Prometheus for five minutes.',
        action: 'Find the pod by its address (oc get pods -o wide) and read why it is not well: oc describe pod, then oc logs --previous.',
      }),
      alert('EisRoleGone', {
        severity: 'critical',
        lasting: '2m',
        expr: [...jobs.map((job) => `absent(up{job="${job}"})`), 'sum by (job) (up) == 0'].join('\nor '),
        summary: 'No pod of {{ $labels.job }} answers Prometheus.',
        action: 'See whether its pods exist (oc get pods) and why they do not start (oc describe); after a change of the configuration, apply the one of before: eis deploy --apply.',
      }),
      alert('EisRestarts', {
        severity: 'warning',
        lasting: '0m',
        expr: 'changes(eis_process_start_time_seconds[30m]) >= 3',
        summary: '{{ $labels.job }} at {{ $labels.instance }} has started {{ $value }} times within half an hour.',
        action: 'Read its end in oc logs --previous. "OOMKilled" in oc describe pod: give the role more memory in k8s/manifests/sizes.ts, or index shards a larger num_indexes.',
      }),
    ],
  };
}
