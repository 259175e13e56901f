/**
 * How many images the next call of an engine takes. Some networks compute several images at once faster than one after
 * the other, some do not, and it depends on the machine and on what else it does: so it is measured, on the calls that
 * are made anyway. It is made of the durations that it is told and of nothing else: no clock, no chance.
 */
export interface BatchSizerOptions {
  /** The most images of a call, for memory's sake. */
  readonly imagesMax: number;
}

const SIZES = [1, 2, 4, 8] as const;

/** A larger call must be this much faster for each image: it makes the first of them wait for the last. */
const CLEARLY_FASTER = 0.95;

/** What one call may be expected to take. A longer one would hold up who comes next, whatever it gained. */
const CALL_MS_MAX = 250;

/** Durations of each size that are remembered. Their median counts: what else runs here makes some of them long. */
const REMEMBERED = 9;

/** Durations before a size is judged. */
const KNOWN = 3;

/** Of calls that had a choice, every so-many-th tries a size that is not known yet. */
const TRIAL_OF_UNKNOWN = 4;

/** … and a size that was not chosen for long, once all are known. */
const TRIAL_OF_KNOWN = 64;

class Measured {
  readonly #msPerImage: number[] = [];
  #median = Infinity;
  #isFirst = true;
  /** The number of the call that it was last measured at. */
  lastCall = 0;

  constructor(readonly images: number) {}

  get isKnown(): boolean {
    return this.#msPerImage.length >= KNOWN;
  }

  get msPerImage(): number {
    return this.#median;
  }

  /** The first call of a size is not counted: engines allocate and plan for it. */
  add(msPerImage: number): void {
    if (this.#isFirst) {
      this.#isFirst = false;
      return;
    }
    this.#msPerImage.push(msPerImage);
    if (this.#msPerImage.length > REMEMBERED) this.#msPerImage.shift();
    this.#median = [...this.#msPerImage].sort((a, b) => a - b)[this.#msPerImage.length >> 1] as number;
  }
}

export class BatchSizer {
  readonly #sizes: readonly Measured[];
  #calls = 0;
  #choices = 0;

  constructor({ imagesMax }: BatchSizerOptions) {
    this.#sizes = SIZES.filter((size) => size === 1 || size <= imagesMax).map((size) => new Measured(size));
  }

  /** The images of a call that are fastest, as far as is known. */
  get best(): number {
    return this.#fastest(this.#sizes).images;
  }

  /** How many of the images that wait the next call takes: 1 or more. */
  next(waiting: number): number {
    const possible = this.#sizes.filter(({ images }) => images <= waiting);
    if (possible.length <= 1) return 1;
    this.#choices++;
    const fastest = this.#fastest(possible);
    const isSoonEnough = ({ images }: Measured): boolean => images === 1 || images * this.#expectedMs(fastest) <= CALL_MS_MAX;
    return this.#trial(possible.filter(isSoonEnough), fastest)?.images ?? fastest.images;
  }

  /** A call of so many images took so long. */
  record(images: number, durationMs: number): void {
    this.#calls++;
    const size = this.#sizes.find((each) => each.images === images);
    if (!size) return;
    size.lastCall = this.#calls;
    size.add(durationMs / images);
  }

  #fastest(sizes: readonly Measured[]): Measured {
    return sizes.reduce((best, size) => (size.isKnown && size.images * size.msPerImage <= CALL_MS_MAX && size.msPerImage < CLEARLY_FASTER * best.msPerImage ? size : best));
  }

  /** What an image takes; nothing is known of it before the first calls, which are of one image. */
  #expectedMs(fastest: Measured): number {
    return fastest.isKnown ? fastest.msPerImage : Infinity;
  }

  #trial(possible: readonly Measured[], fastest: Measured): Measured | undefined {
    const unknown = possible.find(({ isKnown }) => !isKnown);
    if (unknown) return this.#choices % TRIAL_OF_UNKNOWN === 0 ? unknown : undefined;
    if (this.#choices % TRIAL_OF_KNOWN !== 0) return undefined;
    const others = possible.filter((size) => size !== fastest);
    return others.reduce<Measured | undefined>((oldest, size) => (oldest && oldest.lastCall <= size.lastCall ? oldest : size), undefined);
  }
}
