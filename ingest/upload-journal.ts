/**
 * What `eis ingest` has sent, on the disk: an ingest that was interrupted goes on where it stopped when the same command
 * is given again, and one of any size holds no list of it in memory. A journal belongs to one command (gateway and
 * sources), lives until that has its outcomes, and is used by one process at a time.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import { hasEnded, thisProcess, type ProcessIdentity } from '../common/process-identity.js';
import { digestKey, entryCount } from './lmdb-tables.js';

/** A command that is given again after so long is another one, and what was sent for the first may be gone. */
const AGE_MAX_MS = 86_400_000;

export interface JournalOptions {
  /** Where journals are kept; undefined, or one that cannot be written: this one goes with its process. */
  readonly folder: string | undefined;
  /** What the command was: the same command finds its journal by it. */
  readonly command: readonly string[];
  /** Of a new journal. */
  readonly submission: string;
}

/** One image that was confirmed. */
export interface Confirmed {
  /** Tells the image from others, and from an earlier state of its file. */
  readonly identity: string;
  /** As the ledger names it. */
  readonly source: string;
  /** As the user gave it. */
  readonly given: string;
}

interface Head {
  readonly submission: string;
  /** The process that is at it. */
  readonly holder?: ProcessIdentity;
}

export class UploadJournal {
  readonly submission: string;
  readonly #folder: string;
  readonly #root: RootDatabase;
  readonly #sent: Database<true, string>;
  readonly #given: Database<string, string>;
  readonly #isLasting: boolean;

  private constructor({ folder, root, submission, isLasting }: { readonly folder: string; readonly root: RootDatabase; readonly submission: string; readonly isLasting: boolean }) {
    this.submission = submission;
    this.#folder = folder;
    this.#root = root;
    this.#sent = root.openDB({ name: 'sent' });
    this.#given = root.openDB({ name: 'given' });
    this.#isLasting = isLasting;
  }

  /** The journal of a command: the one that an interrupted run of it left, or a new one. */
  static async open({ folder, command, submission }: JournalOptions): Promise<UploadJournal> {
    const lasting = folder === undefined ? undefined : await openLasting(folder, digestKey(JSON.stringify(command))).catch(() => undefined);
    const { root, path } = lasting ?? openTemporary();
    const head = root.openDB<Head, string>({ name: 'head' });
    const standing = head.get('head');
    const chosen = standing?.submission ?? submission;
    await head.put('head', { submission: chosen, holder: thisProcess() });
    return new UploadJournal({ folder: path, root, submission: chosen, isLasting: lasting !== undefined });
  }

  /** Images that were confirmed, by this run and those before it. */
  get size(): number {
    return entryCount(this.#given);
  }

  has(identity: string): boolean {
    return this.#sent.get(digestKey(identity)) === true;
  }

  async confirm(images: readonly Confirmed[]): Promise<void> {
    await this.#root.transaction(() => {
      for (const { identity, source, given } of images) {
        void this.#sent.put(digestKey(identity), true);
        void this.#given.put(digestKey(source), given);
      }
    });
  }

  /** An image of the ledger as the user gave it. */
  givenOf(source: string): string | undefined {
    return this.#given.get(digestKey(source));
  }

  /** The command is done: giving it again begins anew. */
  async finish(): Promise<void> {
    await this.#root.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** The command was interrupted. */
  async close(): Promise<void> {
    if (!this.#isLasting || this.size === 0) return this.finish();
    await this.#root.openDB<Head, string>({ name: 'head' }).put('head', { submission: this.submission });
    await this.#root.close();
  }
}

interface Opened {
  readonly root: RootDatabase;
  readonly path: string;
}

/** Undefined while another process has it. */
async function openLasting(folder: string, name: string): Promise<Opened | undefined> {
  mkdirSync(folder, { recursive: true });
  sweep(folder);
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  const root = openRoot(path);
  const standing = root.openDB<Head, string>({ name: 'head' }).get('head');
  if (!standing?.holder || hasEnded(standing.holder)) return { root, path };
  await root.close();
  return undefined;
}

function openTemporary(): Opened {
  const path = mkdtempSync(join(tmpdir(), 'eis-ingest-'));
  return { root: openRoot(path), path };
}

function openRoot(path: string): RootDatabase {
  return open({ path: join(path, 'journal.mdb'), maxDbs: 3 });
}

function sweep(folder: string): void {
  for (const name of readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))) {
    const file = join(folder, name, 'journal.mdb');
    const modifiedAt = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - modifiedAt > AGE_MAX_MS) rmSync(join(folder, name), { recursive: true, force: true });
  }
}
