/**
 * Which of a pod's images are in groups of near-duplicates, both ways. Most images are in none, and take nothing here; one
 * that is takes some 300 bytes in maps.
 */
import { EisError } from '../common/errors.js';
import { ID_BYTES } from './row-chunk.js';

export class GroupTable {
  readonly #canonicals = new Map<string, string>();
  readonly #members = new Map<string, Set<string>>();

  /** Id of the image that stands for an image's group; undefined: it is alone. */
  canonicalOf(id: string): string | undefined {
    return this.#canonicals.get(id);
  }

  /** The images here of which one stands for, itself among them if it is here, in no order. */
  membersOf(canonical: string): ReadonlySet<string> {
    return this.#members.get(canonical) ?? new Set();
  }

  /** @param canonical undefined: it is alone */
  set(id: string, canonical: string | undefined): void {
    const standing = this.#canonicals.get(id);
    if (standing === canonical) return;
    if (standing !== undefined) this.#leave(id, standing);
    if (canonical === undefined) return;
    this.#canonicals.set(id, canonical);
    const members = this.#members.get(canonical);
    if (members) members.add(id);
    else this.#members.set(canonical, new Set([id]));
  }

  #leave(id: string, canonical: string): void {
    this.#canonicals.delete(id);
    const members = this.#members.get(canonical);
    members?.delete(id);
    if (members?.size === 0) this.#members.delete(canonical);
  }

  /** All as bytes: of each image its id and the other's. */
  toBytes(): Uint8Array {
    return Buffer.from([...this.#canonicals].map(([id, canonical]) => id + canonical).join(''), 'hex');
  }

  /**
   * The table that was written as bytes.
   *
   * @throws EisError EIS_SNAPSHOT_INVALID
   */
  static fromBytes(bytes: Uint8Array): GroupTable {
    if (bytes.byteLength % (2 * ID_BYTES) !== 0) throw new EisError('EIS_SNAPSHOT_INVALID', { detail: 'what it says of groups does not fit together.' });
    const table = new GroupTable();
    const { buffer, byteOffset } = bytes;
    const idAt = (at: number): string => Buffer.from(buffer, byteOffset + at, ID_BYTES).toString('hex');
    for (let at = 0; at < bytes.byteLength; at += 2 * ID_BYTES) table.set(idAt(at), idAt(at + ID_BYTES));
    return table;
  }
}
