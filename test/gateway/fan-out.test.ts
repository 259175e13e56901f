import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EisError } from '../../common/errors.js';
import { withDeadline } from '../../common/deadline.js';
import { fanOut } from '../../gateway/fan-out.js';

const shards = (count: number): { name: string }[] => Array.from({ length: count }, (_, i) => ({ name: `${i}/${count}` }));
const never = new Promise<never>(() => undefined);
const codes = (failures: readonly { shard: { name: string }; error: EisError }[]): string[] => failures.map(({ shard, error }) => `${shard.name} ${error.code}`);

describe('fanOut()', () => {
  it('names every shard once, as an answer or as a failure, in order', async () => {
    await fc.assert(fc.asyncProperty(fc.array(fc.constantFrom('answers', 'rejects', 'throws', 'hangs'), { maxLength: 12 }), async (behaviours) => {
      const all = shards(behaviours.length);
      const { answers, failures } = await fanOut({
        shards: all,
        timeoutMs: 1,
        ask: ({ name }) => {
          const behaviour = behaviours[Number(name.split('/')[0])];
          if (behaviour === 'throws') throw new Error('at once');
          if (behaviour === 'hangs') return never;
          return behaviour === 'answers' ? Promise.resolve(name) : Promise.reject(new EisError('EIS_SHARD_UNAVAILABLE', { shard: name }));
        },
      });
      const expected = (wanted: string): string[] => all.map(({ name }) => name).filter((_, i) => behaviours[i] === wanted);
      expect(answers.map(({ answer }) => answer)).toEqual(expected('answers'));
      expect(answers.map(({ shard }) => shard.name)).toEqual(expected('answers'));
      expect(new Set(codes(failures))).toEqual(new Set([...expected('rejects').map((name) => `${name} EIS_SHARD_UNAVAILABLE`), ...expected('throws').map((name) => `${name} EIS_INTERNAL`), ...expected('hangs').map((name) => `${name} EIS_SHARD_TIMEOUT`)]));
      expect([...answers, ...failures]).toHaveLength(all.length);
    }), { numRuns: 50 });
  });

  it('asks all shards before any has answered', async () => {
    let asked = 0;
    const result = fanOut({ shards: shards(40), timeoutMs: 5, ask: () => (asked++, never) });
    expect(asked).toBe(40);
    expect((await result).failures).toHaveLength(40);
  });

  it('tells the shards that are late to give up', async () => {
    const signals: AbortSignal[] = [];
    await fanOut({ shards: shards(2), timeoutMs: 1, ask: (_shard, signal) => (signals.push(signal), never) });
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  it('ends at once, with its reason, when nobody waits any more', async () => {
    const gone = new AbortController();
    const signals: AbortSignal[] = [];
    const result = fanOut({ shards: shards(3), timeoutMs: 60_000, signal: gone.signal, ask: (_shard, signal) => (signals.push(signal), never) });
    gone.abort(new EisError('EIS_CLIENT_CLOSED', {}));
    await expect(result).rejects.toMatchObject({ code: 'EIS_CLIENT_CLOSED' });
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
  });

  it('does not ask when nobody waits to begin with', async () => {
    let asked = 0;
    const signal = AbortSignal.abort(new EisError('EIS_CLIENT_CLOSED', {}));
    await expect(fanOut({ shards: shards(2), timeoutMs: 60_000, signal, ask: async () => asked++ })).rejects.toMatchObject({ code: 'EIS_CLIENT_CLOSED' });
    expect(asked).toBe(0);
  });
});

describe('withDeadline()', () => {
  const timeoutError = (): EisError => new EisError('EIS_SEARCH_TIMEOUT', { timeoutMs: 1 });

  it('gives what the work gives', async () => {
    await expect(withDeadline({ timeoutMs: 60_000, timeoutError }, async () => 7)).resolves.toBe(7);
  });

  it('fails with the timeout error though the work never ends', async () => {
    await expect(withDeadline({ timeoutMs: 1, timeoutError }, () => never)).rejects.toMatchObject({ code: 'EIS_SEARCH_TIMEOUT' });
  });

  it('leaves no rejection unhandled when the work fails late', async () => {
    let fail: (error: Error) => void = () => undefined;
    await expect(withDeadline({ timeoutMs: 1, timeoutError }, () => new Promise((_resolve, reject) => (fail = reject)))).rejects.toMatchObject({ code: 'EIS_SEARCH_TIMEOUT' });
    fail(new Error('late')); // vitest fails the run on an unhandled rejection
    await new Promise((resolve) => setImmediate(resolve));
  });
});
