/** Ends a re-embedding: back to the version of before, and for good. Each may be given again when it was cut off. */
import { wait } from '../../common/backoff.js';
import type { ModelDefinition } from '../../common/config.js';
import { isEnding } from '../../common/store/lane-versions.js';
import type { LiveVersion, Reembedding } from '../../common/store/store.js';
import { askWhole, save, stopped, waitFor, type ReembedParts } from './parts.js';

/** Gateways look every second. */
const GATEWAYS_MS = 5_000;

async function requireJob(model: string, { store }: ReembedParts): Promise<Reembedding> {
  const job = await store.reembeddings.get(model);
  if (job) return job;
  throw stopped(model, 'none is under way. Begin one with --to.');
}

/**
 * The version of before is searched, from now on or still. The new one stays, until it is finished or gone on with.
 *
 * @throws EisError EIS_REEMBED when there is nothing to go back to, or the main lane's function has another version already
 */
export async function rollBack(model: string, parts: ReembedParts): Promise<Reembedding> {
  const job = await requireJob(model, parts);
  if (isEnding(job)) throw stopped(model, 'it is being finished, and what is not searched is removed. Give --finish again until that is done.');
  const running = await parts.lanes.main.functionVersion();
  if (running && running.version !== job.from.version) throw stopped(model, `the function of its main lane runs version ${running.version.slice(0, 8)} already, by which the former version cannot be searched. Deploy that of before first, or go on with --finish.`);
  const saved = await save(job, { step: 'rolled_back' }, parts); // first: a command that is at work on it stops here
  await parts.store.setLiveVersion(model, job.from);
  return saved;
}

/**
 * Keeps the version that is searched, and removes the other with its lane. After a switch the main lane takes the new version
 * over before.
 *
 * @param demandConfig throws unless config.json names this as the model's own
 * @throws EisError EIS_REEMBED where it stops, with how to go on
 */
export async function finish(model: string, demandConfig: (to: ModelDefinition) => void, parts: ReembedParts): Promise<void> {
  let job = await requireJob(model, parts);
  if (job.step === 'switched') {
    demandConfig(job.to);
    job = await save(job, { step: 'finishing' }, parts);
  }
  if (job.step === 'rolled_back') job = await save(job, { step: 'removing' }, parts);
  if (job.step === 'finishing') job = await takeOver(job, parts);
  if (job.step !== 'removing') throw stopped(model, `it is at "${job.step}": the new version is not searched yet. Go on with it, or give --rollback first to end it.`);
  await remove(job, parts);
}

async function takeOver(job: Reembedding, parts: ReembedParts): Promise<Reembedding> {
  const { model } = job;
  const version = job.version as LiveVersion; // known since it was started
  const { main } = parts.lanes;
  parts.onNotice(`Waiting until the main lane of ${model} runs version ${version.version.slice(0, 8)}; the second one is searched meanwhile.`);
  const isWhole = askWhole(main, parts.store.collection(model, version));
  await waitFor(async () => ((await main.functionVersion())?.version === version.version ? isWhole() : undefined), { model, missing: 'its function, or its index pods, do not have the new version yet. On a cluster: deploy the function of the new config.json.' }, parts);
  await wait(parts.gatewaysMs ?? GATEWAYS_MS, parts.signal);
  return save(job, { step: 'removing' }, parts);
}

async function remove({ model, from, version }: Reembedding, parts: ReembedParts): Promise<void> {
  const { store, queue } = parts;
  parts.onNotice(`Removing the second lane of ${model}, and what is not searched.`);
  await waitFor(async () => (await queue.removeLane(model)) || undefined, { model, missing: 'the worker of its second lane does not let go of its queue.' }, parts);
  const live = await store.liveVersion(model);
  for (const former of [from, version]) if (former && former.version !== live?.version) await store.removeVersion(model, former);
  await store.reembeddings.remove(model);
}
