/**
 * Metadata that `eis ingest` finds beside what it sends: in one file for all of it, by name, or in a file beside each image.
 * The one file is laid on the disk by name, so that of any number of images nothing is held in memory.
 */
import { createReadStream, mkdtempSync, rmSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import { EisError, isEisError } from '../common/errors.js';
import { isObject } from '../common/is-object.js';
import { isImageName } from './image-name.js';
import { digestKey, entryCount } from './lmdb-tables.js';
import { readLines } from './read-lines.js';
import { unreadable, type Found } from './upload-walk.js';

/** Beside `photo.jpg`: `photo.jpg.json`. */
const SIDECAR = '.json';
/** Of a file that is one JSON object, which is read as a whole. */
const OBJECT_BYTES_MAX = 64 * 1024 * 1024;
const LINE_CHARACTERS_MAX = 1024 * 1024;
const ROWS_AT_ONCE = 1_000;
const FORM = 'It is {"photo.jpg": {"year": 2024}, …}, or, ending in .ndjson or .jsonl, {"name": "photo.jpg", "metadata": {"year": 2024}} a line; names are paths within the folder that is sent, or URLs.';

type Row = readonly [name: string, metadata: object];

/** The metadata of one file, by the names of images. */
export class MetadataTable {
  readonly #folder: string;
  readonly #root: RootDatabase;
  readonly #rows: Database<object, string>;
  readonly #matched: Database<true, string>;

  private constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), 'eis-metadata-'));
    this.#root = open({ path: join(this.#folder, 'metadata.mdb'), maxDbs: 2 });
    this.#rows = this.#root.openDB({ name: 'rows' });
    this.#matched = this.#root.openDB({ name: 'matched' });
  }

  /**
   * Reads a file. What is wrong with the metadata of one image is said when that is sent.
   *
   * @throws EisError EIS_SOURCE_UNREADABLE, EIS_METADATA_INVALID
   */
  static async read(path: string): Promise<MetadataTable> {
    const table = new MetadataTable();
    try {
      let rows: Row[] = [];
      for await (const row of /\.(ndjson|jsonl)$/i.test(path) ? readRows(path) : readObject(path)) {
        if (rows.push(row) < ROWS_AT_ONCE) continue;
        table.#add(rows);
        rows = [];
      }
      table.#add(rows);
      return table;
    } catch (thrown) {
      await table.close();
      throw isEisError(thrown) ? thrown : unreadable(path, thrown);
    }
  }

  /** Of the first of these names that it has. */
  find(names: readonly string[]): object | undefined {
    for (const key of names.map(digestKey)) {
      const metadata = this.#rows.get(key);
      if (metadata === undefined) continue;
      void this.#matched.put(key, true);
      return metadata;
    }
    return undefined;
  }

  /** How many of its names were not asked for. */
  async unmatched(): Promise<number> {
    await this.#matched.committed;
    return entryCount(this.#rows) - entryCount(this.#matched);
  }

  async close(): Promise<void> {
    await this.#root.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #add(rows: readonly Row[]): void {
    this.#root.transactionSync(() => {
      for (const [name, metadata] of rows) this.#rows.putSync(digestKey(name), metadata);
    });
  }
}

/** What was found, with its metadata: that of the file beside it, else that of the table. An image whose own cannot be read is not sent. */
export async function* withMetadata(found: AsyncIterable<Found>, { table, hasSidecars }: { readonly table: MetadataTable | undefined; readonly hasSidecars: boolean }): AsyncGenerator<Found> {
  for await (const one of found) {
    if (one.kind === 'skipped' && hasSidecars && isSidecar(one.path)) continue;
    if (one.kind !== 'file' && one.kind !== 'url') yield one;
    else {
      const listed = table?.find(one.kind === 'file' ? [one.name, one.path] : [one.url]);
      const own = hasSidecars && one.kind === 'file' ? await readSidecar(`${one.path}${SIDECAR}`) : undefined;
      const metadata = own ?? listed;
      if (isEisError(own)) yield { kind: 'unreadable', path: one.kind === 'file' ? one.path : one.url, error: own };
      else yield metadata ? { ...one, metadata } : one;
    }
  }
}

function isSidecar(path: string): boolean {
  return path.endsWith(SIDECAR) && isImageName(path.slice(0, -SIDECAR.length));
}

async function readSidecar(path: string): Promise<object | EisError | undefined> {
  try {
    const metadata: unknown = JSON.parse(await readFile(path, 'utf8'));
    return isObject(metadata) ? metadata : invalid(path, 'is not a JSON object.');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    return thrown instanceof SyntaxError ? invalid(path, 'is not JSON.', thrown) : unreadable(path, thrown);
  }
}

async function* readRows(path: string): AsyncGenerator<Row> {
  let number = 0;
  for await (const line of readLines(createReadStream(path), LINE_CHARACTERS_MAX)) {
    const where = `has an entry, number ${++number}, that`;
    const row = parse(line, path, where) as { readonly name?: unknown; readonly metadata?: unknown } | null;
    if (typeof row?.name !== 'string' || !isObject(row.metadata)) throw invalid(path, `${where} has no "name" or no "metadata". ${FORM}`);
    yield [row.name, row.metadata];
  }
}

async function* readObject(path: string): AsyncGenerator<Row> {
  const { size } = await stat(path);
  if (size > OBJECT_BYTES_MAX) throw invalid(path, `is one object of more than ${OBJECT_BYTES_MAX} bytes. Write it as .ndjson, an image a line.`);
  const rows = parse(await readFile(path, 'utf8'), path, 'is text that');
  if (!isObject(rows)) throw invalid(path, `is not a JSON object. ${FORM}`);
  for (const [name, metadata] of Object.entries(rows)) {
    if (!isObject(metadata)) throw invalid(path, `has no object as ${JSON.stringify(name)}. ${FORM}`);
    yield [name, metadata];
  }
}

function parse(text: string, path: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(path, `${where} is not JSON. ${FORM}`, cause);
  }
}

function invalid(path: string, detail: string, cause?: unknown): EisError {
  return new EisError('EIS_METADATA_INVALID', { detail: `${path} ${detail}` }, { cause });
}
