/** The steps of a re-embedding over a store in memory, an embedded queue, and lanes that do as the test says. */
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ModelDefinition } from '../../../common/config.js';
import { laneLedgerKey } from '../../../common/lanes.js';
import type { ImageWrite, LiveVersion, RecallMeasurement, Reembedding } from '../../../common/store/store.js';
import { normalise } from '../../../common/vector.js';
import { finish, rollBack } from '../../../ingest/reembed/end.js';
import type { LaneView, ReembedParts } from '../../../ingest/reembed/parts.js';
import { reembed, type Gates } from '../../../ingest/reembed/reembed.js';
import { MemoryStore } from '../../support/memory-store.js';
import { openQueue, sha256 } from '../support.js';

const MODEL = 'alpha';
const OLD: LiveVersion = { version: 'a'.repeat(64), dim: 4 };
const NEW: LiveVersion = { version: 'b'.repeat(64), dim: 6 };
const TO: ModelDefinition = { modelUrl: '/models/new', sha256: undefined, layer: undefined, inputSize: undefined, preprocess: undefined, engine: 'auto' };
const COUNT = 30;
/** Written so long ago that none of them may be on its way. */
const LONG_AGO = Date.now() - 3_600_000;
const OPEN: Gates = { minOverlap: 0, maxMissing: 0, maxRecallLoss: 0 };

const found = (at_1: number): RecallMeasurement['former'] => ({ at_1, at_10: 100 });
/** Both versions find every copy. */
const ALIKE: RecallMeasurement = { copies: 100, passed_over: 0, former: found(100), next: found(100), lost: 0, gained: 0 };

/** What a test kills the command with. */
const KILLED = new Error('killed');

function image(i: number, dim: number): ImageWrite {
  const id = sha256(`image ${i}`);
  return { id, vector: normalise(Array.from({ length: dim }, (_, n) => Number.parseInt(id.slice(2 * n, 2 * n + 2), 16) + 1)), url: `https://example.com/${i}`, origin: `${i}`, phash: id.slice(0, 16), width: 4, height: 3, format: 'jpeg' };
}

/** A system whose second lane embeds what is in its queue, except what it refuses. */
async function startSystem(): Promise<{ store: MemoryStore; clock: { now: number }; parts: ReembedParts; notices: string[]; refused: Set<string>; lane: { version: LiveVersion | undefined; lag: number }; main: { version: LiveVersion }; embedded: () => number }> {
  const clock = { now: LONG_AGO };
  const store = new MemoryStore({ now: () => clock.now });
  const queue = openQueue([MODEL]);
  await store.setLiveVersion(MODEL, OLD);
  await store.collection(MODEL, OLD).write(Array.from({ length: COUNT }, (_, i) => image(i, OLD.dim)));
  const refused = new Set<string>();
  const lane: { version: LiveVersion | undefined; lag: number } = { version: NEW, lag: 0 };
  const main = { version: OLD };
  let embedded = 0;
  const consumer = await queue.consume(`${MODEL}.next`, {
    prefetch: 10,
    onDelivery: (delivery) => void (async () => {
      const { source } = delivery.message;
      const key = laneLedgerKey(`${MODEL}.next`, delivery.message);
      embedded++;
      const isRefused = refused.has(source);
      if (!isRefused) await store.collection(MODEL, NEW).write([image(Number(source.split('/').pop()), NEW.dim)]);
      await store.ledger.settle([{ ...key, state: isRefused ? 'rejected' : 'stored', ...(isRefused ? { code: 'EIS_URL_REJECTED', message: 'Gone.' } : {}) }]);
      await delivery.ack();
    })().catch(() => undefined),
  });
  let isClosed = false;
  const close = async (): Promise<void> => {
    if (!isClosed) await consumer.close();
    isClosed = true;
  };
  onTestFinished(close);
  const view = (version: () => LiveVersion | undefined): LaneView => ({
    functionVersion: async () => version(),
    async index() {
      const held = version();
      return held && { version: held.version, vectors: Math.max(0, (await store.collection(MODEL, held).count()) - lane.lag) };
    },
  });
  const notices: string[] = [];
  const parts: ReembedParts = {
    store,
    queue: { publish: (messages, options) => queue.publish(messages, options), addLane: (model) => queue.addLane(model), async removeLane(model) {
      await close(); // as the lane ends when the store says that it is to be removed
      return queue.removeLane(model);
    } },
    measureRecall: async () => ALIKE,
    lanes: { main: view(() => main.version), next: view(() => lane.version) },
    onNotice: (notice) => notices.push(notice),
    signal: new AbortController().signal,
    pollMs: 5,
    patienceMs: 300,
    gatewaysMs: 0,
  };
  return { store, clock, parts, notices, refused, lane, main, embedded: () => embedded };
}

