/**
 * How many pods there should be, from what is to do and what was done before. Pure: no clock and no I/O.
 *
 * More pods come as soon as they are needed, once in a cooldown. Fewer come only when fewer were enough all through a longer
 * time, and that time doubles whenever taking some away proved wrong (some were added again within an hour): load between two numbers of pods makes them change
 * less and less often, instead of back and forth.
 */
import type { Signal } from './signals.js';
import type { ScaleTarget } from './target.js';

export interface ScaleRules {
  /** Between two changes of one Deployment. */
  readonly cooldownMs: number;
  /** Requests that one gateway is to answer at once. */
  readonly inFlightPerPod: number;
  /** Seconds for which a message may wait. */
  readonly queueAgeS: number;
}

/** What is known of a Deployment now. */
export interface Observation {
  /** ms of any clock that goes on. */
  readonly nowMs: number;
  /** Pods that it is to have, and that there are. */
  readonly replicas: number;
  readonly running: number;
  readonly signal: Signal;
}

export interface ScaleState {
  /** Pods that it was to have, as it was seen last. */
  readonly replicas: number;
  readonly changedAtMs: number;
  readonly direction: 'up' | 'down' | undefined;
  /** For how long fewer have to be enough. */
  readonly holdMs: number;
  /** How many would have been enough, since when without a gap. */
  readonly enough: readonly { readonly atMs: number; readonly pods: number }[];
}

export interface Decision {
  readonly replicas: number;
  /** Why, in a sentence. */
  readonly reason: string;
  readonly state: ScaleState;
}

const HOLD_MS = 300_000;
const HOLD_MAX_MS = 3_600_000;
/** A gateway is added above, and one is taken away below, these parts of what each is to answer. */
const IN_FLIGHT_BAND = { up: 1.1, down: 0.8 };
/** A worker is taken away while messages wait for no more than this part of what they may. */
const QUEUE_AGE_LOW = 0.25;
/** At most so many come at once: as many as there are, or this number. */
const PODS_ADDED_MIN = 4;

/** Of a Deployment that was not seen before, as if it had been changed at `nowMs`. */
export function initialState({ nowMs, replicas }: Pick<Observation, 'nowMs' | 'replicas'>): ScaleState {
  return { replicas, changedAtMs: nowMs, direction: undefined, holdMs: HOLD_MS, enough: [] };
}

/** Nothing is known of the time that follows: it does not count as one in which fewer were enough. */
export function forgetEnough(state: ScaleState): ScaleState {
  return { ...state, enough: [] };
}

/** The change has been made. */
export function noteChange(state: ScaleState, replicas: number, nowMs: number): ScaleState {
  const direction = replicas > state.replicas ? 'up' : 'down';
  const wasWrong = direction === 'up' && state.direction === 'down' && nowMs - state.changedAtMs < HOLD_MAX_MS;
  const wasRight = direction === 'down' && state.direction === 'down';
  const holdMs = wasWrong ? Math.min(HOLD_MAX_MS, state.holdMs * 2) : wasRight ? Math.max(HOLD_MS, state.holdMs / 2) : state.holdMs;
  return { replicas, changedAtMs: nowMs, direction, holdMs, enough: [] };
}

/** What to do, and what to remember of it until the next time: `before` then, or what `noteChange` makes of it. */
export function decide(target: ScaleTarget, rules: ScaleRules, now: Observation, before: ScaleState): Decision {
  const { replicas, nowMs } = now;
  if (replicas === 0) return stay('somebody set it to none, which stays.', now, forgetEnough(seen(before, now)));
  const state = seen(before, now);
  const { pods, reason } = neededPods(target, rules, now);
  const wanted = Math.min(target.max, Math.max(target.min, pods));
  const enough = [...state.enough, { atMs: nowMs, pods: wanted }].filter(({ atMs }) => nowMs - atMs <= state.holdMs + rules.cooldownMs);
  const next = { ...state, enough };
  const leftMs = state.changedAtMs + rules.cooldownMs - nowMs;
  if (wanted === replicas) return stay(reason, now, next);
  if (leftMs > 0) return stay(`${reason} ${wanted} would do; the last change was less than the cooldown ago (${seconds(leftMs)} left).`, now, next);
  if (wanted > replicas) return { replicas: Math.min(wanted, Math.max(replicas * 2, replicas + PODS_ADDED_MIN)), reason, state: next };
  return replicas > target.max ? { replicas: target.max, reason: `config.json gives it ${target.max} at most.`, state: next } : fewer({ wanted, reason, now, next });
}

