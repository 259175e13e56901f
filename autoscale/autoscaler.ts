/** Looks at every Deployment in turns, decides, and, where it may, acts. What fails changes nothing, and the next turn tries again. */
import { withDeadline } from '../common/deadline.js';
import { EisError, toEisError, type ErrorCode } from '../common/errors.js';
import type { Log } from '../common/log.js';
import type { AutoscaleMetrics } from './autoscale-metrics.js';
import { decide, forgetEnough, initialState, noteChange, type Decision, type ScaleRules, type ScaleState } from './decide.js';
import type { Prometheus } from './prometheus.js';
import type { Scale, Scales } from './scales.js';
import { readSignal } from './signals.js';
import type { ScaleTarget } from './target.js';

export interface AutoscalerOptions {
  readonly targets: readonly ScaleTarget[];
  readonly rules: ScaleRules;
  readonly prometheus: Prometheus;
  readonly scales: Scales;
  /** False: what would be done is only said. */
  readonly isApplied: boolean;
  /** Whether a Deployment that is seen for the first time waits as after a change, which nobody knows of; not where it is looked at once. */
  readonly waitsAtFirst?: boolean;
  readonly metrics: AutoscaleMetrics;
  readonly log: Log;
  /** Time for one Deployment's turn. */
  readonly timeoutMs?: number;
  /** ms of a clock that is never set. */
  readonly now?: () => number;
}

/** What came of one Deployment's turn. */
export interface Turn {
  readonly deployment: string;
  /** Pods before and after; undefined when that is not known. */
  readonly from?: number;
  readonly to?: number;
  /** Whether it was changed, not only decided. */
  readonly applied: boolean;
  readonly reason: string;
  /** Nothing was changed because of it. */
  readonly code?: ErrorCode;
}

const TIMEOUT_MS = 10_000;

export class Autoscaler {
  readonly #options: Required<AutoscalerOptions>;
  readonly #states = new Map<string, ScaleState>();
  readonly #said = new Map<string, string>();

  constructor(options: AutoscalerOptions) {
    this.#options = { timeoutMs: TIMEOUT_MS, waitsAtFirst: true, now: () => performance.now(), ...options };
  }

  /** One turn of every Deployment. Rejects only with the signal's reason. */
  async round(signal: AbortSignal): Promise<Turn[]> {
    return Promise.all(this.#options.targets.map((target) => this.#turn(target, signal)));
  }

  async #turn(target: ScaleTarget, signal: AbortSignal): Promise<Turn> {
    const { timeoutMs, metrics } = this.#options;
    const timeoutError = (): EisError => new EisError('EIS_CLUSTER_API', { detail: `Prometheus and the API of the cluster did not answer within ${timeoutMs} ms.` });
    let turn: Turn;
    try {
      turn = await withDeadline({ timeoutMs, parent: signal, timeoutError }, (deadline) => this.#look(target, deadline));
    } catch (thrown) {
      signal.throwIfAborted();
      const error = toEisError(thrown);
      const state = this.#states.get(target.deployment);
      if (state) this.#states.set(target.deployment, forgetEnough(state)); // what is needed meanwhile nobody knows
      metrics.failed(target, error.code);
      turn = { deployment: target.deployment, applied: false, reason: `Nothing is changed. ${error.message}`, code: error.code };
    }
    this.#say(turn);
    return turn;
  }

  async #look(target: ScaleTarget, signal: AbortSignal): Promise<Turn> {
    const { prometheus, scales, rules, waitsAtFirst, metrics, now } = this.#options;
    const { deployment } = target;
    const [scale, busy] = await Promise.all([scales.get(deployment, signal), readSignal(target, prometheus, signal)]);
    const nowMs = now();
    const observed = { nowMs, replicas: scale.replicas, running: scale.running, signal: busy };
    const decision = decide(target, rules, observed, this.#states.get(deployment) ?? initialState({ replicas: scale.replicas, nowMs: waitsAtFirst ? nowMs : -Infinity }));
    this.#states.set(deployment, decision.state);
    metrics.observed(target, { current: scale.replicas, wanted: decision.replicas }, busy.value);
    const applied = decision.replicas !== scale.replicas && (await this.#change(target, { scale, decision }, signal));
    return { deployment, from: scale.replicas, to: decision.replicas, applied, reason: decision.reason };
  }

  /** Makes the change, or only notes it as if it was made. */
  async #change(target: ScaleTarget, { scale, decision }: { readonly scale: Scale; readonly decision: Decision }, signal: AbortSignal): Promise<boolean> {
    const { scales, isApplied, metrics, now } = this.#options;
    const { replicas, state } = decision;
    if (isApplied) await scales.set(scale, replicas, signal);
    metrics.changed(target, replicas > scale.replicas ? 'up' : 'down');
    // What was only said: it has as many as before, and is not spoken of again before the cooldown.
    this.#states.set(target.deployment, isApplied ? noteChange(state, replicas, now()) : { ...state, changedAtMs: now() });
    return isApplied;
  }

  /** A change, and whatever is the case now and was not in the turn before, is worth a line; the rest is for who looks closely. */
  #say({ deployment, from, to, applied, reason, code }: Turn): void {
    const { log } = this.#options;
    const isChange = from !== to;
    const kind = code ?? (isChange ? `${from ?? ''}→${to ?? ''}` : 'stays');
    const isNews = this.#said.get(deployment) !== kind;
    this.#said.set(deployment, kind);
    const fields = { deployment, from, to, applied, reason, code };
    if (code !== undefined) log[isNews ? 'warn' : 'debug'](fields, 'nothing is changed');
    else if (isChange) log.info(fields, applied ? 'scaled' : 'would scale');
    else log[isNews ? 'info' : 'debug'](fields, 'stays');
  }
}
