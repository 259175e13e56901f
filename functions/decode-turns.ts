/**
 * Lets images be decoded by turns. Decoding is CPU-bound, so more at once than there are CPUs gains nothing; and a file
 * of a kilobyte can unpack to 900 MB (an AVIF of 50 million pixels takes 18 bytes for each in libheif and libaom), so
 * the images that are in memory whole are also bounded by their pixels together. Who waits holds its file's bytes only.
 */
export interface TurnBounds {
  /** Images at once. */
  readonly imagesMax: number;
  /** Pixels in memory at once; an image with more than that goes alone. */
  readonly pixelsMax: number;
}

export interface TurnRequest {
  /** Pixels that will be in memory; 0 for an image that is decoded row by row. */
  readonly pixels: number;
  /** Gives the turn up while it is waited for. */
  readonly signal?: AbortSignal | undefined;
}

interface Waiting {
  readonly pixels: number;
  readonly start: () => void;
}

export class DecodeTurns {
  readonly #waiting: Waiting[] = [];
  #images = 0;
  #pixels = 0;

  constructor(private readonly bounds: TurnBounds) {}

  /** Images that wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * Runs `work` when it is its turn: first come, first served. While the first waits for pixels, only images that need
   * none go before it: they do not lengthen its wait, and large images do not hold up ordinary photos.
   *
   * @throws the signal's reason when it aborts before the turn has come: `work` is not begun then
   */
  async run<T>({ pixels, signal }: TurnRequest, work: () => Promise<T>): Promise<T> {
    signal?.throwIfAborted();
    await this.#turn(pixels, signal);
    try {
      return await work();
    } finally {
      this.#images--;
      this.#pixels -= pixels;
      this.#startNext();
    }
  }

  #turn(pixels: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal?.reason as Error);
        this.#startNext();
      };
      const waiting: Waiting = {
        pixels,
        start: () => {
          signal?.removeEventListener('abort', giveUp);
          resolve();
        },
      };
      signal?.addEventListener('abort', giveUp, { once: true });
      this.#waiting.push(waiting);
      this.#startNext();
    });
  }

  #startNext(): void {
    while (this.#images < this.bounds.imagesMax) {
      const firstLarge = this.#waiting.find(({ pixels }) => pixels > 0);
      const next = this.#waiting.find((waiting) => waiting.pixels === 0 || (waiting === firstLarge && this.#hasRoom(waiting.pixels)));
      if (!next) return;
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      this.#images++;
      this.#pixels += next.pixels;
      next.start();
    }
  }

  #hasRoom(pixels: number): boolean {
    return this.#pixels === 0 || this.#pixels + pixels <= this.bounds.pixelsMax;
  }
}
