/**
 * How many images the function holds at once. A request first receives its body, which is the client's pace and costs
 * memory only as bytes arrive, and takes a working slot when the body is whole: clients that send slowly shut nobody out.
 *
 * Memory stays bounded although more are received than worked on: whatever bodies hold, receiving or working, is counted
 * together as it arrives, and within `bytesMax`; pages of a length that is only announced are not touched. On top come an
 * image fetched from a URL, at most one for each working slot, and what was refused half-way until V8 collects it:
 * measured 440 MB when 80 clients sent 19 MB each and stopped.
 *
 * A working slot stays taken while anything still works on the image, though its client may be gone.
 */
export interface SlotBounds {
  /** Images worked on: decoded, embedded, fetched. */
  readonly workingMax: number;
  /** Bodies that are not whole yet. */
  readonly receivingMax: number;
  /** Bytes of all bodies together. */
  readonly bytesMax: number;
}

/** `whole`: the body is there, and nothing has begun to work on it. */
interface Holder {
  stage: 'receiving' | 'whole' | 'working';
  bytes: number;
}

/** Bodies received for each image that is worked on. */
const RECEIVING_FACTOR = 4;
/** Of the working slots; the others stay free for what somebody waits for. */
const BACKGROUND_SHARE = 0.5;

/** The bounds of an instance that works on `functionConcurrency` images: the bytes of as many of the largest are held. */
export function slotBounds({ functionConcurrency, imageBytesMax }: { readonly functionConcurrency: number; readonly imageBytesMax: number }): SlotBounds {
  return { workingMax: functionConcurrency, receivingMax: RECEIVING_FACTOR * functionConcurrency, bytesMax: functionConcurrency * imageBytesMax };
}

export class Slots {
  readonly #holders = new Map<object, Holder>();
  #bytes = 0;
  #receiving = 0;

  constructor(readonly bounds: SlotBounds) {}

  /** Requests that hold a slot of either kind. */
  get taken(): number {
    return this.#holders.size;
  }

  /** Bytes of all bodies that are held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A body is about to be received. False when as many as may be are. */
  receive(holder: object): boolean {
    if (this.#receiving >= this.bounds.receivingMax) return false;
    this.#holders.set(holder, { stage: 'receiving', bytes: 0 });
    this.#receiving++;
    return true;
  }

  /** More of a body has come. False when that is more than all bodies together may hold. */
  grow(holder: object, bytes: number): boolean {
    const held = this.#holders.get(holder);
    if (!held || this.#bytes + bytes > this.bounds.bytesMax) return false;
    held.bytes += bytes;
    this.#bytes += bytes;
    return true;
  }

  /** The body is whole: takes a working slot for it. False when all are taken; for work in the background, when half are. */
  enter(holder: object, { isBackground = false }: { readonly isBackground?: boolean } = {}): boolean {
    const held = this.#holders.get(holder);
    const { workingMax } = this.bounds;
    if (!held || this.#holders.size - this.#receiving >= (isBackground ? Math.ceil(workingMax * BACKGROUND_SHARE) : workingMax)) return false;
    held.stage = 'whole';
    this.#receiving--;
    return true;
  }

  /** From now on only `release` frees the holder's slot. */
  work(holder: object): void {
    const held = this.#holders.get(holder);
    if (held?.stage === 'whole') held.stage = 'working';
  }

  /** The holder's exchange is over: frees its slot unless it is being worked for. */
  disconnect(holder: object): void {
    if (this.#holders.get(holder)?.stage !== 'working') this.release(holder);
  }

  release(holder: object): void {
    const held = this.#holders.get(holder);
    if (!held) return;
    this.#holders.delete(holder);
    this.#bytes -= held.bytes;
    if (held.stage === 'receiving') this.#receiving--;
  }
}
