/** Keeps an apply from taking away the second lane of a model while that is what is searched. */
import { EisError } from '../common/errors.js';
import type { ReembeddingStatus } from '../common/wire-queues.js';
import type { Cluster } from './cluster.js';
import { LANE_LABEL, MODEL_LABEL } from './manifests/names.js';
import type { ObjectHeader } from './phases.js';

/** From when the pointer may have moved until the main lane has taken over: without the second lane searches would fail, or go back unasked. */
const SEARCHED: readonly ReembeddingStatus['step'][] = ['switching', 'switched', 'finishing'];

/** The models that stay and whose second lane goes, in the order of their names. */
export function endingLanes(gone: readonly ObjectHeader[], kept: readonly ObjectHeader[]): string[] {
  const modelsOf = (objects: readonly ObjectHeader[]): string[] => objects.flatMap(({ metadata: { labels } }) => labels?.[MODEL_LABEL] ?? []);
  const isSecond = ({ metadata: { labels } }: ObjectHeader): boolean => labels?.[LANE_LABEL] === 'next';
  const [staying, lanes] = [modelsOf(kept), modelsOf(kept.filter(isSecond))];
  return [...new Set(modelsOf(gone.filter(isSecond)))].filter((model) => staying.includes(model) && !lanes.includes(model)).sort();
}

/** @throws EisError EIS_DEPLOY_LANE; CommandFailure when the wrapper cannot be asked */
export async function requireUnsearched(models: readonly string[], cluster: Pick<Cluster, 'reembeddings'>): Promise<void> {
  if (models.length === 0) return;
  const searched = (await cluster.reembeddings()).find(({ model, step }) => models.includes(model) && SEARCHED.includes(step));
  if (searched) throw new EisError('EIS_DEPLOY_LANE', searched);
}
