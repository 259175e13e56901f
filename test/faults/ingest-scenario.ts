/**
 * Images through the real broker while everything around it breaks. The seed decides the pictures, the order of the faults
 * and their moments; `npm run test:faults -- --seed N` repeats it, `--short` does the same with fewer pictures and
 * shorter faults.
 */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LedgerAnswer, LedgerEntryWire } from '../../common/wire.js';
import type { DeadAnswer, QueuesAnswer, ReplayAnswer } from '../../common/wire-queues.js';
import { RABBITMQ_MISSING } from '../support/rabbitmq.js';
import { SeededRandom } from '../support/seeded-random.js';
import type { Fault, FaultContext } from './ingest-faults.js';
import { MODEL, type IngestSystem } from './ingest-system.js';
import { drawSmallImage } from './small-images.js';
import { Submitter, type Picture } from './submitter.js';

const SEED = Number(process.env['EIS_TEST_SEED'] ?? 1);
const IS_SHORT = process.env['EIS_TEST_FAULTS'] !== 'full';
const SCALE = IS_SHORT ? 0.15 : 1;
const SUBMISSION = 'faults';

export interface IngestScenario {
  /** What it runs on, for its title. */
  readonly name: string;
  readonly images: { readonly full: number; readonly short: number };
  readonly faults: readonly Fault[];
  readonly start: () => Promise<IngestSystem>;
}

export function describeIngestFaults({ name, images, faults: everyFault, start }: IngestScenario): void {
  const IMAGES = IS_SHORT ? images.short : images.full;
  describe.skipIf(RABBITMQ_MISSING !== undefined)(`an ingest of ${IMAGES} images on ${name} while everything breaks, seed ${SEED}${RABBITMQ_MISSING ? ` (${RABBITMQ_MISSING})` : ''}`, () => {
    const random = new SeededRandom(SEED);
    let system: IngestSystem;
    let pictures: Picture[];
    let poison: Picture;
    let submitter: Submitter;
    /** Every terminal outcome that was ever seen, by source. */
    const seen = new Map<string, LedgerEntryWire>();

    beforeAll(async () => {
      pictures = [];
      for (let i = 0; i < IMAGES; i++) pictures.push({ name: `${i}.png`, bytes: await drawSmallImage(random) });
      expect(new Set(pictures.map(({ bytes }) => sha256(bytes))).size).toBe(IMAGES);
      poison = pictures[random.between(0, IMAGES / 2)]!;
      system = await start();
      system.functionProxy.poisons.add(sha256(poison.bytes));
      submitter = new Submitter(`${system.wrapper.role.url}/images?submission=${SUBMISSION}`);
    }, 120_000);

    afterAll(() => system.close());

    const ask = async <T>(path: string, method = 'GET'): Promise<T> => (await (await fetch(`${system.wrapper.role.url}${path}`, { method })).json()) as T;
    const counts = async (): Promise<NonNullable<LedgerAnswer['counts']>> => (await ask<LedgerAnswer>(`/images?submission=${SUBMISSION}&limit=1`)).counts!;
    const settled = async (): Promise<number> => {
      const { stored, duplicate, rejected, dead } = await counts();
      return stored + duplicate + rejected + dead;
    };

    async function readLedger(): Promise<LedgerEntryWire[]> {
      const entries: LedgerEntryWire[] = [];
      for (let after: string | null = ''; after !== null; ) {
        const page: LedgerAnswer = await ask(`/images?submission=${SUBMISSION}&limit=1000${after === '' ? '' : `&after=${after}`}`);
        entries.push(...page.entries);
        after = page.next;
      }
      return entries;
    }

    /** An outcome that was seen once stays. */
    async function watchOutcomes(): Promise<LedgerEntryWire[]> {
      const entries = await readLedger();
      for (const entry of entries.filter(({ state }) => state !== 'accepted')) {
        expect(entry).toEqual(seen.get(entry.source) ?? entry);
        seen.set(entry.source, entry);
      }
      return entries;
    }

    async function countStored(): Promise<number> {
      const store = await system.openStore();
      const live = await store.liveVersion(MODEL);
      return store.collection(MODEL, live!).count().finally(() => store.close());
    }

    it('loses no image, stores none twice, and gives each exactly one outcome', async () => {
      const faults = random.shuffle(everyFault);
      const share = Math.ceil(IMAGES / (faults.length + 1));
      for (const [i, fault] of faults.entries()) {
        const [first, rest] = halves(pictures.slice(i * share, (i + 1) * share));
        const moment = (await settled()) + random.between(1, Math.floor(first.length / 2));
        await submitter.send(first);
        await expect.poll(settled, { timeout: 60_000, interval: 20, message: `${moment} images settled before: ${fault.name}` }).toBeGreaterThanOrEqual(moment);
        let sending: Promise<void> | undefined;
        const context: FaultContext = { system, random, scale: SCALE, settled, send: () => (sending ??= submitter.send(rest)), failures: () => submitter.failures };
        const startedAt = Date.now();
        await fault.inject(context);
        await context.send();
        console.log(`${((Date.now() - startedAt) / 1000).toFixed(1)} s: ${fault.name}`);
        await watchOutcomes();
      }
      await submitter.send(pictures.slice(faults.length * share));

      await expect.poll(counts, { timeout: 180_000, interval: 100 }).toEqual({ accepted: 0, stored: IMAGES - 1, duplicate: 0, rejected: 0, dead: 1 });
      const entries = await watchOutcomes();
      expect(entries.map(({ source }) => source).sort()).toEqual([...submitter.accepted].sort());
      expect(submitter.accepted.size).toBe(IMAGES);
      expect(await countStored()).toBe(IMAGES - 1);
      console.log(`${submitter.failures} requests sent again, ${system.functionProxy.embedded} embeddings for ${IMAGES} images`);
    }, 900_000);

    it('has the poison, and nothing else, among the dead letters', async () => {
      const { letters } = await ask<DeadAnswer>(`/queues/${MODEL}/dead`);
      // Cut off between the ledger and the queue of dead letters, it arrives there with the ledger's word for it; between that queue and the acknowledgement, twice.
      expect(new Set(letters.map(({ source }) => source.split('#')[1]))).toEqual(new Set([poison.name]));
      expect(['EIS_INTERNAL', 'EIS_DELIVERY_LIMIT']).toContain(letters[0]?.code);
      await expect.poll(async () => (await ask<QueuesAnswer>('/queues')).queues, { timeout: 10_000 }).toMatchObject([{ model: MODEL, ready: 0, dead: letters.length }]);
    }, 20_000);

    it('stores the poison, too, when its cause is mended and it is replayed', async () => {
      system.functionProxy.poisons.clear();
      expect((await ask<ReplayAnswer>(`/queues/${MODEL}/dead/replay`, 'POST')).replayed).toBeGreaterThan(0);
      await expect.poll(counts, { timeout: 30_000 }).toEqual({ accepted: 0, stored: IMAGES, duplicate: 0, rejected: 0, dead: 0 });
      expect(await countStored()).toBe(IMAGES);
      await expect.poll(async () => (await ask<QueuesAnswer>('/queues')).queues, { timeout: 10_000 }).toMatchObject([{ ready: 0, dead: 0 }]);
    }, 60_000);
  });
}

function halves<T>(items: readonly T[]): [T[], T[]] {
  const middle = items.length >> 1;
  return [items.slice(0, middle), items.slice(middle)];
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
