/**
 * Brings every model up to the images that are known, when a machine is started: a model that was added to config.json
 * has none yet, and one whose file, layer or preprocessing was changed has embeddings that cannot be compared with the
 * new ones. Such a model is searched by its new embeddings once they are complete. One that is being embedded again by
 * `eis reembed`, which keeps it searchable meanwhile, is left to that.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { askFunctionVersion } from '../common/function-version.js';
import { knownCollections } from '../common/store/known-collections.js';
import type { LiveVersion, Store, VectorCollection } from '../common/store/store.js';

export interface CatchUpParts {
  readonly store: Store;
  readonly models: readonly { readonly name: string; readonly functionUrl: string }[];
  /** Publishes what `target` lacks of `from`; returns how many. */
  readonly backfill: (options: { readonly model: string; readonly target: VectorCollection; readonly from: readonly VectorCollection[]; readonly submission: string }) => Promise<number>;
  readonly newSubmissionId: () => string;
  readonly onNotice: (notice: string) => void;
  readonly signal: AbortSignal;
}

const POLL_MS = 250;

/** Resolves when every model knows every image that any model knows, or the signal is aborted. */
export async function catchUp(parts: CatchUpParts): Promise<void> {
  for (const { name, functionUrl } of parts.models) {
    const target = await askFunctionVersion(functionUrl);
    if (target) await catchUpModel(name, target, parts);
  }
}

async function catchUpModel(model: string, target: LiveVersion, parts: CatchUpParts): Promise<void> {
  const { store, signal, onNotice } = parts;
  if (await store.reembeddings.get(model)) return;
  const live = await store.liveVersion(model);
  const hasChanged = live !== undefined && live.version !== target.version;
  const submission = parts.newSubmissionId();
  const count = await parts.backfill({ model, target: store.collection(model, target), from: await knownCollections(store, parts.models.map(({ name }) => name), { model, live: target }), submission });
  if (count > 0) {
    onNotice(`Model ${model} ${hasChanged ? 'was changed' : 'is new to some images'}: embedding ${count} of them${hasChanged ? '; it is searched again when that is done' : ''}.`);
    if (!(await waitForOutcomes(submission, parts))) return;
    const { stored, duplicate } = await store.ledger.counts(submission);
    onNotice(`Model ${model}: ${stored + duplicate} of ${count} images embedded.`);
  }
  if (hasChanged && !signal.aborted) await store.setLiveVersion(model, target);
}

/** False when it was interrupted. */
async function waitForOutcomes(submission: string, { store, signal }: CatchUpParts): Promise<boolean> {
  while (!signal.aborted) {
    if ((await store.ledger.counts(submission)).accepted === 0) return true;
    await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
  return false;
}
