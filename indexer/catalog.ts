/**
 * What a pod knows of each image besides its vector: what a hit is answered with, and the version it has of it. Images
 * are rows of columns and of an arena of texts: with one URL some 150 bytes each, of which no garbage collection knows; one
 * that has metadata takes somewhat less than its JSON, one that has none takes nothing more.
 */
import { EisError } from '../common/errors.js';
import type { Filter } from '../common/filter.js';
import { valuesOf } from '../common/metadata.js';
import type { StoredRecord } from '../common/store/store.js';
import { IMAGE_ID, type IndexHit } from '../common/wire.js';
import { bytesOfColumns, CATALOG_ROW_BYTES, CatalogColumns, PHASH_BYTES, ROW_BITS, rowIn } from './catalog-columns.js';
import { GroupTable } from './group-table.js';
import type { FilteredRows } from './filter-verdicts.js';
import { IdTable, NUMBERS_MAX } from './id-table.js';
import { NameTable } from './packed-metadata.js';
import { ID_BYTES, readId, writeId } from './row-chunk.js';
import { compileTextFilter, decodeRow, encodeRow, type RowFacts } from './row-text.js';
import type { SectionReader, SectionWriter } from './snapshot-file.js';
import { TextArena } from './text-arena.js';

export interface CatalogEntry extends RowFacts {
  readonly updatedAt: number;
}

/** Where the place of a row's text would be, a free row has the next free one, as `FREE_END − 1 − row`; the last has FREE_END. */
const FREE_END = -1;

/** What a saved catalog says of itself: its columns are one section, the parts of its arena the next. */
interface SavedCatalog {
  readonly size: number;
  /** Rows, the free ones among them. */
  readonly rows: number;
  /** Bytes of the arena's parts. */
  readonly texts: readonly number[];
  /** Bytes of the section after the arena's. */
  readonly groups: number;
  /** Of metadata, by number. */
  readonly names: readonly string[];
}

/** A catalog of one moment, to be saved. */
export interface FrozenCatalog {
  /** Writes it, and returns what is to be kept of it besides (JSON). */
  write(writer: SectionWriter): Promise<unknown>;
  /** To be called once. */
  end(): void;
}