/** Somebody else's change is one like ours. */
function seen(state: ScaleState, { replicas, nowMs }: Observation): ScaleState {
  return state.replicas === replicas ? state : { ...initialState({ replicas, nowMs }), holdMs: state.holdMs };
}

function stay(reason: string, { replicas }: Observation, state: ScaleState): Decision {
  return { replicas, reason, state };
}

/** Takes pods away, never below what was enough at any moment of the hold, and none while it is not known what each of them does. */
function fewer({ wanted, reason, now, next }: { readonly wanted: number; readonly reason: string; readonly now: Observation; readonly next: ScaleState }): Decision {
  const { nowMs, replicas, running, signal } = now;
  if (running !== replicas) return stay(`${reason} ${wanted} would do; ${running} of ${replicas} pods run, so none is taken away.`, now, next);
  if (signal.pods < running) return stay(`${reason} ${wanted} would do; ${signal.pods} of ${running} pods say what they do, so none is taken away.`, now, next);
  const heldMs = nowMs - (next.enough[0]?.atMs ?? nowMs);
  const leftMs = next.holdMs - heldMs;
  if (leftMs > 0) return stay(`${reason} ${wanted} would do; fewer have to be enough for ${seconds(next.holdMs)} (${seconds(leftMs)} left).`, now, next);
  const held = Math.max(...next.enough.filter(({ atMs }) => nowMs - atMs <= next.holdMs).map(({ pods }) => pods));
  if (held >= replicas) return stay(`${reason} ${wanted} would do; ${held} were needed within ${seconds(next.holdMs)}.`, now, next);
  return { replicas: held, reason: `${reason} No more than ${held} were needed for ${seconds(next.holdMs)}.`, state: next };
}

function neededPods({ role }: ScaleTarget, rules: ScaleRules, now: Observation): { readonly pods: number; readonly reason: string } {
  return role === 'gateway' ? neededGateways(rules, now) : neededWorkers(rules, now);
}

function neededGateways({ inFlightPerPod }: ScaleRules, { replicas, signal: { value } }: Observation): { readonly pods: number; readonly reason: string } {
  const reason = `${round(value)} requests are being answered by ${replicas} pod(s), ${round(value / replicas)} each, where ${inFlightPerPod} are meant.`;
  if (value > replicas * inFlightPerPod * IN_FLIGHT_BAND.up) return { pods: Math.ceil(value / inFlightPerPod), reason };
  return { pods: Math.min(replicas, Math.max(1, Math.ceil(value / (inFlightPerPod * IN_FLIGHT_BAND.down)))), reason };
}

/** How far one is from enough workers nobody can tell by an age: at most as many again are added, and one is taken away at a time. */
function neededWorkers({ queueAgeS }: ScaleRules, { replicas, signal: { value, waitingFor } }: Observation): { readonly pods: number; readonly reason: string } {
  const reason = `The foremost message has waited for ${round(value)} s, where ${queueAgeS} s are meant.`;
  if (value > queueAgeS && waitingFor !== undefined) return { pods: replicas, reason: `${reason} Workers wait for the ${waitingFor}: more of them would not help.` };
  if (value > queueAgeS) return { pods: Math.ceil(replicas * Math.min(2, value / queueAgeS)), reason };
  return { pods: value < queueAgeS * QUEUE_AGE_LOW ? Math.max(1, replicas - 1) : replicas, reason };
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function seconds(ms: number): string {
  return `${Math.ceil(ms / 1000)} s`;
}
