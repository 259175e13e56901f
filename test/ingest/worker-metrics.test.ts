import { describe, expect, it } from 'vitest';
import { Metrics } from '../../common/metrics.js';
import { queueUnavailable, type ImageQueue } from '../../ingest/queue/queue.js';
import { createWorkerMetrics } from '../../ingest/worker-metrics.js';

describe('createWorkerMetrics()', () => {
  it('has no depth while the queue cannot be asked, and everything else', async () => {
    const metrics = new Metrics('worker');
    let isDown = false;
    let asked = 0;
    const depth: ImageQueue['depth'] = async () => {
      asked++;
      if (isDown) throw queueUnavailable(new Error('gone'));
      return { ready: 3, unacked: 1, dead: 0, oldestAgeMs: 2_000 };
    };
    createWorkerMetrics(metrics, { model: 'm', queue: { depth } as ImageQueue }).countOutcome('stored');
    const up = await metrics.text();
    expect(up).toMatch(/eis_queue_depth\{model="m",state="ready".*\} 3/);
    expect(up).toMatch(/eis_queue_oldest_age_seconds\{.*\} 2/);
    expect(asked).toBe(1);
    isDown = true;
    const down = await metrics.text();
    expect(down).not.toMatch(/eis_queue_depth\{/);
    expect(down).not.toMatch(/eis_queue_oldest_age_seconds\{/);
    expect(down).toMatch(/eis_ingest_outcomes_total\{.*outcome="stored".*\} 1/);
  });
});
