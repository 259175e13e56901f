/** Rules of Prometheus as plain values. Every alert says what is wrong, and what a person who was called can do about it. */

/** Somebody is called at once, or sees to it within a working day. */
export type Severity = 'critical' | 'warning';

export interface Recording {
  /** `level:metric:operations`, as Prometheus advises: https://prometheus.io/docs/practices/rules/ */
  readonly record: string;
  readonly expr: string;
}

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: { readonly severity: Severity };
  readonly annotations: { readonly summary: string; readonly action: string };
}

export interface RuleGroup {
  readonly name: string;
  readonly rules: readonly (Recording | Alert)[];
}

export interface AlertOptions {
  readonly severity: Severity;
  /** How long it has to be so, for example `5m`. */
  readonly lasting: string;
  readonly expr: string;
  /** What is wrong, by the labels and the value of the expression. */
  readonly summary: string;
  /** What to do about it. */
  readonly action: string;
}

export function alert(name: string, { severity, lasting, expr, summary, action }: AlertOptions): Alert {
  return { alert: name, expr, for: lasting, labels: { severity }, annotations: { summary, action } };
}
