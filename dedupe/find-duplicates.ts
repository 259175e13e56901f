/**
 * From the pictures of one model to groups of copies. The first run judges every picture, and finds the model's thresholds
 * from them; later ones judge what came since, until the collection has doubled: then the thresholds are found anew, and
 * with them all is judged anew, which by then costs no more than all runs before did.
 */
import { calibrate, isCopy, type Calibration } from './calibration.js';
import { compareMembers, gather, groupCopies, type Group, type Pair } from './grouping.js';
import { Judge, type Neighbours, type Picture } from './judge.js';

/** Of judging: what a run with another one left is of no use. */
const METHOD = 2;

/** What one run leaves to the next; plain JSON. */
export interface DedupeState {
  readonly method: number;
  /** What was created before this time was judged; ms since the epoch, by the store's clock. */
  readonly judgedUntil: number;
  /** Of what was created from then on, what was judged too, with the time that it was created at. */
  readonly judgedSince: readonly (readonly [id: string, createdAt: number])[];
  /** Undefined: there was too little to calibrate from. */
  readonly calibration: Calibration | undefined;
  /** Pictures that there were when it was calibrated. */
  readonly calibratedOn: number;
}

/** Another canonical id for a picture; undefined: it is alone. */
export interface GroupChange {
  readonly id: string;
  readonly canonical: string | undefined;
}

export interface Findings {
  readonly pictures: number;
  /** Pictures that were judged in this run. */
  readonly judged: number;
  /** Pairs that were compared. */
  readonly compared: number;
  /** Pairs that were taken for copies. */
  readonly accepted: number;
  readonly isFull: boolean;
  /** All groups as they are after the changes, the largest first. */
  readonly groups: readonly Group[];
  readonly changes: readonly GroupChange[];
  readonly state: DedupeState;
}

export interface DedupeInput {
  /** All that are alive. */
  readonly pictures: readonly Picture[];
  readonly neighbours: Neighbours;
  /** Of the run before; undefined: everything is judged. */
  readonly state: DedupeState | undefined;
  /** What changed from this time on may not be among the pictures as it is now, and is looked for again: ms since the epoch. */
  readonly completeUntil: number;
  /** Told how many of the pictures that are due were looked at. */
  readonly onProgress?: (done: number, of: number) => void;
}

/** A note of a store is not made longer than this: what is not in it is judged again. */
const JUDGED_SINCE_MAX = 50_000;
/** The collection is calibrated anew when it has grown so many times. */
const GROWTH = 2;

export async function findDuplicates({ pictures, neighbours, state, completeUntil, onProgress }: DedupeInput): Promise<Findings> {
  const byId = new Map([...pictures].sort(compareMembers).map((picture) => [picture.id, picture]));
  const known = isUsable(state) && byId.size < GROWTH * state.calibratedOn ? state : undefined;
  const due = known ? dueIn(byId, known) : [...byId.keys()];
  const judge = new Judge(byId, neighbours, (looked) => onProgress?.(Math.min(looked, due.length), due.length));
  const candidates = await judge.candidates(due, known?.calibration);
  const calibration = known ? known.calibration : calibrate(candidates);
  const toPairs = (judged: typeof candidates): Pair[] => judged.filter((pair) => isCopy(pair, calibration)).map(({ a, b }) => [a, b]);
  const accepted = toPairs(candidates);
  const affected = known ? affectedBy(accepted, due, byId) : byId;
  // Who else is in the groups that are formed anew was judged in earlier runs, which did not keep its pairs.
  const pairs = known ? toPairs(await judge.candidates([...affected.keys()], calibration)) : accepted;
  const groups = groupCopies([...affected.values()], pairs);
  return {
    pictures: byId.size, judged: due.length, compared: candidates.length, accepted: accepted.length, isFull: !known, changes: changesOf(affected, groups),
    groups: [...groups, ...untouchedGroups(byId, affected)].sort((a, b) => b.members.length - a.members.length || (a.canonical < b.canonical ? -1 : 1)),
    state: { method: METHOD, judgedUntil: completeUntil, judgedSince: createdSince(byId, completeUntil), calibration, calibratedOn: known ? known.calibratedOn : byId.size },
  };
}

/** Whether what a run left is of this method. */
export function isUsable<State extends DedupeState>(state: State | undefined): state is State {
  return state?.method === METHOD;
}

/** What is new, came back since it was deleted, or was left by the canonical member or all others of its group. Another URL of an image leaves its looks as they were. */
function dueIn(byId: ReadonlyMap<string, Picture>, state: DedupeState): string[] {
  const sizes = sizesOf(byId);
  const isNew = newSince(state);
  const isLeft = (canonical: string | undefined): boolean => canonical !== undefined && (!byId.has(canonical) || sizes.get(canonical) === 1);
  return [...byId.values()].filter((picture) => isNew(picture) || isLeft(picture.canonical)).map(({ id }) => id);
}

/** Tells whether a picture was not judged yet. */
export function newSince({ judgedUntil, judgedSince }: DedupeState): (picture: Pick<Picture, 'id' | 'createdAt'>) => boolean {
  const judged = new Map(judgedSince);
  return ({ id, createdAt }) => createdAt >= judgedUntil && judged.get(id) !== createdAt;
}

function createdSince(byId: ReadonlyMap<string, Picture>, since: number): DedupeState['judgedSince'] {
  return [...byId.values()].filter(({ createdAt }) => createdAt >= since).slice(0, JUDGED_SINCE_MAX).map(({ id, createdAt }) => [id, createdAt] as const);
}

/** Members of each group, by its canonical id. */
function sizesOf(byId: ReadonlyMap<string, Picture>): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const { canonical } of byId.values()) if (canonical !== undefined) sizes.set(canonical, (sizes.get(canonical) ?? 0) + 1);
  return sizes;
}

/** What was judged, what it was paired with, and who is in a group with either. */
function affectedBy(accepted: readonly Pair[], due: readonly string[], byId: ReadonlyMap<string, Picture>): Map<string, Picture> {
  const touched = new Set([...due, ...accepted.flat()]);
  const groups = new Set([...touched].flatMap((id) => byId.get(id)?.canonical ?? []));
  return new Map([...byId].filter(([id, { canonical }]) => touched.has(id) || (canonical !== undefined && groups.has(canonical))));
}

function changesOf(affected: ReadonlyMap<string, Picture>, groups: readonly Group[]): GroupChange[] {
  const canonicalOf = new Map(groups.flatMap(({ canonical, members }) => members.map((id) => [id, canonical] as const)));
  return [...affected.values()].filter(({ id, canonical }) => canonicalOf.get(id) !== canonical).map(({ id }) => ({ id, canonical: canonicalOf.get(id) }));
}

function untouchedGroups(byId: ReadonlyMap<string, Picture>, affected: ReadonlyMap<string, Picture>): Group[] {
  return gather([...byId.values()].flatMap(({ id, canonical }) => (canonical === undefined || affected.has(id) ? [] : [[id, canonical] as const])));
}
