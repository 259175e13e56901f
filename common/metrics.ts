/** The Prometheus metrics of one process. Every name starts with `eis_` and ends in its unit. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/** Buckets for latencies: 1 ms to 15 s, the longest that a search may take. */
export const LATENCY_BUCKETS_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15];

export class Metrics {
  readonly registry = new Registry();

  /** @param role labels every series, so that one query can tell the pods apart */
  constructor(role: string, labels: Record<string, string> = {}) {
    this.registry.setDefaultLabels({ role, ...labels });
  }

  /** Adds the process's own: CPU, memory, event-loop delay, garbage collection. */
  collectProcess(): this {
    collectDefaultMetrics({ register: this.registry, prefix: 'eis_' });
    return this;
  }

  counter<L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
    return new Counter({ name: `eis_${name}`, help, labelNames: [...labelNames], registers: [this.registry] });
  }

  gauge<L extends string>(name: string, help: string, labelNames: readonly L[] = [], collect?: (this: Gauge<L>) => void | Promise<void>): Gauge<L> {
    return new Gauge({ name: `eis_${name}`, help, labelNames: [...labelNames], registers: [this.registry], ...(collect ? { collect } : {}) });
  }

  histogram<L extends string>(name: string, help: string, labelNames: readonly L[] = [], buckets: number[] = LATENCY_BUCKETS_S): Histogram<L> {
    return new Histogram({ name: `eis_${name}`, help, labelNames: [...labelNames], buckets, registers: [this.registry] });
  }

  /** The metrics as Prometheus text. */
  text(): Promise<string> {
    return this.registry.metrics();
  }

  get contentType(): string {
    return this.registry.contentType;
  }
}
