/** Searches as their callers see them: failures, slow and partial answers, refusals. */
import { burnAlerts, FAILED, LATENCY_S, recordings, SLOW } from './objectives.js';
import { alert, type RuleGroup } from './rule.js';

const QUANTILES = [0.5, 0.95, 0.99] as const;

/** Requests that are work, by their route: neither what probes nor what Prometheus asks. */
const WORK = 'role="gateway",route!~"/healthz|/readyz|/metrics"';

export function searchRules(): RuleGroup {
  return {
    name: 'searches',
    rules: [
      ...(['5m', '1h'] as const).map((window) => ({ record: `model:eis_searches:rate${window}`, expr: `sum by (model) (rate(eis_search_total[${window}]))` })),
      ...QUANTILES.map((quantile) => ({ record: `model:eis_search_duration_seconds:p${quantile * 100}_rate5m`, expr: `histogram_quantile(${quantile}, sum by (model, le) (rate(eis_search_duration_seconds_bucket{stage="total"}[5m])))` })),
      ...recordings(FAILED),
      ...recordings(SLOW),
      ...burnAlerts(FAILED, {
        fast: 'EisSearchFailuresFast',
        steady: 'EisSearchFailuresSteady',
        meaning: '{{ $value | humanizePercentage }} of the searches of model {{ $labels.model }} fail',
        action: 'See which code they end with (sum by (outcome) (rate(eis_search_total[5m]))): EIS_FUNCTION_… is the function (its logs and quota), EIS_SHARD_… and EIS_SEARCH_UNAVAILABLE are index pods, EIS_MODEL_VERSION is a changed model that is not embedded again (eis backfill). EIS_INTERNAL is in the logs of the gateway.',
      }),
      ...burnAlerts(SLOW, {
        fast: 'EisSearchSlowFast',
        steady: 'EisSearchSlowSteady',
        meaning: `{{ $value | humanizePercentage }} of the searches of model {{ $labels.model }} take longer than ${LATENCY_S} s`,
        action: 'See which stage takes the time (eis_search_duration_seconds by stage). embed: the function starts cold or is full, so give it min_instances or max_instances; fan_out: index pods are at their CPU limit, so give the model more pods.',
      }),
      alert('EisSearchPartial', {
        severity: 'warning',
        lasting: '5m',
        expr: 'sum by (model) (rate(eis_search_total{outcome="partial"}[5m]))\n/ sum by (model) (rate(eis_search_total[5m])) > 0.01',
        summary: '{{ $value | humanizePercentage }} of the answers of model {{ $labels.model }} lack the images of a shard.',
        action: 'See which shard and why (sum by (shard, code) (rate(eis_shard_failures_total[5m]))): EIS_SHARD_TIMEOUT asks for more pods or a larger num_indexes, EIS_SHARD_UNAVAILABLE for a look at its pods.',
      }),
      alert('EisGatewayShedding', {
        severity: 'warning',
        lasting: '5m',
        expr: `sum(rate(eis_requests_refused_total[5m]))\n/ sum(rate(eis_http_request_duration_seconds_count{${WORK}}[5m])) > 0.05`,
        summary: 'Gateways refuse {{ $value | humanizePercentage }} of the requests with 429, because they hold as much as they may.',
        action: 'Give the model more gateway pods under "serving", unless one client sends too much (rates are by key: EIS_REQUESTS_PER_MINUTE_MAX). Which bound it is: sum by (bound) (rate(eis_requests_refused_total[5m])).',
      }),
    ],
  };
}
