/**
 * What a pod that follows a store may answer, and must. Every write is noted with the times at which it began and
 * returned, and every answer is judged by that: an image goes through its versions (a vector, or the tombstone) in their
 * order, never back, and each is what the pod answers `FOLLOWED_MS` after its write returned at the latest.
 */
import { dot } from '../../common/vector.js';
import type { SeededRandom } from '../support/seeded-random.js';

/** The contract: what was written is found, and what was removed is not any more. */
export const FOLLOWED_MS = 2_000;
/** Scores are float32's; different vectors of these tests differ by more. */
const SCORE_TOLERANCE = 1e-5;
/** A run in which everything fails says only so much. */
const FAULTS_MAX = 20;

interface Version {
  /** None: removed. */
  readonly vector: Float32Array | undefined;
  /** Of the write. All times are those of `performance.now()`. */
  readonly beganAt: number;
  returnedAt: number;
  /** When the first answer arrived that shows it. */
  seenAt: number;
}

export interface FollowedImage {
  readonly id: string;
  readonly versions: Version[];
  /** Whether its last version is still to be seen. */
  isAwaited: boolean;
}

/** A vector that an image has, or had, as a query. */
export interface Question {
  readonly image: FollowedImage;
  readonly version: number;
  readonly vector: Float32Array;
}

/** When a search was sent and its answer arrived. */
export interface Span {
  readonly sentAt: number;
  readonly arrivedAt: number;
}

export class FollowedImages {
  /** What was answered that must not be, and the other way round. */
  readonly faults: string[] = [];
  readonly images: FollowedImage[] = [];
  /** Questions for what the pod must have had, and those of them that it did not answer with it. */
  asked = 0;
  missed = 0;
  readonly #byId = new Map<string, FollowedImage>();
  /** Images that were changed or removed. */
  readonly #altered: FollowedImage[] = [];
  readonly #awaited: FollowedImage[] = [];
  readonly #isExact: boolean;

  /** @param isExact whether a pod that does not answer an image does not have it */
  constructor({ isExact }: { readonly isExact: boolean }) {
    this.#isExact = isExact;
  }

  /** How many images have a last version that was not seen. */
  get awaited(): number {
    return this.#awaited.length;
  }

  /** Notes an image that the pod has from the start. */
  addKnown(id: string, vector: Float32Array): void {
    this.#imageOf(id).versions.push({ vector, beganAt: 0, returnedAt: 0, seenAt: 0 });
  }

  /**
   * Notes a write, about to be made, of a vector or (undefined) a tombstone.
   *
   * @returns to be called when it has returned
   */
  begin(id: string, vector: Float32Array | undefined): () => void {
    const image = this.#imageOf(id);
    const version: Version = { vector, beganAt: performance.now(), returnedAt: Infinity, seenAt: Infinity };
    if (image.versions.push(version) === 2) this.#altered.push(image);
    return () => {
      version.returnedAt = performance.now();
      if (!image.isAwaited) this.#awaited.push(image);
      image.isAwaited = true;
    };
  }

  /** What to search for next: three quarters what is still to be seen, in turn; the rest is what images have, and what they had before they were altered. */
  nextQuestions(count: number, random: SeededRandom): Question[] {
    const awaited = this.#awaited.splice(0, Math.floor((count * 3) / 4));
    this.#awaited.push(...awaited);
    const others = Array.from({ length: count - awaited.length }, (_, i) => {
      const images = i % 2 === 0 && this.#altered.length > 0 ? this.#altered : this.images;
      return images[random.between(0, images.length - 1)]!;
    });
    return [...awaited.map((image) => questionOf(image, image.versions.length - 1)), ...others.map((image) => questionOf(image, random.between(0, image.versions.length - 1)))];
  }

