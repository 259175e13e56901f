/**
 * The 65,536 slots that images are spread over by the first 16 bits of their id, and the ranges of them that index
 * shards own. Shard i of n owns `[i·65536/n, (i+1)·65536/n)`, so that changing n moves no data in the store.
 */
export const SLOTS = 65_536;

/** A half-open range of slots: `start` is in, `end` is not. */
export interface SlotRange {
  readonly start: number;
  readonly end: number;
}

export const ALL_SLOTS: SlotRange = Object.freeze({ start: 0, end: SLOTS });

/** The slot of an image id (64 hex digits): its first 16 bits. */
export function slotOf(id: string): number {
  return Number.parseInt(id.slice(0, 4), 16);
}

/** The slots of shard `shard` of `shards`, counted from 0. */
export function slotRange(shard: number, shards: number): SlotRange {
  return { start: Math.ceil((shard * SLOTS) / shards), end: Math.ceil(((shard + 1) * SLOTS) / shards) };
}

export function hasSlot(range: SlotRange, id: string): boolean {
  const slot = slotOf(id);
  return slot >= range.start && slot < range.end;
}

/** The ids of a range as string bounds: every id with `first <= id < end` (an `end` of undefined has no bound). */
export function idBounds(range: SlotRange): { readonly first: string; readonly end: string | undefined } {
  const prefix = (slot: number): string => slot.toString(16).padStart(4, '0');
  return { first: prefix(range.start), end: range.end >= SLOTS ? undefined : prefix(range.end) };
}
