/** Where images are known from that a model version may lack. */
import type { LiveVersion, Store, VectorCollection } from './store.js';

/** The live collections of all models but the target itself; the model's own former version is among them. */
export async function knownCollections(store: Store, models: readonly string[], target: { readonly model: string; readonly live: LiveVersion | undefined }): Promise<VectorCollection[]> {
  const lives = await Promise.all(models.map(async (name) => ({ name, live: await store.liveVersion(name) })));
  return lives.flatMap(({ name, live }) => (live && !(name === target.model && live.version === target.live?.version) ? [store.collection(name, live)] : []));
}
