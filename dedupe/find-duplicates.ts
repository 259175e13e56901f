/**
 * From the pictures of one model to groups of copies. The first run judges every picture, and finds the model's thresholds
 * from them; later ones judge what came since, until the collection has doubled: then the thresholds are found anew, and
 * with them all is judged anew, which by then costs no more than all runs before did.
 */
import { calibrate, type Calibration } from './calibration.js';
import { compareMembers, gather, groupCopies, type Group, type Pair } from './grouping.js';
import { Judge, type JudgedPair, type Neighbours, type Picture } from './judge.js';

/** What one run leaves to the next; plain JSON. */
export interface DedupeState {
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
  /** What was created from this time on may not be among the pictures yet, and is looked for again: ms since the epoch. */
  readonly completeUntil: number;
}

/** A note of a store is not made longer than this: what is not in it is judged again. */
const JUDGED_SINCE_MAX = 50_000;
/** The collection is calibrated anew when it has grown so many times. */
const GROWTH = 2;

export async function findDuplicates({ pictures, neighbours, state, completeUntil }: DedupeInput): Promise<Findings> {
  const byId = new Map([...pictures].sort(compareMembers).map((picture) => [picture.id, picture]));
  const judge = new Judge(byId, neighbours);
  const known = state !== undefined && byId.size < GROWTH * state.calibratedOn ? state : undefined;
  const due = known ? dueIn(byId, known) : [...byId.keys()];
  const candidates = await judge.candidates(due);
  const calibration = known ? known.calibration : calibrateOn(candidates);
  const accepted = candidates.filter((pair) => isCopy(pair, calibration));
  const affected = known ? affectedBy(accepted, due, byId) : byId;
  const pairs = [...accepted.map(({ a, b }): Pair => [a, b]), ...(known ? standingPairs(affected, byId) : [])];
  const groups = await groupCopies([...affected.values()], pairs, { least: calibration?.threshold ?? Infinity, of: async (id, canonical) => (await judge.margin(id, canonical)) ?? -Infinity });
  const changes = changesOf(affected, groups);
  return {
    pictures: byId.size, judged: due.length, compared: candidates.length, accepted: accepted.length, isFull: !known, changes,
    groups: [...groups, ...untouchedGroups(byId, affected)].sort((a, b) => b.members.length - a.members.length || (a.canonical < b.canonical ? -1 : 1)),
    state: { judgedUntil: completeUntil, judgedSince: createdSince(byId, completeUntil), calibration, calibratedOn: known ? known.calibratedOn : byId.size },
  };
}

/** What is new, came back since it was deleted, or was left by the canonical member or all others of its group. Another URL of an image leaves its looks as they were. */
function dueIn(byId: ReadonlyMap<string, Picture>, { judgedUntil, judgedSince }: DedupeState): string[] {
  const sizes = sizesOf(byId);
  const judged = new Map(judgedSince);
  const isLeft = (canonical: string | undefined): boolean => canonical !== undefined && (!byId.has(canonical) || sizes.get(canonical) === 1);
  return [...byId.values()].filter(({ id, createdAt, canonical }) => (createdAt >= judgedUntil && judged.get(id) !== createdAt) || isLeft(canonical)).map(({ id }) => id);
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

function calibrateOn(candidates: readonly JudgedPair[]): Calibration | undefined {
  const marginsOf = (pairs: readonly JudgedPair[]): number[] => pairs.flatMap(({ margin }) => margin ?? []);
  return calibrate({ neighbours: marginsOf(candidates), vouched: marginsOf(candidates.filter(({ isVouched }) => isVouched)) });
}

/** Without a calibration, what the hash vouches for is taken for copies as far as their surroundings do not speak against it. */
function isCopy({ margin, isVouched }: JudgedPair, calibration: Calibration | undefined): boolean {
  if (!calibration) return isVouched && (margin === undefined || margin > 0);
  return margin !== undefined && margin > (isVouched ? calibration.vouchedThreshold : calibration.threshold);
}

/** What was judged, what it was paired with, and who is in a group with either. */
function affectedBy(accepted: readonly JudgedPair[], due: readonly string[], byId: ReadonlyMap<string, Picture>): Map<string, Picture> {
  const touched = new Set([...due, ...accepted.flatMap(({ a, b }) => [a, b])]);
  const groups = new Set([...touched].flatMap((id) => byId.get(id)?.canonical ?? []));
  return new Map([...byId].filter(([id, { canonical }]) => touched.has(id) || (canonical !== undefined && groups.has(canonical))));
}

/** What earlier runs found: each member with its canonical one. */
function standingPairs(affected: ReadonlyMap<string, Picture>, byId: ReadonlyMap<string, Picture>): Pair[] {
  return [...affected.values()].flatMap(({ id, canonical }): Pair[] => (canonical !== undefined && canonical !== id && byId.has(canonical) ? [[id, canonical]] : []));
}

function changesOf(affected: ReadonlyMap<string, Picture>, groups: readonly Group[]): GroupChange[] {
  const canonicalOf = new Map(groups.flatMap(({ canonical, members }) => members.map((id) => [id, canonical] as const)));
  return [...affected.values()].filter(({ id, canonical }) => canonicalOf.get(id) !== canonical).map(({ id }) => ({ id, canonical: canonicalOf.get(id) }));
}

function untouchedGroups(byId: ReadonlyMap<string, Picture>, affected: ReadonlyMap<string, Picture>): Group[] {
  return gather([...byId.values()].flatMap(({ id, canonical }) => (canonical === undefined || affected.has(id) ? [] : [[id, canonical] as const])));
}