const run = (parts: ReembedParts, gates: Gates = OPEN, to: ModelDefinition = TO): Promise<Reembedding> => reembed({ model: MODEL, to, gates }, parts);
const demandNothing = (): void => undefined;

describe('reembed()', () => {
  it('fills the new version with every image, compares, and switches to it; the former one stays', async () => {
    const { store, parts, embedded } = await startSystem();
    expect(await run(parts)).toMatchObject({ step: 'switched', version: NEW, missing: 0, agreement: { k: 10, sampled: COUNT, among: COUNT } });
    expect(await store.liveVersion(MODEL)).toEqual(NEW);
    expect(await store.collection(MODEL, NEW).count()).toBe(COUNT);
    expect(await store.collection(MODEL, OLD).count()).toBe(COUNT);
    expect(embedded()).toBe(COUNT);
  });

  it('goes on after a kill at any operation on the store, and ends as if it had not been killed', async () => {
    let operations = 0;
    {
      const { store, parts } = await startSystem();
      store.fault = () => void operations++;
      await run(parts);
    }
    for (let at = 1; at <= operations; at += Math.ceil(operations / 60)) {
      const { store, parts, embedded } = await startSystem();
      let count = 0;
      let isDead = false; // what is killed does nothing more; the lane lives on
      const dying: ReembedParts = { ...parts, store: dyingStore(store, () => {
        if (++count === at) isDead = true;
        if (isDead) throw KILLED;
      }) };
      await run(dying).catch((error: unknown) => expect((error as Error).message).toMatch(/killed/));
      expect(await run(parts)).toMatchObject({ step: 'switched', version: NEW });
      expect(await store.liveVersion(MODEL)).toEqual(NEW);
      expect(await store.collection(MODEL, NEW).count()).toBe(COUNT);
      expect(embedded(), `killed at ${at}`).toBeLessThanOrEqual(2 * COUNT);
    }
  }, 120_000);

  it('saves each step before the next, in this order', async () => {
    const { store, parts } = await startSystem();
    const steps: string[] = [];
    const save = store.reembeddings.save.bind(store.reembeddings);
    store.reembeddings.save = (job) => {
      steps.push(job.step);
      return save(job);
    };
    await run(parts);
    expect(steps).toEqual(['starting', 'filling', 'comparing', 'indexing', 'evaluating', 'switching', 'switched']);
  });

  it('stops before the switch where both versions agree on too little, says how to go on, and does', async () => {
    const { store, parts } = await startSystem();
    const measure = async () => ({ overlap: 0.234, k: 10, sampled: 5, among: 30 });
    const failure = await run({ ...parts, measure }, { ...OPEN, minOverlap: 0.5 }).catch((error: unknown) => error as Error);
    expect(failure).toMatchObject({ code: 'EIS_REEMBED', message: expect.stringContaining('--min-overlap 0.23') as string });
    expect(await store.liveVersion(MODEL)).toEqual(OLD);
    expect(await store.reembeddings.get(MODEL)).toMatchObject({ step: 'comparing', agreement: { overlap: 0.234 } });
    expect(await run({ ...parts, measure }, { ...OPEN, minOverlap: 0.23 })).toMatchObject({ step: 'switched' });
  });

  it('stops before the switch where the new version finds clearly fewer altered copies, says the same when it is asked again, and goes on when told to', async () => {
    const { store, parts } = await startSystem();
    let measured = 0;
    const measureRecall = async (): Promise<RecallMeasurement> => {
      measured++;
      return { ...ALIKE, former: found(95), next: found(82), lost: 15, gained: 2 };
    };
    const failure = await run({ ...parts, measureRecall }).catch((error: unknown) => error as Error);
    expect(failure).toMatchObject({ code: 'EIS_REEMBED', message: expect.stringMatching(/95\.0 % first.*82\.0 %.*--max-recall-loss 0\.13/s) as string });
    expect(await store.liveVersion(MODEL)).toEqual(OLD);
    expect(await store.reembeddings.get(MODEL)).toMatchObject({ step: 'evaluating', recall: { copies: 100, lost: 15 } });
    await expect(run({ ...parts, measureRecall })).rejects.toThrow((failure as Error).message);
    expect(measured).toBe(1);
    expect(await run({ ...parts, measureRecall }, { ...OPEN, maxRecallLoss: 0.13 })).toMatchObject({ step: 'switched', recall: { lost: 15 } });
  });

  it('says so where too few copies could be searched for, goes on, and measures again when it comes by again', async () => {
    const { parts, notices } = await startSystem();
    const few = { ...ALIKE, copies: 7, passed_over: 23, former: found(7), next: found(0), lost: 7 };
    expect(await run({ ...parts, measureRecall: async () => few })).toMatchObject({ step: 'switched', recall: { copies: 7 } });
    expect(notices.join('\n')).toMatch(/Only 7 altered copies.*too few to tell.*23 images were passed over/);
    await rollBack(MODEL, parts);
    expect(await run(parts)).toMatchObject({ step: 'switched', recall: { copies: 100 } });
  });

  it('stops before the switch while images are missing that could not be embedded, and goes on without them when told to', async () => {
    const { store, parts, refused } = await startSystem();
    refused.add('https://example.com/3').add('https://example.com/7');
    await expect(run(parts)).rejects.toMatchObject({ code: 'EIS_REEMBED', message: expect.stringMatching(/^.*: 2 images could not be embedded.*--max-missing 2/s) as string });
    expect(await store.liveVersion(MODEL)).toEqual(OLD);
    refused.delete('https://example.com/3');
    expect(await run(parts, { ...OPEN, maxMissing: 1 })).toMatchObject({ step: 'switched', missing: 1 });
    expect(await store.collection(MODEL, NEW).count()).toBe(COUNT - 1);
  });

  it('waits for the function and the index pods of the second lane, and says when they do not come', async () => {
    const { store, parts, lane } = await startSystem();
    lane.version = undefined;
    await expect(run(parts)).rejects.toThrow('the function of its second lane does not answer');
    lane.version = NEW;
    lane.lag = 1;
    await expect(run(parts)).rejects.toThrow(`do not hold all ${COUNT} images`);
    expect(await store.liveVersion(MODEL)).toEqual(OLD);
    lane.lag = 0;
    expect(await run(parts)).toMatchObject({ step: 'switched' });
  });

  it('refuses weights that are searched already, other weights than those under way, and a model without images', async () => {
    const { store, parts, lane } = await startSystem();
    await expect(reembed({ model: 'empty', to: TO, gates: OPEN }, parts)).rejects.toThrow('no images yet');
    lane.version = OLD;
    await expect(run(parts)).rejects.toThrow('those of the version that is searched');
    await expect(run(parts, OPEN, { ...TO, modelUrl: '/models/third' })).rejects.toThrow('one to /models/new is under way');
    expect(await store.liveVersion(MODEL)).toEqual(OLD);
  });

  it('leaves out what was removed before the version of its second lane was known, stored there or on its way', async () => {
    const { store, parts, lane, clock } = await startSystem();
    const [stored, onItsWay] = [image(1, NEW.dim), image(2, NEW.dim)];
    lane.version = undefined;
    await run(parts).catch(() => undefined);
    await store.collection(MODEL, NEW).write([stored]);
    clock.now = Date.now() + 1;
    for (const { id } of [stored, onItsWay]) await store.collection(MODEL, OLD).delete(id);
    lane.version = NEW;
    expect(await run(parts)).toMatchObject({ step: 'switched', missing: 0 });
    await store.collection(MODEL, NEW).write([{ ...onItsWay, givenAt: Date.now() - 1_000 }]);
    expect(await store.collection(MODEL, NEW).count()).toBe(COUNT - 2);
  });

  it('gives way to another command that is at work on the same', async () => {
    const { store, parts } = await startSystem();
    const measure = async () => {
      await rollBack(MODEL, parts);
      return { overlap: 1, k: 10, sampled: 5, among: 30 };
    };
    await expect(run({ ...parts, measure })).rejects.toThrow('another command is at work');
    expect(await store.liveVersion(MODEL)).toEqual(OLD);
    expect(await store.reembeddings.get(MODEL)).toMatchObject({ step: 'rolled_back' });
  });
});