  judge({ image, version, vector }: Question, hits: readonly { readonly id: string; readonly score: number }[], span: Span): void {
    for (const hit of hits) this.#judgeHit(vector, hit, span);
    if (reached(image, span.sentAt) === version) this.#judgeFound(image, version, { ...span, isFound: hits[0]?.id === image.id && Math.abs(hits[0].score - 1) <= SCORE_TOLERANCE });
    const last = image.versions.at(-1)!;
    if (image.isAwaited && (last.seenAt < Infinity || performance.now() > last.returnedAt + FOLLOWED_MS)) {
      image.isAwaited = false;
      this.#awaited.splice(this.#awaited.indexOf(image), 1);
    }
  }

  /** For each vector that was written, the ms until it was found; of those that were replaced before it could be, none. */
  get msUntilFound(): number[] {
    return this.#lasting(({ vector }) => vector !== undefined);
  }

  /** For each tombstone of an image that had been seen, the ms until it was not answered any more. */
  get msUntilGone(): number[] {
    return this.#lasting((version, before) => version.vector === undefined && before !== undefined && before.seenAt < version.beganAt);
  }

  /** Of versions that stayed for as long as the pod has time for them. */
  #lasting(isOne: (version: Version, before: Version | undefined) => boolean): number[] {
    return this.images.flatMap(({ versions }) => {
      const lasting = versions.filter((version, i) => isOne(version, versions[i - 1]) && version.beganAt > 0 && (versions[i + 1]?.beganAt ?? Infinity) > version.returnedAt + FOLLOWED_MS);
      return lasting.map(({ returnedAt, seenAt }) => Math.max(0, seenAt - returnedAt));
    });
  }

  #judgeHit(query: Float32Array, { id, score }: { readonly id: string; readonly score: number }, { sentAt, arrivedAt }: Span): void {
    const image = this.#byId.get(id);
    const first = image ? Math.max(0, reached(image, sentAt)) : 0;
    const shown = image?.versions.slice(first).find(({ vector, beganAt }) => vector && beganAt <= arrivedAt && Math.abs(dot(query, vector) - score) <= SCORE_TOLERANCE);
    if (!image || !shown) return this.#fault(`${id} was answered with the score ${score}: ${image ? describe(image, sentAt) : 'it was never written'}`);
    shown.seenAt = Math.min(shown.seenAt, arrivedAt);
  }

  /** It was searched for by the vector of a version that the pod must have reached, and nothing later. */
  #judgeFound(image: FollowedImage, version: number, { sentAt, arrivedAt, isFound }: Span & { readonly isFound: boolean }): void {
    const next = image.versions[version + 1];
    const mayHaveGoneOn = next !== undefined && next.beganAt <= arrivedAt;
    if (!mayHaveGoneOn) this.asked++;
    if (isFound) return;
    if (!mayHaveGoneOn) this.missed++;
    if (!this.#isExact) return;
    if (mayHaveGoneOn) next.seenAt = Math.min(next.seenAt, arrivedAt);
    else this.#fault(`${image.id} was not answered: ${describe(image, sentAt)}`);
  }

  #imageOf(id: string): FollowedImage {
    let image = this.#byId.get(id);
    if (!image) {
      image = { id, versions: [], isAwaited: false };
      this.#byId.set(id, image);
      this.images.push(image);
    }
    return image;
  }

  #fault(said: string): void {
    if (this.faults.length < FAULTS_MAX) this.faults.push(said);
  }
}

/** The version that a pod must have reached, or passed, by then; -1 when it need not have the image yet. */
function reached({ versions }: FollowedImage, sentAt: number): number {
  return versions.findLastIndex(({ returnedAt, seenAt }) => seenAt <= sentAt || returnedAt + FOLLOWED_MS <= sentAt);
}

function questionOf(image: FollowedImage, version: number): Question {
  const at = image.versions[version]!.vector ? version : version - 1; // no tombstone comes first, or after another
  return { image, version: at, vector: image.versions[at]!.vector! };
}

function describe({ versions }: FollowedImage, sentAt: number): string {
  const ms = (at: number): string => (at === Infinity ? 'never' : `${(at - sentAt).toFixed(0)} ms`);
  return versions.map(({ vector, returnedAt, seenAt }) => `${vector ? 'written' : 'removed'} ${ms(returnedAt)}, seen ${ms(seenAt)}`).join('; ') + ' (from when the search was sent)';
}
