import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectEqual, image, setUp, START } from './follower-parts.js';
import { idOf } from './vectors.js';

const names = fc.integer({ min: 0, max: 9 });
const change = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('write' as const), images: fc.array(names, { minLength: 1, maxLength: 5 }), writer: fc.integer({ min: 0, max: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delete' as const), image: names }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(0, 1, 7, 500, 15_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('skew' as const), ms: fc.integer({ min: -4_000, max: 4_000 }) }) },
);
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;
const script = fc.array(fc.oneof({ weight: 5, arbitrary: change }, { weight: 2, arbitrary: fc.record({ do: fc.constant('poll' as const), during: fc.array(change, { maxLength: 4 }), failAt: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }) }) }), { maxLength: 40 });

describe('Follower under any interleaving', () => {
  it('equals the store once it is quiet', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 10 }), fc.array(change, { maxLength: 5 }), script, async (before, duringLoad, steps) => {
        const parts = setUp({ pageSize: 2 });
        const { clock, collection, follower, store, pass } = parts;
        store.fault = () => undefined;
        let base = START;
        const apply = async (step: Change): Promise<void> => {
          if (step.do === 'write') await collection.write(step.images.map((name) => image(name, { url: `https://writer-${step.writer}/${name}`, origin: String(step.writer) })));
          else if (step.do === 'delete') await collection.delete(idOf(step.image));
          else if (step.do === 'pass') {
            base += step.ms;
            pass(step.ms);
          } else clock.store = base + step.ms; // another shard of the store, within the overlap of the others
        };
        /** Runs `work` with changes between its operations on the store, and perhaps a failure. */
        const disturb = async (work: () => Promise<void>, during: readonly Change[], failAt?: number): Promise<void> => {
          const queue = [...during];
          let operations = 0;
          let isOurs = false;
          store.fault = async () => {
            if (isOurs) return;
            if (++operations === failAt) throw new Error('the store is down');
            isOurs = true;
            const next = queue.shift();
            if (next) await apply(next);
            isOurs = false;
          };
          await work().catch((error: Error) => expect(error.message).toBe('the store is down'));
          store.fault = () => undefined;
        };
        for (const step of before) await apply(step);
        await disturb(() => follower.load(), duringLoad);
        for (const step of steps) {
          if (step.do !== 'poll') await apply(step);
          else {
            base += 500;
            pass(500);
            await disturb(() => follower.poll(), step.during, step.failAt);
          }
        }
        for (let i = 0; i < 3; i++) {
          pass(500);
          await follower.poll();
        }
        await expectEqual(parts);
      }),
      { numRuns: 300 },
    );
  });
});

/** Furthest that a writer's clock is from the true time: between two of them it is the overlap. */
const SKEW_MAX_MS = 5_000;

const skews = fc.array(fc.integer({ min: -SKEW_MAX_MS, max: SKEW_MAX_MS }), { minLength: 4, maxLength: 4 });
const write = fc.record({ do: fc.constantFrom('write' as const, 'write' as const, 'delete' as const), image: names, writer: fc.integer({ min: 0, max: 3 }) });
const moment = fc.oneof({ weight: 6, arbitrary: write }, { weight: 2, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(0, 1, 250, 4_999, 60_000) }) }, { weight: 3, arbitrary: fc.record({ do: fc.constant('poll' as const), failAt: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }) }) });

describe('Follower of four writers whose clocks differ', () => {
  it('misses nothing of a slow writer after stamps that ran ahead of the fastest', async () => {
    const { clock, collection, follower, ...parts } = setUp();
    const writeAt = async (name: number, skewMs: number): Promise<void> => {
      clock.store = START + skewMs;
      await collection.write([image(name, { url: `https://writer${skewMs}/${name}`, origin: String(skewMs) })]);
    };
    await writeAt(1, SKEW_MAX_MS);
    await writeAt(1, -SKEW_MAX_MS); // stamped one later than before
    await follower.load();
    await follower.poll();
    await writeAt(0, -SKEW_MAX_MS);
    await follower.poll();
    await expectEqual({ collection, ...parts });
  });

  it('knows every change after the next poll that succeeds: within 2 s of it, polling every half second', async () => {
    await fc.assert(
      fc.asyncProperty(skews, fc.array(write, { maxLength: 12 }), fc.array(moment, { maxLength: 60 }), async (skew, before, moments) => {
        const parts = setUp({ pageSize: 2 });
        const { clock, collection, follower, store, pass } = parts;
        store.fault = () => undefined;
        let time = START;
        const apply = async ({ do: what, image: name, writer }: { do: 'write' | 'delete'; image: number; writer: number }): Promise<void> => {
          clock.store = time + skew[writer]!;
          if (what === 'write') await collection.write([image(name, { url: `https://writer-${writer}/${name}`, origin: String(writer) })]);
          else await collection.delete(idOf(name));
        };
        for (const each of before) await apply(each);
        await follower.load();
        for (const each of moments) {
          if (each.do === 'pass') {
            time += each.ms;
            pass(each.ms);
          } else if (each.do === 'poll') {
            let operations = 0;
            store.fault = () => {
              if (++operations === each.failAt) throw new Error('the store is down');
            };
            const failed = await follower.poll().then(() => false, () => true);
            store.fault = () => undefined;
            if (!failed) await expectEqual(parts);
          } else await apply(each);
        }
        await follower.poll();
        await expectEqual(parts);
      }),
      { numRuns: 300 },
    );
  });
});
