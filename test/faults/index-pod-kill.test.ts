/**
 * A pod that keeps snapshots all the time, and is killed, finds its snapshot damaged or its disk full: whatever happens,
 * the next one comes back and answers as a pod that loaded everything from the store.
 */
import { readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { IndexAlgorithm } from '../../common/config.js';
import { idOf, randomUnit } from '../indexer/vectors.js';
import { SeededRandom } from '../support/seeded-random.js';
import { expectAlike, imageOf, IndexPods, type IndexPod } from './index-pod-process.js';

const SEED = Number(process.env['EIS_TEST_SEED'] ?? 1);
const IS_SHORT = process.env['EIS_TEST_FAULTS'] !== 'full';
const KILLS = IS_SHORT ? 4 : 20;
/** Shares of a snapshot: what is known of the images, the codes, and what the file says of itself lie there. */
const PLACES: Readonly<Record<string, number>> = IS_SHORT ? { 'near its start': 0, 'late in it': 0.8, 'in its last bytes': 1 } : { 'near its start': 0, 'early in it': 0.2, 'in its middle': 0.45, 'late in it': 0.7, 'near its end': 0.9, 'in its last bytes': 1 };

interface Case {
  readonly algorithm: IndexAlgorithm;
  /** The least share of hits that a pod has in common with one that was loaded from the store. 1: the same, scores and order too. */
  readonly recall: number;
}

/** Algorithms that keep snapshots. */
const CASES: readonly Case[] = [{ algorithm: 'brute', recall: 1 }];
const DIM = 128;
/** So many that a snapshot takes some time to be written. */
const IMAGES = 10_000;
const QUERIES = 100;
/** A snapshot at every look at the store that found a change. */
const ALWAYS = { EIS_SNAPSHOT_EVERY_MS: '1' };
/** How often the next pod is killed, too, before it is ready. */
const KILLED_AS_IT_STARTS = 0.25;
const WRITES_PER_TICK = 4;
const TICK_MS = 20;
const POLL = { timeout: 20_000, interval: 20 };
const SNAPSHOT = 'snapshot';
const SNAPSHOT_UNDER_WAY = 'snapshot.new';

/** A store that is written to, and a pod that says what is right. */
class Scene {
  readonly pods: IndexPods;
  readonly #reference: IndexPod;
  readonly #recall: number;
  readonly #random: SeededRandom;
  readonly #living: string[] = [];
  #written = 0;

  private constructor(pods: IndexPods, reference: IndexPod, recall: number) {
    [this.pods, this.#reference, this.#recall, this.#random] = [pods, reference, recall, new SeededRandom(SEED)];
  }

  static async create({ algorithm, recall }: Case): Promise<Scene> {
    const pods = await IndexPods.create({ algorithm, dim: DIM });
    const scene = new Scene(pods, await pods.start('reference'), recall);
    await scene.write(IMAGES);
    return scene;
  }

  async write(count: number): Promise<void> {
    const ids = Array.from({ length: count }, () => idOf(this.#written++));
    await this.pods.collection.write(ids.map((id) => imageOf(id, this.#draw())));
    this.#living.push(...ids);
  }

  /** Writes new images and removes others, until it is told to stop. */
  async writeUntil(isOver: () => boolean): Promise<void> {
    for (; !isOver(); await sleep(TICK_MS)) {
      const [gone] = this.#living.splice(this.#random.between(0, this.#living.length - 1), 1);
      await Promise.all([this.pods.collection.delete(gone!), this.write(WRITES_PER_TICK)]);
    }
  }

  /** Has a pod follow, and compares what it answers with what one does that has just loaded everything from the store. */
  async expectRight(pod: IndexPod): Promise<void> {
    const last = imageOf(idOf(this.#written++), this.#draw()); // once this is found, all that was written before is
    await this.pods.collection.write([last]);
    await Promise.all([this.#reference.reload(), expect.poll(async () => (await pod.search([last.vector], 1))[0]?.[0]?.id, POLL).toBe(last.id)]);
    const queries = Array.from({ length: QUERIES }, () => this.#draw());
    const [answers, expected] = await Promise.all([pod, this.#reference].map((each) => each.search(queries, 10)));
    expectAlike(answers!, expected!, this.#recall);
  }

  #draw(): Float32Array {
    return randomUnit(DIM, () => this.#random.next());
  }
}

/** Waits until this share of a snapshot is written: what stands tells how long one is. */
async function untilWritten(pod: IndexPod, share: number): Promise<void> {
  const bytes = statSync(snapshotOf(pod)).size * share;
  for (const end = Date.now() + POLL.timeout; Date.now() < end; await sleep(1)) {
    const [path] = pod.files(SNAPSHOT_UNDER_WAY);
    if (path && (statSync(path, { throwIfNoEntry: false })?.size ?? -1) >= bytes) return;
  }
  throw new Error('No snapshot was written.');
}

/** Flips a bit in a tenth of a file that begins at this share of it; 1: in its last 64 bytes. Says which. */
function flipBit(path: string, place: number, random: SeededRandom): string {
  const bytes = readFileSync(path);
  const [first, last] = place === 1 ? [bytes.length - 64, bytes.length - 1] : [Math.floor(bytes.length * place), Math.floor(bytes.length * (place + 0.1)) - 1];
  const [byte, bit] = [random.between(first, last), random.between(0, 7)];
  bytes[byte]! ^= 1 << bit;
  writeFileSync(path, bytes);
  return `bit ${bit} of byte ${byte} of ${bytes.length}`;
}

/** The path of the one snapshot that stands in the pod's folders. */
function snapshotOf(pod: IndexPod): string {
  const paths = pod.files(SNAPSHOT);
  expect(paths).toHaveLength(1);
  return paths[0]!;
}

describe.each(CASES)(`a pod with $algorithm that keeps snapshots, seed ${SEED}`, (each) => {
  let scene: Scene;

  beforeAll(async () => {
    scene = await Scene.create(each);
  });

  afterAll(() => scene.pods.close());

  it(`comes back right each of ${KILLS} times that it is killed while it writes one`, async () => {
    const random = new SeededRandom(SEED);
    const pod = await scene.pods.start('killed', ALWAYS);
    await expect.poll(() => pod.files(SNAPSHOT).length, POLL).toBe(1);
    const rounds: { readonly wasWriting: boolean; readonly from: string }[] = [];
    for (let kill = 0; kill < KILLS; kill++) {
      let isOver = false;
      const writing = scene.writeUntil(() => isOver);
      await sleep(random.between(0, 700));
      if (kill % 4 !== 3) await untilWritten(pod, random.next());
      await pod.role.kill();
      const wasWriting = pod.files(SNAPSHOT_UNDER_WAY).length > 0;
      if (random.next() < KILLED_AS_IT_STARTS) {
        const starting = pod.role.restart();
        await sleep(random.between(0, 1_000));
        await pod.role.kill();
        await starting;
      }
      await pod.role.restart();
      rounds.push({ wasWriting, from: pod.loadedFrom.at(-1)! });
      isOver = true;
      await writing;
      await scene.expectRight(pod);
    }
    const hit = rounds.filter(({ wasWriting }) => wasWriting);
    const restored = rounds.filter(({ from }) => from === 'snapshot');
    const both = hit.filter(({ from }) => from === 'snapshot');
    console.log(`${KILLS} kills: ${hit.length} while a snapshot was written, ${restored.length} restarts from a snapshot, ${both.length} of them both`);
    expect(hit.length).toBeGreaterThanOrEqual(KILLS / 4);
    expect(restored.length).toBeGreaterThanOrEqual(KILLS / 2);
    expect(both.length).toBeGreaterThanOrEqual(1);
    await pod.role.stop();
  }, 300_000);

  it('says that its snapshot is damaged, wherever a bit of it was flipped, and loads from the store', async () => {
    const random = new SeededRandom(SEED);
    const pod = await scene.pods.start('damaged');
    for (const [name, place] of Object.entries(PLACES)) {
      await pod.role.stop();
      const discarded = pod.logged('discarding a snapshot').length;
      const said = `${flipBit(snapshotOf(pod), place, random)}, ${name}`;
      await pod.role.restart();
      expect(pod.loadedFrom.at(-1), said).toBe('store');
      expect(pod.logged('discarding a snapshot').slice(discarded), said).toMatchObject([{ err: { code: 'EIS_SNAPSHOT_INVALID' } }]);
      await scene.expectRight(pod);
    }
    await pod.role.stop();
  }, 300_000);

  it('goes on while the disk has no room for a snapshot, keeps the one that stands, and writes the next when there is room', async () => {
    const pod = await scene.pods.start('full', ALWAYS);
    await expect.poll(() => pod.files(SNAPSHOT).length, POLL).toBe(1);
    const path = snapshotOf(pod);
    const standing = readFileSync(path);
    symlinkSync('/dev/full', join(path, '..', SNAPSHOT_UNDER_WAY));
    await scene.write(100);
    await expect.poll(() => pod.logged('the snapshot could not be written'), POLL).toMatchObject([{ err: { code: 'ENOSPC' } }]);
    await scene.expectRight(pod);
    await pod.role.kill();
    await pod.role.restart();
    expect(pod.loadedFrom.at(-1)).toBe('snapshot');
    await scene.expectRight(pod);
    await expect.poll(() => readFileSync(snapshotOf(pod)).equals(standing), POLL).toBe(false);
    await pod.role.stop();
  }, 300_000);
});
