/** Of parts that config.json may leave out: their rules are there where the parts are. */
import type { OptionalParts, ScaledDeployment } from './optional-parts.js';
import { alert, type Alert, type RuleGroup } from './rule.js';

/** @returns no group without a rule */
export function optionalRules({ hasShadow, scaled }: OptionalParts): RuleGroup[] {
  return [...(hasShadow ? [{ name: 'shadow', rules: SHADOW_ALERTS }] : []), ...(scaled.length > 0 ? [{ name: 'autoscale', rules: autoscaleAlerts(scaled) }] : [])];
}

const perShadow = (series: string): string => `sum by (model, shadow) (rate(${series}[15m]))`;
const DROPPED = perShadow('eis_shadow_dropped_total{reason!="closing"}');
const ANSWERED = perShadow('eis_shadow_searches_total');

/** Nobody waits for a shadow: it is for those who compare models, within a working day. */
const SHADOW_ALERTS: readonly Alert[] = [
  alert('EisShadowFailing', {
    severity: 'warning',
    lasting: '30m',
    expr: `${perShadow('eis_shadow_searches_total{outcome!~"ok|partial"}')}\n/ ${ANSWERED} > 0.5`,
    summary: '{{ $value | humanizePercentage }} of the searches that model {{ $labels.shadow }} answers unseen beside {{ $labels.model }} fail.',
    action: 'No client sees it, but what is compared is not what was meant. See which code they end with (sum by (outcome) (rate(eis_shadow_searches_total[15m]))) and mend the function or the index pods of the shadow, or take "shadow" out of config.json.',
  }),
  alert('EisShadowDropped', {
    severity: 'warning',
    lasting: '30m',
    expr: `${DROPPED}\n> (${ANSWERED} or ${DROPPED} * 0)`,
    summary: 'More than half of the searches that model {{ $labels.shadow }} should answer unseen beside {{ $labels.model }} are left out.',
    action: 'No client sees it, but few searches are compared, and not the ones of busy times. sum by (reason) (rate(eis_shadow_dropped_total[15m])): function is a function with other things to do (give it max_instances, or lower "share"), in_flight is too slow a shadow (raise EIS_SHADOW_IN_FLIGHT_MAX, or lower "share").',
  }),
];

function autoscaleAlerts(scaled: readonly ScaledDeployment[]): Alert[] {
  const atMaximum = scaled.map(({ deployment, podsMax, signalMax }) => {
    const of = `{deployment="${deployment}"}`;
    return `(max by (deployment, model) (eis_autoscale_signal${of}) > ${signalMax} and max by (deployment, model) (eis_autoscale_replicas${of}) >= ${podsMax})`;
  });
  return [
    alert('EisAutoscaleFailing', {
      severity: 'warning',
      lasting: '10m',
      expr: 'sum by (deployment, model, code) (rate(eis_autoscale_failures_total[5m])) > 0\nunless on (deployment, model) time() - max by (deployment, model) (eis_autoscale_last_decision_timestamp_seconds) < 300',
      summary: 'The autoscaler decides nothing for {{ $labels.deployment }} any more ({{ $labels.code }}), which keeps the pods that it has.',
      action: 'EIS_PROMETHEUS: it cannot read Prometheus, or what it reads is old (oc logs of the autoscaler; is prometheus up?). EIS_CLUSTER_API: the API refuses it, so see its Role and RoleBinding (oc auth can-i patch deployments/scale --as=system:serviceaccount:NAMESPACE:ACCOUNT). Until then: oc scale by hand.',
    }),
    alert('EisAutoscaleAtMaximum', {
      severity: 'warning',
      lasting: '30m',
      expr: atMaximum.join('\nor '),
      summary: '{{ $labels.deployment }} has had as many pods as it may for half an hour, and they do not suffice.',
      action: 'Raise the max of its "pods" in config.json if the quota has room; if not, see what holds them up: gateways wait for functions or index pods (eis_search_duration_seconds by stage), workers for a function that is full (max_instances, EIS_WORKER_EMBEDS_MAX).',
    }),
  ];
}