describe('rollBack() and finish()', () => {
  it('search the former version again, and the new one again after that, embedding nothing anew', async () => {
    const { store, parts, embedded } = await startSystem();
    await run(parts);
    expect(await rollBack(MODEL, parts)).toMatchObject({ step: 'rolled_back' });
    expect(await store.liveVersion(MODEL)).toEqual(OLD);
    expect(await run(parts)).toMatchObject({ step: 'switched' });
    expect(await store.liveVersion(MODEL)).toEqual(NEW);
    expect(embedded()).toBe(COUNT);
  });

  it('remove the former version once the main lane has the new one, and not before config.json names it', async () => {
    const { store, parts, main } = await startSystem();
    await run(parts);
    await expect(finish(MODEL, () => { throw new Error('write it there'); }, parts)).rejects.toThrow('write it there');
    await expect(finish(MODEL, demandNothing, parts)).rejects.toThrow('do not have the new version yet');
    expect(await store.collection(MODEL, OLD).count()).toBe(COUNT);
    await expect(rollBack(MODEL, parts)).rejects.toThrow('being finished');
    main.version = NEW;
    await finish(MODEL, demandNothing, parts);
    expect(await store.collection(MODEL, OLD).count()).toBe(0);
    expect(await store.collection(MODEL, NEW).count()).toBe(COUNT);
    expect(await store.reembeddings.get(MODEL)).toBeUndefined();
    await expect(finish(MODEL, demandNothing, parts)).rejects.toThrow('none is under way');
  });

  it('remove the new version after a rollback, and nothing while it is neither there nor back', async () => {
    const { store, parts, lane } = await startSystem();
    lane.lag = 1;
    await run(parts).catch(() => undefined);
    await expect(finish(MODEL, demandNothing, parts)).rejects.toThrow('"indexing"');
    await rollBack(MODEL, parts);
    await finish(MODEL, demandNothing, parts);
    expect(await store.collection(MODEL, NEW).count()).toBe(0);
    expect(await store.collection(MODEL, OLD).count()).toBe(COUNT);
    expect(await store.liveVersion(MODEL)).toEqual(OLD);
  });

  it('go on after a kill at any operation on the store', async () => {
    for (let at = 1; at <= 12; at++) {
      const { store, parts, main } = await startSystem();
      await run(parts);
      main.version = NEW;
      let count = 0;
      const dying: ReembedParts = { ...parts, store: dyingStore(store, () => {
        if (++count >= at) throw KILLED;
      }) };
      await finish(MODEL, demandNothing, dying).catch((error: unknown) => expect((error as Error).message).toMatch(/killed/));
      if (await store.reembeddings.get(MODEL)) await finish(MODEL, demandNothing, parts);
      expect(await store.collection(MODEL, OLD).count()).toBe(0);
      expect(await store.collection(MODEL, NEW).count()).toBe(COUNT);
    }
  }, 60_000);
});

/** A view of a store for one command: `before` is called before each of its operations, and may throw. */
function dyingStore(store: MemoryStore, before: () => void): MemoryStore {
  const watch = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(of, name) {
        const value: unknown = Reflect.get(of, name, of);
        if (name === 'ledger' || name === 'reembeddings') return watch(value as object);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]): unknown => {
          if (name === 'collection') return watch(Reflect.apply(value as () => object, of, args));
          before();
          return Reflect.apply(value as () => unknown, of, args);
        };
      },
    });
  return watch(store);
}
