/**
 * What callers measure of a function. A deployed one has many instances that nobody can scrape: what operators know of it
 * is what gateways and workers saw.
 */
import type { Metrics } from './metrics.js';

/** Told when an attempt to call the function begins; what it returns, when it is over: `ok`, `given_up`, or the code of the error. */
export type ObserveFunctionCall = () => (outcome: string) => void;

/** Makes the observer of one model's function. */
export type CreateFunctionObserver = (model: string) => ObserveFunctionCall;

export function createFunctionCallMetrics(metrics: Metrics): CreateFunctionObserver {
  const seconds = metrics.histogram('function_call_duration_seconds', 'Time of one attempt to call a function, by outcome: ok, given_up (nobody waits for it any more) or the code of the error', ['model', 'outcome']);
  const inFlight = metrics.gauge('function_calls_in_flight', 'Attempts to call a function that are under way', ['model']);
  return (model) => {
    inFlight.set({ model }, 0);
    return () => {
      const startedAt = performance.now();
      inFlight.inc({ model });
      return (outcome) => {
        inFlight.dec({ model });
        seconds.observe({ model, outcome }, (performance.now() - startedAt) / 1000);
      };
    };
  };
}
