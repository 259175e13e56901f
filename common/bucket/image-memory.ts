/** Holds images that arrive as streams until they can be named, however many arrive at once in no more than so much memory. */
import type { Readable } from 'node:stream';
import { ByteCollector } from '../byte-collector.js';
import { EisError } from '../errors.js';

export interface ImageMemoryOptions {
  readonly imageBytesMax: number;
  /** Of all images that are held. */
  readonly heldBytesMax: number;
}

export class ImageMemory {
  readonly #options: ImageMemoryOptions;
  #heldBytes = 0;

  constructor(options: ImageMemoryOptions) {
    this.#options = options;
  }

  /**
   * The result of `use`, called with the whole image. A stream that is refused is destroyed.
   *
   * @throws EisError EIS_IMAGE_TOO_LARGE, EIS_IMAGE_MISSING; EIS_OVERLOADED when there is no room beside the others
   */
  async hold<T>(bytes: Readable, use: (image: Buffer) => Promise<T>): Promise<T> {
    const { imageBytesMax, heldBytesMax } = this.#options;
    const collected = new ByteCollector();
    let size = 0;
    try {
      for await (const chunk of bytes as AsyncIterable<Buffer>) {
        size += chunk.length;
        this.#heldBytes += chunk.length;
        if (size > imageBytesMax) throw new EisError('EIS_IMAGE_TOO_LARGE', { imageBytesMax });
        if (this.#heldBytes > heldBytesMax) throw new EisError('EIS_OVERLOADED', { detail: 'More images are being stored than there is memory for.' }, { retryAfterS: 1 });
        collected.add(chunk);
      }
      if (size === 0) throw new EisError('EIS_IMAGE_MISSING', {});
      return await use(collected.whole());
    } finally {
      this.#heldBytes -= size;
    }
  }
}
