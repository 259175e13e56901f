import { describe, expect, it } from 'vitest';
import { backoffMs, startPollLoop } from '../../indexer/poll-loop.js';

describe('backoffMs()', () => {
  it('doubles with every failure, up to the maximum', () => {
    const options = { intervalMs: 500, backoffMaxMs: 5_000 };
    expect([0, 1, 2, 3, 4, 50].map((failures) => backoffMs(options, failures))).toEqual([500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  });
});

describe('startPollLoop()', () => {
  it('goes on after failures, and tells of each', async () => {
    const waits: number[] = [];
    let steps = 0;
    const loop = await new Promise<ReturnType<typeof startPollLoop>>((resolve) => {
      const started = startPollLoop({
        intervalMs: 1,
        backoffMaxMs: 4,
        onFailure: (_error, waitMs) => waits.push(waitMs),
        step: async () => {
          if (++steps === 6) resolve(started);
          if (steps % 4 !== 0) throw new Error('failed');
        },
      });
    });
    await loop.stop();
    expect(waits.slice(0, 5)).toEqual([2, 4, 4, 2, 4]);
  });

  it('waits for the step under way when it is stopped, and takes no other', async () => {
    let steps = 0;
    let finish = (): void => undefined;
    const loop = startPollLoop({ intervalMs: 1, backoffMaxMs: 1, onFailure: () => undefined, step: () => new Promise((resolve) => ((finish = resolve), void steps++)) });
    let stopped = false;
    const stopping = loop.stop().then(() => (stopped = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(stopped).toBe(false);
    finish();
    await stopping;
    expect(steps).toBe(1);
  });
});
