/**
 * Moves a model to other weights while it is searched, step by step. What is known of a step is saved before the next is
 * begun, and each may be done again: a command that was killed anywhere is given again, and goes on.
 */
import type { ModelDefinition } from '../../common/config.js';
import { isEnding } from '../../common/store/lane-versions.js';
import type { LiveVersion, Reembedding } from '../../common/store/store.js';
import { measureAgreement } from './agreement.js';
import { countMissing, fill, type Filling } from './fill.js';
import { describeRecall, isClearLoss, isEnough, lossOf } from './recall.js';
import { askWhole, save, stopped, waitFor, type ReembedParts } from './parts.js';

/** What has to hold before the new version is searched. */
export interface Gates {
  /** The least agreement of both versions, from 0 to 1. */
  readonly minOverlap: number;
  /** Images that may stay behind because they cannot be embedded any more. */
  readonly maxMissing: number;
  /** By how many copies of stored images the new version may find fewer, as a share, where that is no chance: see `isClearLoss`. */
  readonly maxRecallLoss: number;
}

type Changes = Partial<Reembedding> & Pick<Reembedding, 'step'>;
type Step = (job: Reembedding, gates: Gates, parts: ReembedParts) => Promise<Changes>;

const STEPS: Readonly<Partial<Record<Reembedding['step'], Step>>> = {
  starting: start,
  filling: fillUp,
  comparing: compare,
  indexing: bringUpIndexes,
  evaluating: evaluate,
  switching: switchOver,
};

/**
 * Begins the re-embedding of a model, or goes on with it, until the new version is searched.
 *
 * @throws EisError EIS_REEMBED where it stops, with how to go on; what the store or the queue throws; the signal's reason
 */
export async function reembed({ model, to, gates }: { readonly model: string; readonly to: ModelDefinition; readonly gates: Gates }, parts: ReembedParts): Promise<Reembedding> {
  let job = await begin(model, to, parts);
  for (let step = STEPS[job.step]; step; step = STEPS[job.step]) {
    parts.signal.throwIfAborted();
    job = await save(job, await step(job, gates, parts), parts);
  }
  return job;
}

/** Whether two definitions are of the same model; what a store gave back has no undefined fields. */
export function isSameDefinition(a: ModelDefinition, b: ModelDefinition): boolean {
  return (['modelUrl', 'sha256', 'layer', 'inputSize', 'preprocess', 'engine'] as const).every((field) => (a[field] ?? null) === (b[field] ?? null));
}

async function begin(model: string, to: ModelDefinition, parts: ReembedParts): Promise<Reembedding> {
  const { store } = parts;
  const standing = await store.reembeddings.get(model);
  if (!standing) {
    const from = await store.liveVersion(model);
    if (!from) throw stopped(model, 'it has no images yet, so there is nothing to embed again. Put the new weights into config.json.');
    return save({ model, step: 'starting', to, from, startedAt: Date.now(), revision: 0 }, {}, parts);
  }
  if (isEnding(standing)) throw stopped(model, 'the one before is being finished. Give --finish again until it is.');
  if (!isSameDefinition(standing.to, to)) throw stopped(model, `one to ${standing.to.modelUrl ?? model} is under way. End that first with --rollback and --finish.`);
  // Saved anew in any case: a second lane that could not be started is tried once more then.
  return save(standing, { step: standing.step === 'rolled_back' ? 'starting' : standing.step }, parts);
}

/** Live images go to both lanes from here on, those of before come later: between the two none is lost. */
async function start(job: Reembedding, _gates: Gates, parts: ReembedParts): Promise<Changes> {
  const { model, from, to } = job;
  await parts.queue.addLane(model);
  parts.onNotice(`Waiting for the function of the second lane, which runs ${to.modelUrl ?? model}.`);
  const version = await waitFor(() => parts.lanes.next.functionVersion(), { model, missing: 'the function of its second lane does not answer. On one machine "npm start" starts it, and says why when it cannot; on a cluster it is deployed where config.json has "next".' }, parts);
  if (version.version === from.version) throw stopped(model, 'the new weights are those of the version that is searched: nothing has to be embedded again. End this with --rollback and --finish.');
  if (job.version && job.version.version !== version.version) throw stopped(model, `its second lane runs version ${version.version.slice(0, 8)}, and was begun with ${job.version.version.slice(0, 8)}: the file was changed meanwhile. End this with --rollback and --finish, and begin anew.`);
  return { step: 'filling', version };
}

