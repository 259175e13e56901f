/** Makes the index that a model's configuration asks for. */
import type { IndexAlgorithm } from '../common/config.js';
import { ExactIndex, type ExactIndexOptions } from './exact-index.js';
import { createKdTreePool } from './kd-tree-pool.js';
import { KdTreeIndex } from './kd-tree-index.js';
import { createScanPool } from './scan-pool.js';
import type { VectorIndex } from './vector-index.js';

type IndexFactory = (options: Omit<ExactIndexOptions, 'scanner'>) => VectorIndex;

/** What this release serves; an algorithm that config.json may name but that is missing here is refused at start. */
const FACTORIES: Partial<Record<IndexAlgorithm, IndexFactory>> = {
  brute: (options) => new ExactIndex({ ...options, scanner: createScanPool() }),
  kd_tree: (options) => new KdTreeIndex({ ...options, workers: createKdTreePool() }),
};

export const SERVED_ALGORITHMS = Object.keys(FACTORIES) as readonly IndexAlgorithm[];

/** The factory of an algorithm; undefined when this release does not serve it. */
export function indexFactory(algorithm: IndexAlgorithm): IndexFactory | undefined {
  return FACTORIES[algorithm];
}
