/**
 * `eis dedupe`: finds near-duplicates among the images of a model, and writes their groups into the store, from where index pods
 * take them over. It needs the store and nothing else: neighbours are asked of an index of its own, made from one reading of the
 * collection, so that it takes nothing from those that serve, sees one state of the store, and runs where no pod does.
 */
import { join } from 'node:path';
import { GRAPH_DEFAULTS } from '../common/config-defaults.js';
import { loadConfig, modelConfig } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import { ALL_SLOTS } from '../common/slots.js';
import { openStore } from '../common/store/open-store.js';
import type { Store, VectorCollection } from '../common/store/store.js';
import { findDuplicates, type DedupeState, type Findings } from '../dedupe/find-duplicates.js';
import type { Picture } from '../dedupe/judge.js';
import { indexFactory } from '../indexer/create-index.js';
import { OVERLAP_MS } from '../indexer/follower.js';
import { IndexFolders, removeFolder } from '../indexer/index-folder.js';
import { isFiniteVector, type VectorIndex } from '../indexer/vector-index.js';
import { terminalWidth, wrap } from './layout.js';

export interface DedupeCommandOptions {
  readonly model?: string;
  /** Writes what is found; else it is only told. */
  readonly apply: boolean;
  readonly json: boolean;
}

interface DedupeReport extends Omit<Findings, 'state' | 'changes'> {
  readonly model: string;
  readonly version: string;
  readonly calibration: DedupeState['calibration'];
  /** Images whose group is another than before. */
  readonly changes: number;
  readonly applied: boolean;
  readonly seconds: number;
}

const NOTE = 'dedupe';
/** Groups that are told of on a terminal. */
const GROUPS_TOLD = 10;

export async function dedupeCommand({ model, apply, json }: DedupeCommandOptions, environment: Environment): Promise<void> {
  const config = loadConfig(environment.configFile);
  const models = model === undefined ? config.models.map(({ name }) => name) : [modelConfig(config, model).name];
  await indexFactory('hnsw').check?.();
  const store = await openStore(environment);
  try {
    const reports: DedupeReport[] = [];
    for (const name of models) {
      const report = await dedupeModel(store, name, { apply, dataDir: environment.dataDir });
      if (report) reports.push(report);
      if (!json) process.stdout.write(`${(report ? describe(report) : [`${name}: no images yet.`]).join('\n')}\n`);
    }
    if (json) process.stdout.write(`${JSON.stringify({ models: reports })}\n`);
  } finally {
    await store.close();
  }
}

/** @returns undefined for a model without a version that is searched */
export async function dedupeModel(store: Store, model: string, { apply, dataDir }: { readonly apply: boolean; readonly dataDir: string }): Promise<DedupeReport | undefined> {
  const started = performance.now();
  const live = await store.liveVersion(model);
  if (!live) return undefined;
  const collection = store.collection(model, live);
  const folders = new IndexFolders({ dataDir: join(dataDir, 'dedupe'), model, shard: { index: 0, of: 1 } });
  for (const left of folders.claimLeft()) removeFolder(left); // of a run that was killed
  const folder = folders.create();
  const index = indexFactory('hnsw').create({ ...GRAPH_DEFAULTS, dim: live.dim, newFolder: () => folder, onScan: () => undefined, onFailed: () => undefined });
  try {
    const { state, changes, ...findings } = await find(collection, index);
    if (apply) {
      await collection.setGroups(changes);
      await collection.writeNote(NOTE, state);
    }
    return { model, version: live.version, ...findings, changes: changes.length, calibration: state.calibration, applied: apply, seconds: (performance.now() - started) / 1000 };
  } finally {
    await index.close();
    removeFolder(folder);
  }
}

async function find(collection: VectorCollection, index: VectorIndex): Promise<Findings> {
  const startedAt = Date.now();
  const state = (await collection.readNote(NOTE)) as DedupeState | undefined;
  const pictures = await load(collection, index);
  await index.settled?.();
  const newest = pictures.reduce((latest, { createdAt }) => Math.max(latest, createdAt), 0);
  return findDuplicates({ pictures, neighbours: index, state, completeUntil: Math.min(startedAt, newest) - OVERLAP_MS });
}

/** Fills the index with every picture that it can hold. */
async function load(collection: VectorCollection, index: VectorIndex): Promise<Picture[]> {
  const pictures: Picture[] = [];
  for await (const records of collection.scan(ALL_SLOTS)) {
    const fitting = records.filter(({ vector }) => vector.length === index.dim && isFiniteVector(vector));
    await index.upsert(fitting);
    for (const { id, phash, width, height, createdAt, canonical } of fitting) pictures.push({ id, phash, pixels: width * height, createdAt, canonical });
  }
  return pictures;
}

function describe({ model, pictures, judged, compared, groups, changes, applied, calibration, seconds }: DedupeReport): string[] {
  const copies = groups.reduce((sum, { members }) => sum + members.length - 1, 0);
  const scale = calibration ? `calibrated from ${calibration.margins} pairs of neighbours` : 'too few images to calibrate: only what the perceptual hash vouches for is taken for copies';
  const outcome = applied ? `${changes} images have another group than before.` : `${changes} images would have another group than now; --apply writes it.`;
  return [
    ...wrap(`${model}: ${groups.length} groups with ${copies} copies among ${pictures} images. ${judged} images judged, ${compared} pairs compared in ${seconds.toFixed(1)} s; ${scale}. ${outcome}`, terminalWidth(process.stdout)),
    ...groups.slice(0, GROUPS_TOLD).map(({ canonical, members }) => `  ${canonical}  ${members.length} images`),
    ...(groups.length > GROUPS_TOLD ? [`  … and ${groups.length - GROUPS_TOLD} groups more; --json has all.`] : []),
  ];
}