function fillingOf({ model, from, version, startedAt }: Reembedding, { store }: ReembedParts): Filling & { readonly version: LiveVersion } {
  const known = version as LiveVersion; // known since it was started
  return { model, startedAt, version: known, from: store.collection(model, from), target: store.collection(model, known) };
}

async function fillUp(job: Reembedding, { maxMissing }: Gates, parts: ReembedParts): Promise<Changes> {
  const filling = fillingOf(job, parts);
  parts.onNotice(`Filling version ${filling.version.version.slice(0, 8)} with what version ${job.from.version.slice(0, 8)} has; that one is searched meanwhile.`);
  const submission = await fill(filling, parts);
  const missing = await countMissing(filling);
  if (missing > maxMissing) {
    await save(job, { submission, missing }, parts);
    throw stopped(job.model, `${missing} images could not be embedded with the new weights, and nothing was switched. "eis status --rejected --submission ${submission}" says why. Mend that and give the same command again, or give it with --max-missing ${missing} to go on without them, or end it with --rollback and --finish.`);
  }
  return { step: 'comparing', submission, missing };
}

async function compare(job: Reembedding, { minOverlap }: Gates, parts: ReembedParts): Promise<Changes> {
  const { version, from, target } = fillingOf(job, parts);
  const agreement = await (parts.measure?.(job.model, [job.from, version]) ?? measureAgreement([from, target]));
  const { overlap, k, sampled, among } = agreement;
  const found = `Both versions agree on ${(100 * overlap).toFixed(1)} % of the nearest ${k} of ${sampled} stored images, among ${among}`;
  if (overlap >= minOverlap) {
    parts.onNotice(`${found}.`);
    return { step: 'indexing', agreement };
  }
  await save(job, { agreement }, parts);
  throw stopped(job.model, `${found}; at least ${100 * minOverlap} % are asked for, and nothing was switched. If the new weights are right, give the same command with --min-overlap ${Math.floor(100 * overlap) / 100}; if not, end it with --rollback and --finish.`);
}

async function bringUpIndexes(job: Reembedding, _gates: Gates, parts: ReembedParts): Promise<Changes> {
  const { target } = fillingOf(job, parts);
  parts.onNotice('Waiting until the index pods of the second lane hold every image.');
  await waitFor(askWhole(parts.lanes.next, target), { model: job.model, missing: `the index pods of its second lane do not hold all ${await target.count()} images of the new version.` }, parts);
  return { step: 'evaluating' };
}

/** What was measured stays, so that the same command says the same again. */
async function evaluate(job: Reembedding, { maxRecallLoss }: Gates, parts: ReembedParts): Promise<Changes> {
  const { version } = fillingOf(job, parts);
  const isKnown = job.recall !== undefined && isEnough(job.recall);
  if (!isKnown) parts.onNotice('Searching for altered copies of stored images in both versions.');
  const recall = isKnown ? job.recall : await parts.measureRecall([job.from, version]);
  const found = describeRecall(recall);
  if (!isClearLoss(recall, maxRecallLoss)) {
    parts.onNotice(found);
    return { step: 'switching', recall };
  }
  await save(job, { recall }, parts);
  throw stopped(job.model, `${found} That is clearly fewer (found by the former alone: ${recall.lost}, by the new one alone: ${recall.gained}), and nothing was switched. If the new weights are right all the same, give the same command with --max-recall-loss ${Math.ceil(100 * lossOf(recall)) / 100}; if not, end it with --rollback and --finish.`);
}

/** What came in while this was not at work, as after a kill, is waited for once more before the pointer moves. */
async function switchOver(job: Reembedding, { maxMissing }: Gates, parts: ReembedParts): Promise<Changes> {
  const filling = fillingOf(job, parts);
  if ((await countMissing(filling)) > Math.max(maxMissing, job.missing ?? 0)) return { step: 'filling' };
  await parts.store.setLiveVersion(job.model, filling.version);
  const standing = await parts.store.reembeddings.get(job.model);
  if (standing?.step === 'rolled_back') await parts.store.setLiveVersion(job.model, job.from); // by another command, in this very moment
  return { step: 'switched' };
}
