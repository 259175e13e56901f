import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EisError } from '../../common/errors.js';
import { Replicas } from '../../gateway/replicas.js';

const open = new AbortController().signal;
const down = (): EisError => new EisError('EIS_SHARD_UNAVAILABLE', { shard: '0/1' });

/** Replicas a, b, c… of which those in `failing` fail; `asked` has who was asked, in order. */
function setUp(count: number) {
  const failing = new Map<string, EisError>();
  const asked: string[] = [];
  const clock = { ms: 0 };
  const replicas = new Replicas({ name: '0/1', pods: [...'abcdef'.slice(0, count)], restMs: 1_000, now: () => clock.ms });
  const ask = (signal = open): Promise<string> =>
    replicas.ask(async (pod) => {
      asked.push(pod);
      const error = failing.get(pod);
      if (error) throw error;
      return pod;
    }, signal);
  return { replicas, failing, asked, clock, ask };
}

describe('Replicas', () => {
  it('takes them in turn', async () => {
    const { ask } = setUp(3);
    expect([await ask(), await ask(), await ask(), await ask()]).toEqual(['a', 'b', 'c', 'a']);
  });

  it('asks the next when one does not answer, and passes over that one for a while', async () => {
    const { ask, failing, asked, clock } = setUp(3);
    failing.set('a', down());
    for (let i = 0; i < 4; i++) expect(await ask()).not.toBe('a');
    expect(asked.filter((pod) => pod === 'a')).toHaveLength(1);
    clock.ms = 1_001;
    for (let i = 0; i < 3; i++) await ask();
    expect(asked.filter((pod) => pod === 'a')).toHaveLength(2);
  });

  it('goes on asking one that is well again', async () => {
    const { ask, failing, asked, clock } = setUp(2);
    failing.set('a', down());
    await ask();
    failing.clear();
    clock.ms = 1_001;
    asked.length = 0;
    for (let i = 0; i < 4; i++) await ask();
    expect([...asked].sort()).toEqual(['a', 'a', 'b', 'b']);
  });

  it('asks those that rest when no other is left', async () => {
    const { ask, failing, asked } = setUp(2);
    failing.set('a', down()).set('b', down());
    await expect(ask()).rejects.toMatchObject({ code: 'EIS_SHARD_UNAVAILABLE' });
    failing.delete('b');
    asked.length = 0;
    expect(await ask()).toBe('b');
  });

  it('asks each at most once, and answers if any does', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 6 }), fc.array(fc.subarray([...'abcdef'])), async (count, rounds) => {
      const { ask, failing, asked } = setUp(count);
      for (const fail of rounds) {
        failing.clear();
        asked.length = 0;
        for (const pod of fail) failing.set(pod, down());
        const anyWell = [...'abcdef'.slice(0, count)].some((pod) => !fail.includes(pod));
        expect(await ask().then(() => true, () => false)).toBe(anyWell);
        expect(new Set(asked).size).toBe(asked.length);
      }
    }));
  });

  it('looks for another that holds the right model version, without holding it against the first', async () => {
    const { ask, failing, asked } = setUp(2);
    failing.set('a', new EisError('EIS_MODEL_VERSION', { held: 'v1', asked: 'v2' }));
    expect(await ask()).toBe('b');
    failing.clear();
    asked.length = 0;
    await ask();
    await ask();
    expect([...asked].sort()).toEqual(['a', 'b']);
  });

  it('does not repeat a question that is wrong in itself', async () => {
    const { ask, failing, asked } = setUp(3);
    failing.set('a', new EisError('EIS_IMAGE_UNKNOWN', { id: 'x' }));
    await expect(ask()).rejects.toMatchObject({ code: 'EIS_IMAGE_UNKNOWN' });
    expect(asked).toEqual(['a']);
  });

  it('asks nobody else once the time is over, and passes over the one that was too slow', async () => {
    const { ask, failing, asked } = setUp(2);
    failing.set('a', new EisError('EIS_SHARD_TIMEOUT', { shard: '0/1', timeoutMs: 1 }));
    await expect(ask(AbortSignal.abort())).rejects.toMatchObject({ code: 'EIS_SHARD_TIMEOUT' });
    expect(asked).toEqual(['a']);
    expect([await ask(), await ask()]).toEqual(['b', 'b']);
  });
});
