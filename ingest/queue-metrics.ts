/** How full the queues are, asked at each scrape. A queue that cannot be asked has no values; the other metrics stand. */
import type { Metrics } from '../common/metrics.js';
import type { ImageQueue, QueueDepth } from './queue/queue.js';

type Asked = ReadonlyMap<string, QueueDepth>;

export function observeQueues(metrics: Metrics, { models, queue }: { readonly models: readonly string[]; readonly queue: Pick<ImageQueue, 'depth'> }): void {
  const ask = once(() => askAll(models, queue));
  metrics.gauge('queue_depth', 'Messages in the queue, by state', ['model', 'state'], async function () {
    const depths = await ask();
    this.reset();
    for (const [model, depth] of depths) for (const state of ['ready', 'unacked', 'dead'] as const) this.set({ model, state }, depth[state]);
  });
  metrics.gauge('queue_oldest_age_seconds', 'Age of the foremost message that is not acknowledged', ['model'], async function () {
    const depths = await ask();
    this.reset();
    for (const [model, { oldestAgeMs }] of depths) this.set({ model }, oldestAgeMs / 1000);
  });
}

async function askAll(models: readonly string[], queue: Pick<ImageQueue, 'depth'>): Promise<Asked> {
  const asked = await Promise.all(models.map(async (model) => [model, await queue.depth(model).catch(() => undefined)] as const));
  return new Map(asked.flatMap(([model, depth]) => (depth ? [[model, depth] as const] : [])));
}

/** One question for all gauges of a scrape, which begin to collect together. */
function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | undefined;
  return () => (asked ??= ask().finally(() => (asked = undefined)));
}
