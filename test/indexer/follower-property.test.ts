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
