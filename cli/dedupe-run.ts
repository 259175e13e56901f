/**
 * Finds the near-duplicates of one model's collection. It needs the store and nothing else: neighbours are asked of an index of its
 * own, made from one reading of the collection, so that it takes nothing from those that serve, sees one state of the store,
 * and runs where no pod does.
 *
 * What it costs goes by what changed. Where the change feed says that no image came and no group lost one, nothing is read. For a few
 * images the collection is read once, and each of them is compared with all, in int8; only where many are due, a graph
 * of all is made, which takes most of a whole run.
 */
import { join } from 'node:path';
import { GRAPH_DEFAULTS } from '../common/config-defaults.js';
import { ALL_SLOTS } from '../common/slots.js';
import type { LiveVersion, Store, StoredRecord, VectorCollection } from '../common/store/store.js';
import { findDuplicates, isUsable, newSince, type DedupeState, type Findings } from '../dedupe/find-duplicates.js';
import type { Picture } from '../dedupe/judge.js';
import { indexFactory } from '../indexer/create-index.js';
import { OVERLAP_MS } from '../indexer/follower.js';
import { IndexFolders, removeFolder } from '../indexer/index-folder.js';
import { isFiniteVector, type VectorIndex } from '../indexer/vector-index.js';

/** Told how many images were read of the store, of an unknown number, and how many of those that are due were judged. */
export type OnProgress = (part: 'read' | 'judged', done: number, of: number | undefined) => void;

export interface DedupeRunOptions {
  /** Writes what is found; else it is only told. */
  readonly apply: boolean;
  /** Judges all images anew, whatever earlier runs left. */
  readonly all?: boolean;
  readonly dataDir: string;
  readonly onProgress?: OnProgress | undefined;
}

export interface DedupeReport extends Omit<Findings, 'state' | 'changes'> {
  readonly model: string;
  readonly version: string;
  readonly calibration: DedupeState['calibration'];
  /** Images whose group is another than before. */
  readonly changes: number;
  readonly applied: boolean;
  /** What can be opened of the first members of each group, by id. */
  readonly urls: Readonly<Record<string, string>>;
  readonly seconds: number;
}

/** Nothing is to be judged since the run before, which was applied. */
export interface UnchangedReport {
  readonly model: string;
  readonly version: string;
  readonly unchanged: true;
  readonly seconds: number;
}

/** What a run leaves to the next: besides the state, how far the change feed was read. */
interface Note extends DedupeState {
  readonly feed: FeedPosition;
}

interface FeedPosition {
  /** All that changed before this time is known; ms since the epoch, by the store's clock. */
  readonly until: number;
  /** Of what was deleted from then on, what is known too, with the time. */
  readonly gone: readonly (readonly [id: string, deletedAt: number])[];
}

interface News {
  /** Images that came, or left a group. */
  readonly due: number;
  readonly feed: FeedPosition;
}

const NOTE = 'dedupe';
/** Up to this share of the collection, comparing each image that is due with all costs less than a graph of all. */
const FEW_SHARE = 0.05;
/** Ids that are read of the change feed at once. */
const BATCH = 256;
/** Groups whose members' sources are read. */
const GROUPS_WITH_URLS = 100;

/**
 * @returns undefined for a model without a version that is searched
 * @throws EisError EIS_STORE_…, EIS_ENGINE_UNAVAILABLE, EIS_INDEX_FILE
 */
export async function dedupeModel(store: Store, model: string, options: DedupeRunOptions): Promise<DedupeReport | UnchangedReport | undefined> {
  const started = performance.now();
  const live = await store.liveVersion(model);
  if (!live) return undefined;
  const collection = store.collection(model, live);
  const seconds = (): number => (performance.now() - started) / 1000;
  const note = options.all ? undefined : await readUsableNote(collection);
  const news = note && (await readNews(collection, note));
  if (options.apply && note && news?.due === 0) {
    await collection.writeNote(NOTE, { ...note, feed: news.feed } satisfies Note);
    return { model, version: live.version, unchanged: true, seconds: seconds() };
  }
  const { state, changes, ...findings } = await withFolder(model, options.dataDir, (folder) => find(collection, { live, folder, state: note, due: news?.due, onProgress: options.onProgress }));
  if (options.apply) {
    await collection.setGroups(changes);
    await collection.writeNote(NOTE, { ...state, feed: news?.feed ?? { until: state.judgedUntil, gone: [] } } satisfies Note);
  }
  const urls = await readUrls(collection, findings.groups.slice(0, GROUPS_WITH_URLS).map(({ canonical }) => canonical));
  return { model, version: live.version, ...findings, urls, changes: changes.length, calibration: state.calibration, applied: options.apply, seconds: seconds() };
}

