/**
 * Which rows of a snapshot are of some ids, in shared memory, for a scan. The rows are looked up by the ids, so few ids cost little;
 * in pieces, between which the event loop turns. Whatever was written since the snapshot has a row that is not the snapshot's,
 * but may have had one that is: then all rows are looked at instead.
 */
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import { ID_BYTES, placeOf, readId } from './row-chunk.js';
import type { SnapshotPart } from './row-chunks.js';
import type { RowStore, Snapshot } from './row-store.js';
import type { Among } from './vector-index.js';

/** Rows that are looked at in one turn of the event loop. */
const SLICE_ROWS = 2_048;

/** @returns by the snapshot's row number: 1 for those that are of these ids */
export async function maskRows(rows: Pick<RowStore, 'addressOfId'>, snapshot: Snapshot, among: Among): Promise<Uint8Array> {
  const mask = new Uint8Array(new SharedArrayBuffer(snapshot.rows));
  const parts = new Map(snapshot.parts.map((part) => [part.memory.serial, part]));
  let isFirst = true;
  for (const ids of among.pieces()) {
    if (!isFirst) await yieldToLoop();
    isFirst = false;
    for (let at = 0; at < ids.length; at += ID_BYTES) {
      const address = rows.addressOfId(ids, at);
      if (address === undefined) continue; // it is gone
      const { serial, row } = placeOf(address);
      const part = parts.get(serial);
      if (!part || row >= part.rows) return maskByRow(snapshot, among);
      mask[part.firstRow + row] = 1;
    }
  }
  return mask;
}

async function maskByRow(snapshot: Snapshot, among: Among): Promise<Uint8Array> {
  const mask = new Uint8Array(new SharedArrayBuffer(snapshot.rows));
  for (const part of snapshot.parts) {
    for (let row = 0; row < part.rows; row++) {
      if (row % SLICE_ROWS === SLICE_ROWS - 1) await yieldToLoop();
      if (isLiving(part, row, snapshot.version) && among.has(readId(part.views.ids, row))) mask[part.firstRow + row] = 1;
    }
  }
  return mask;
}

function isLiving({ views: { diedAt } }: SnapshotPart, row: number, version: number): boolean {
  const died = diedAt[row] as number;
  return died === 0 || died > version;
}