export class Catalog implements FilteredRows {
  readonly #columns = new CatalogColumns();
  readonly #numbers = new IdTable({ rowBits: ROW_BITS, ids: (chunk) => this.#columns.ids(chunk) });
  readonly #texts = new TextArena({
    placeOf: (row) => this.#placeOf(row),
    moved: (row, place) => this.#setPlace(row, place),
  });
  #groups = new GroupTable();
  #names = new NameTable();
  #changed: (row: number) => void = () => undefined;
  #rows = 0;
  #firstFree = FREE_END;

  get size(): number {
    return this.#numbers.size;
  }

  get memoryBytes(): number {
    return this.#columns.memoryBytes + this.#numbers.memoryBytes + this.#texts.memoryBytes;
  }

  get(id: string): CatalogEntry | undefined {
    const row = this.#numbers.get(id);
    return row === undefined ? undefined : this.#entry(row);
  }

  /** Of the version that is known of an image; undefined for an image that is not. */
  updatedAt(id: string): number | undefined {
    const row = this.#numbers.get(id);
    return row === undefined ? undefined : this.#columns.at(row).updatedAt[rowIn(row)];
  }

  /**
   * Keeps what is needed of a record; its vector is the index's.
   *
   * @throws EisError EIS_IMAGE_ID_INVALID
   */
  set({ id, urls, width, height, phash, updatedAt, metadata: given, canonical }: StoredRecord): void {
    if (!IMAGE_ID.test(id)) throw new EisError('EIS_IMAGE_ID_INVALID', {});
    const metadata = valuesOf(given);
    const { text, isPlain } = encodeRow({ urls, width, height, phash, ...(metadata && { metadata }) }, this.#names);
    const row = this.#numbers.get(id) ?? this.#add(id);
    const columns = this.#columns.writable(row);
    this.#groups.set(id, canonical !== undefined && IMAGE_ID.test(canonical) ? canonical : undefined);
    columns.updatedAt[rowIn(row)] = updatedAt;
    columns.widths[rowIn(row)] = width;
    columns.heights[rowIn(row)] = height;
    if (isPlain) columns.phashes.set(Buffer.from(phash, 'hex'), rowIn(row) * PHASH_BYTES);
    this.#setText(row, text);
    this.#changed(row);
  }

  /** The images here that are in the group of one, which may be elsewhere. */
  membersOf(canonical: string): ReadonlySet<string> {
    return this.#groups.membersOf(canonical);
  }

  /** Id of the image that stands for an image's group; its own when it is alone. */
  groupOf(id: string): string {
    return this.#groups.canonicalOf(id) ?? id;
  }

  /** A hit as it is answered; none when the image was removed in this very moment. */
  describe(id: string, score: number): IndexHit[] {
    const entry = this.get(id);
    if (!entry) return [];
    const { urls, width, height, phash, metadata } = entry;
    const canonical = this.#groups.canonicalOf(id);
    return [{ id, score, url: urls[0] ?? '', urls: [...urls], width, height, phash, ...(metadata && { metadata }), ...(canonical !== undefined && { canonical }) }];
  }

  get rowsEnd(): number {
    return this.#rows;
  }

  rowOf(id: string): number | undefined {
    return this.#numbers.get(id);
  }

  copyId(row: number, target: Uint8Array, at: number): void {
    const { ids } = this.#columns.at(row);
    for (let byte = 0, from = rowIn(row) * ID_BYTES; byte < ID_BYTES; byte++) target[at + byte] = ids[from + byte] as number;
  }

  rowTest(filter: Filter): (row: number) => boolean {
    const matches = compileTextFilter(filter, this.#names);
    return (row) => {
      const place = this.#placeOf(row);
      return place >= 0 && this.#texts.look(place, matches);
    };
  }

  watch(changed: (row: number) => void): void {
    this.#changed = changed;
  }

  delete(id: string): void {
    const row = this.#numbers.get(id);
    if (row === undefined) return;
    this.#numbers.delete(id);
    this.#groups.set(id, undefined);
    const place = this.#placeOf(row);
    this.#setFree(row);
    this.#texts.drop(place);
    this.#changed(row);
  }

  /** What is set and deleted meanwhile may or may not be among them. */
  *ids(): Generator<string> {
    for (let row = 0; row < this.#rows; row++) if (this.#placeOf(row) >= 0) yield readId(this.#columns.at(row).ids, rowIn(row));
  }

  /** Holds what it has in this moment for saving, while it goes on. */
  freeze(): FrozenCatalog {
    const [size, rows, chunks] = [this.size, this.#rows, this.#columns.hold()];
    const texts = this.#texts.parts();
    const groups = this.#groups.toBytes();
    const names = [...this.#names.names];
    return {
      async write(writer) {
        await writer.write(bytesOfColumns(chunks, rows));
        await writer.write(texts);
        await writer.write([groups]);
        return { size, rows, texts: texts.map(({ length }) => length), groups: groups.length, names } satisfies SavedCatalog;
      },
      end: () => this.#columns.release(chunks),
    };
  }

  /**
   * The catalog that was saved.
   *
   * @param contents what `FrozenCatalog.write` returned
   * @throws EisError EIS_SNAPSHOT_INVALID
   */
  static async restore(contents: unknown, reader: SectionReader): Promise<Catalog> {
    const { size, rows, texts, groups, names } = contents as SavedCatalog;
    const catalog = new Catalog();
    if (!(Number.isSafeInteger(rows) && rows >= 0 && rows < NUMBERS_MAX) || rows * CATALOG_ROW_BYTES !== reader.nextBytes) throw invalid();
    catalog.#columns.grow(rows);
    await reader.read(bytesOfColumns(catalog.#columns.all(), rows));
    if (!Array.isArray(texts) || texts.reduce((sum: number, bytes: number) => sum + bytes, 0) !== reader.nextBytes) throw invalid();
    await reader.read(catalog.#texts.allocate(texts));
    catalog.#adopt(rows, size);
    if (groups !== reader.nextBytes || !Array.isArray(names)) throw invalid();
    const bytes = new Uint8Array(groups);
    await reader.read([bytes]);
    catalog.#groups = GroupTable.fromBytes(bytes);
    catalog.#names = new NameTable(names);
    return catalog;
  }

  /** Takes the rows that were read into the columns and the arena. */
  #adopt(rows: number, size: number): void {
    this.#rows = rows;
    if (this.#texts.adopt(rows) !== size) throw invalid();
    this.#numbers.reserve(size);
    for (let row = 0; row < rows; row++) {
      if (!(this.#placeOf(row) >= 0)) this.#setFree(row);
      else if (this.#numbers.set(row) !== undefined) throw invalid();
    }
    if (this.size !== size) throw invalid();
  }

  #entry(row: number): CatalogEntry {
    const { updatedAt, widths, heights, phashes } = this.#columns.at(row);
    const at = rowIn(row);
    const { isPlain, facts } = decodeRow(this.#texts.read(this.#placeOf(row)), this.#names);
    if (!isPlain) return { ...{ urls: [] }, ...facts, updatedAt: updatedAt[at] as number };
    const phash = Buffer.from(phashes.buffer, phashes.byteOffset + at * PHASH_BYTES, PHASH_BYTES).toString('hex');
    return { ...facts, width: widths[at] as number, height: heights[at] as number, phash, updatedAt: updatedAt[at] as number };
  }

  /** A row for an id, to be filled in the same turn of the event loop. */
  #add(id: string): number {
    const row = this.#firstFree === FREE_END ? this.#rows++ : this.#firstFree;
    if (row === this.#firstFree) this.#firstFree = FREE_END - 1 - this.#placeOf(row);
    this.#columns.grow(row + 1);
    this.#setPlace(row, FREE_END);
    writeId(this.#columns.writable(row).ids, rowIn(row), id);
    this.#numbers.set(row);
    return row;
  }

  #setText(row: number, text: Buffer): void {
    const place = this.#placeOf(row);
    if (place >= 0) {
      if (text.equals(this.#texts.read(place))) return;
      this.#setPlace(row, FREE_END);
      this.#texts.drop(place);
    }
    this.#texts.write(row, text);
  }

  #setFree(row: number): void {
    this.#setPlace(row, FREE_END - 1 - this.#firstFree);
    this.#firstFree = row;
  }

  #placeOf(row: number): number {
    return this.#columns.at(row).places[rowIn(row)] as number;
  }

  #setPlace(row: number, place: number): void {
    this.#columns.writable(row).places[rowIn(row)] = place;
  }
}

function invalid(): EisError {
  return new EisError('EIS_SNAPSHOT_INVALID', { detail: 'what it says of the images does not fit together.' });
}
