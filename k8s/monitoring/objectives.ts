/**
 * What is promised of searches, and alerts on how fast the promise is used up: multi-window, multi-burn-rate, as in "The Site
 * Reliability Workbook", chapter 5 (https://sre.google/workbook/alerting-on-slos/). A burn rate of 1 uses up the
 * budget of bad searches in exactly 30 days; a short window beside each long one ends the alert soon after its cause.
 */
import type { ErrorCode } from '../../common/errors.js';
import { alert, type Alert, type Recording } from './rule.js';

/** Failures of ours, of the codes that a search may end with: not what is wrong with its image or with the host of its URL, and not what is refused under load. */
export const FAILURES: readonly ErrorCode[] = [
  'EIS_INTERNAL', 'EIS_CALLER_TIMEOUT', 'EIS_NOT_READY', 'EIS_MODEL_VERSION', 'EIS_MODEL_FILE', 'EIS_MODEL_DOWNLOAD', 'EIS_ENGINE_UNAVAILABLE',
  'EIS_FUNCTION_UNAVAILABLE', 'EIS_FUNCTION_TIMEOUT', 'EIS_FUNCTION_RESPONSE', 'EIS_SHARD_UNAVAILABLE', 'EIS_SHARD_TIMEOUT', 'EIS_SHARD_RESPONSE',
  'EIS_SEARCH_UNAVAILABLE', 'EIS_SEARCH_TIMEOUT', 'EIS_INDEX_FILE', 'EIS_INDEX_DAMAGED', 'EIS_BUCKET_UNAVAILABLE', 'EIS_OBJECT_DAMAGED',
];

/**
 * Seconds within which an answer is in time: an idle function's answer, and the second that calls may queue before
 * searches are refused (`functionQueueTimeMaxMs`). One of the histogram's bounds, and no whole number: Prometheus 3
 * writes `le="1"` as `le="1.0"`, 2 does not.
 */
export const LATENCY_S = 2.5;

interface Objective {
  /** Of the recorded shares, e.g. `search_failures`. */
  readonly name: string;
  /** Share of searches that may be bad. */
  readonly budget: number;
  /** The share that was bad, by model, over a window such as `5m`. */
  readonly badShare: (window: string) => string;
}

const searches = (window: string): string => `sum by (model) (rate(eis_search_total[${window}]))`;
const failures = (window: string): string => `sum by (model) (rate(eis_search_total{outcome=~"${FAILURES.join('|')}"}[${window}]))`;
const timed = (window: string, series: string): string => `sum by (model) (rate(eis_search_duration_seconds_${series}[${window}]))`;

/** 99.5 % of searches do not fail. A series of failures begins with the first one: until then there are none, which is not nothing. */
export const FAILED: Objective = { name: 'search_failures', budget: 0.005, badShare: (window) => `(${failures(window)} or 0 * ${searches(window)}) / ${searches(window)}` };

/** 99 % of answers come in time. */
export const SLOW: Objective = { name: 'search_slow', budget: 0.01, badShare: (window) => `1 - ${timed(window, `bucket{stage="total",le="${LATENCY_S}"}`)} / ${timed(window, 'count{stage="total"}')}` };

/** Each long window with its short one. */
const FAST = [{ rate: 14.4, long: '1h', short: '5m' }, { rate: 6, long: '6h', short: '30m' }] as const;
const STEADY = [{ rate: 1, long: '3d', short: '6h' }] as const;
const WINDOWS = ['5m', '30m', '1h', '6h', '3d'] as const;

/** 36 searches an hour: with fewer, a single bad one would look like a fire. */
const SEARCHES_PER_SECOND_MIN = 0.01;

export const shareOf = ({ name }: Objective, window: (typeof WINDOWS)[number]): string => `model:eis_${name}:ratio_rate${window}`;

/** The share that was bad, over every window that an alert looks at. */
export function recordings(objective: Objective): Recording[] {
  return WINDOWS.map((window) => ({ record: shareOf(objective, window), expr: objective.badShare(window) }));
}

export interface BurnWords {
  readonly fast: string;
  readonly steady: string;
  /** What share of what, said of `{{ $value }}`. */
  readonly meaning: string;
  readonly action: string;
}

/** A call while the month's budget goes within days, a note while it goes as fast as it comes. */
export function burnAlerts(objective: Objective, { fast, steady, meaning, action }: BurnWords): Alert[] {
  const burning = ({ rate, long, short }: { rate: number; long: (typeof WINDOWS)[number]; short: (typeof WINDOWS)[number] }): string => {
    const most = `${rate} * ${objective.budget}`;
    return `${shareOf(objective, long)} > ${most} and ${shareOf(objective, short)} > ${most}`;
  };
  const expr = (rates: readonly Parameters<typeof burning>[0][]): string => `(${rates.map(burning).join('\n  or ')})\nand model:eis_searches:rate1h > ${SEARCHES_PER_SECOND_MIN}`;
  return [
    alert(fast, { severity: 'critical', lasting: '2m', expr: expr(FAST), summary: `${meaning}: the budget of 30 days is gone within days.`, action }),
    alert(steady, { severity: 'warning', lasting: '15m', expr: expr(STEADY), summary: `${meaning}, for days: the budget of 30 days is used up.`, action }),
  ];
}
