import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { compareHits, dot, normalise } from '../../common/vector.js';
import { findDuplicates, type DedupeState, type Findings } from '../../dedupe/find-duplicates.js';
import type { Neighbours, Picture } from '../../dedupe/judge.js';
import { SeededRandom } from '../support/seeded-random.js';

const DIM = 32;
const idOf = (name: string): string => createHash('sha256').update(name).digest('hex');

interface Drawn extends Picture {
  readonly name: string;
  readonly vector: Float32Array;
}

/** Pictures that have nothing in common, and copies of some: named `n` and `n/copy`; of every other copy the hash tells nothing. */
class Gallery {
  readonly pictures = new Map<string, Drawn>();
  readonly #random: SeededRandom;
  #clock = 0;
  searched = 0;

  constructor(seed = 1) {
    this.#random = new SeededRandom(seed);
  }

  add(name: string, changes: Partial<Drawn> = {}): void {
    const id = idOf(name);
    this.pictures.set(id, { id, name, vector: normalise(Array.from({ length: DIM }, () => this.#random.next() - 0.5)), phash: id.slice(0, 16), pixels: 100, createdAt: ++this.#clock, canonical: undefined, ...changes });
  }

  copy(of: string, name: string, changes: Partial<Drawn> = {}): void {
    const original = this.pictures.get(idOf(of))!;
    const vector = normalise(original.vector.map((x) => x + 0.03 * (this.#random.next() - 0.5)));
    this.add(name, { vector, ...(this.#clock % 2 === 0 ? { phash: original.phash } : {}), pixels: 50, ...changes });
  }

  fill(count: number, from = 0): void {
    for (let i = from; i < from + count; i++) {
      this.add(String(i));
      if (i % 5 === 0) this.copy(String(i), `${i}/copy`);
    }
  }

  get neighbours(): Neighbours {
    const all = [...this.pictures.values()];
    return {
      vector: async (id) => this.pictures.get(id)?.vector,
      search: async (vectors, { top }) => {
        this.searched += vectors.length;
        return vectors.map((vector) => all.map(({ id, vector: other }) => ({ id, score: dot(vector, other) })).sort(compareHits).slice(0, top));
      },
    };
  }

  async run(state?: DedupeState, completeUntil = this.#clock + 1): Promise<Findings> {
    this.searched = 0;
    const findings = await findDuplicates({ pictures: [...this.pictures.values()], neighbours: this.neighbours, state, completeUntil });
    for (const { id, canonical } of findings.changes) this.pictures.set(id, { ...this.pictures.get(id)!, canonical });
    return findings;
  }

  groupsByName({ groups }: Findings): string[] {
    return groups.map(({ members }) => members.map((id) => this.pictures.get(id)!.name).sort().join(' ')).sort();
  }
}

function filled(count = 150): Gallery {
  const gallery = new Gallery();
  gallery.fill(count);
  return gallery;
}

const expected = (count: number): string[] => Array.from({ length: count }, (_, i) => i).filter((i) => i % 5 === 0).map((i) => `${i} ${i}/copy`).sort();

describe('findDuplicates()', () => {
  it('finds copies that the hash tells of and copies that it does not, and no others', async () => {
    const gallery = filled();
    const findings = await gallery.run();
    expect(gallery.groupsByName(findings)).toEqual(expected(150));
    expect(findings).toMatchObject({ pictures: 180, judged: 180, isFull: true });
    expect(findings.changes).toHaveLength(60);
    expect([...gallery.pictures.values()].filter(({ canonical }) => canonical !== undefined).every(({ name, canonical }) => canonical === idOf(name.replace('/copy', '')))).toBe(true);
  });

  it('judges only what is new the next time, and puts it where it belongs', async () => {
    const gallery = filled();
    const { state } = await gallery.run();
    gallery.copy('10', '10/second');
    gallery.copy('11', '11/copy');
    gallery.add('alone');
    const findings = await gallery.run(state);
    expect(findings).toMatchObject({ judged: 3, isFull: false });
    expect(gallery.searched).toBeLessThan(40);
    expect(gallery.groupsByName(findings)).toContain('10 10/copy 10/second');
    expect(gallery.groupsByName(findings)).toContain('11 11/copy');
    expect(findings.changes.map(({ id }) => gallery.pictures.get(id)!.name).sort()).toEqual(['10/second', '11', '11/copy']);
    expect(findings.groups).toHaveLength(31);
  });

  it('changes nothing, and looks at nothing, when nothing is new', async () => {
    const gallery = filled();
    const { state, groups } = await gallery.run();
    const again = await gallery.run(state);
    expect(again).toMatchObject({ judged: 0, compared: 0, changes: [], groups });
    expect(gallery.searched).toBe(0);
  });

  it('does not judge again what it saw before its time was complete, unless that came back', async () => {
    const gallery = filled();
    const { state } = await gallery.run(undefined, 0);
    const picture = gallery.pictures.get(idOf('7'))!;
    gallery.pictures.set(picture.id, { ...picture, createdAt: 10_000 });
    gallery.add('late', { createdAt: 3 });
    expect(await gallery.run(state, 0)).toMatchObject({ judged: 2 });
  });

  it('comes to the groups of a whole run when the pictures come one after the other', async () => {
    const gallery = filled();
    let { state } = await gallery.run();
    for (let i = 150; i < 160; i++) {
      gallery.fill(1, i);
      ({ state } = await gallery.run(state));
    }
    expect(gallery.groupsByName(await gallery.run(state))).toEqual(gallery.groupsByName(await gallery.run()));
  });

  it('lets a larger picture that comes later stand for the group', async () => {
    const gallery = filled();
    const { state } = await gallery.run();
    gallery.copy('10', '10/large', { pixels: 1_000 });
    await gallery.run(state);
    for (const name of ['10', '10/copy', '10/large']) expect(gallery.pictures.get(idOf(name))!.canonical).toBe(idOf('10/large'));
  });

  it('finds another picture to stand for a group when that is gone, and lets the last one be alone', async () => {
    const gallery = filled();
    gallery.copy('10', '10/second', { pixels: 60 });
    const { state } = await gallery.run();
    gallery.pictures.delete(idOf('10'));
    gallery.pictures.delete(idOf('20/copy'));
    const findings = await gallery.run(state);
    for (const name of ['10/copy', '10/second']) expect(gallery.pictures.get(idOf(name))!.canonical).toBe(idOf('10/second'));
    expect(gallery.pictures.get(idOf('20'))!.canonical).toBeUndefined();
    expect(findings.judged).toBe(3);
  });

  it('judges all anew, with another calibration, once the collection has doubled', async () => {
    const gallery = filled();
    const { state } = await gallery.run();
    gallery.fill(150, 150);
    const findings = await gallery.run(state);
    expect(findings).toMatchObject({ isFull: true, judged: 360, state: { calibratedOn: 360 } });
    expect(gallery.groupsByName(findings)).toEqual(expected(300));
  });

  it('trusts the hash alone where there are too few pictures to know their surroundings', async () => {
    const gallery = new Gallery();
    for (const name of ['a', 'b', 'c']) gallery.add(name);
    gallery.copy('a', 'a/same', { phash: gallery.pictures.get(idOf('a'))!.phash });
    gallery.copy('b', 'b/cut', { phash: '0123456789abcdef' });
    const findings = await gallery.run();
    expect(gallery.groupsByName(findings)).toEqual(['a a/same']);
    expect(findings.state.calibration).toBeUndefined();
    expect((await new Gallery().run()).groups).toEqual([]);
  });

  it('makes one group of many blank pictures without comparing all with all', async () => {
    const gallery = filled();
    gallery.add('blank', { phash: '0'.repeat(16), pixels: 500 });
    for (let i = 0; i < 200; i++) gallery.copy('blank', `blank/${i}`, { phash: '0'.repeat(16) });
    const findings = await gallery.run();
    expect(findings.groups[0]!.members).toHaveLength(201);
    expect(findings.compared).toBeLessThan(20_000);
  });
});