async function readUsableNote(collection: VectorCollection): Promise<Note | undefined> {
  const note = (await collection.readNote(NOTE)) as Note | undefined;
  return isUsable(note) ? note : undefined;
}

/** What the change feed says since a run. */
async function readNews(collection: VectorCollection, note: Note): Promise<News> {
  const startedAt = Date.now();
  const isNew = newSince(note);
  const known = new Map(note.feed.gone);
  const gone: (readonly [id: string, deletedAt: number])[] = [];
  let [due, newest] = [0, 0];
  for await (const keys of collection.changes(ALL_SLOTS, note.feed.until)) {
    newest = keys.reduce((latest, { updatedAt }) => Math.max(latest, updatedAt), newest);
    for (let i = 0; i < keys.length; i += BATCH) {
      for (const record of await collection.getMany(keys.slice(i, i + BATCH).map(({ id }) => id))) {
        const { id, deletedAt, canonical } = record;
        if (deletedAt === undefined ? isNew(record) : canonical !== undefined && known.get(id) !== deletedAt) due++;
        if (deletedAt !== undefined && canonical !== undefined) gone.push([id, deletedAt]);
      }
    }
  }
  const until = Math.max(note.feed.until, Math.min(startedAt, newest) - OVERLAP_MS);
  return { due, feed: { until, gone: gone.filter(([, deletedAt]) => deletedAt >= until) } };
}

interface FindOptions extends Pick<DedupeRunOptions, 'onProgress'> {
  readonly live: LiveVersion;
  readonly folder: string;
  readonly state: DedupeState | undefined;
  /** Undefined: all. */
  readonly due: number | undefined;
}

async function find(collection: VectorCollection, { live, folder, state, due, onProgress }: FindOptions): Promise<Findings> {
  const startedAt = Date.now();
  const isFew = state !== undefined && due !== undefined && due <= FEW_SHARE * state.calibratedOn;
  const factory = indexFactory(isFew ? 'brute' : 'hnsw');
  await factory.check?.();
  const index = factory.create({ ...GRAPH_DEFAULTS, dim: live.dim, newFolder: () => folder, onScan: () => undefined, onFailed: () => undefined });
  try {
    const { pictures, newest } = await load(collection, index, (read) => onProgress?.('read', read, undefined));
    await index.settled?.();
    const judged = (done: number, of: number): void => onProgress?.('judged', done, of);
    return await findDuplicates({ pictures, neighbours: index, state, completeUntil: Math.min(startedAt, newest) - OVERLAP_MS, onProgress: judged });
  } finally {
    await index.close();
  }
}

/** Fills the index with every picture that it can hold. */
async function load(collection: VectorCollection, index: VectorIndex, onRead: (read: number) => void): Promise<{ readonly pictures: Picture[]; readonly newest: number }> {
  const pictures: Picture[] = [];
  let newest = 0;
  for await (const records of collection.scan(ALL_SLOTS)) {
    const fitting = records.filter(({ vector }) => vector.length === index.dim && isFiniteVector(vector));
    await index.upsert(fitting);
    pictures.push(...fitting.map(toPicture));
    newest = records.reduce((latest, { updatedAt }) => Math.max(latest, updatedAt), newest);
    onRead(pictures.length);
  }
  return { pictures, newest };
}

function toPicture({ id, phash, width, height, createdAt, canonical }: StoredRecord): Picture {
  return { id, phash, pixels: width * height, createdAt, canonical };
}

async function readUrls(collection: VectorCollection, ids: readonly string[]): Promise<Record<string, string>> {
  const records = await collection.getMany(ids);
  return Object.fromEntries(records.flatMap(({ id, urls }) => (urls[0] === undefined ? [] : [[id, urls[0]]])));
}

/** Works in a folder of the run's own, which is removed, as is what runs left that were killed. */
async function withFolder<T>(model: string, dataDir: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folders = new IndexFolders({ dataDir: join(dataDir, 'dedupe'), model, shard: { index: 0, of: 1 } });
  for (const left of folders.claimLeft()) removeFolder(left);
  const folder = folders.create();
  try {
    return await work(folder);
  } finally {
    removeFolder(folder);
  }
}
