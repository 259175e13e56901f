/** Makes the index that a model's configuration asks for. */
import type { IndexAlgorithm } from '../common/config.js';
import { ExactIndex } from './exact-index.js';
import { createKdTreePool } from './kd-tree-pool.js';
import { KdTreeIndex } from './kd-tree-index.js';
import { createScanPool } from './scan-pool.js';
import type { FinishedScan, VectorIndex } from './vector-index.js';

export interface IndexOptions {
  readonly dim: number;
  /** A folder of the index's own, for one that keeps files. */
  readonly newFolder: () => string;
  readonly onScan: (scan: FinishedScan) => void;
}

type IndexFactory = (options: IndexOptions) => VectorIndex;

/** What this release serves; an algorithm that config.json may name but that is missing here is refused at start. */
const FACTORIES: Partial<Record<IndexAlgorithm, IndexFactory>> = {
  brute: ({ newFolder, ...options }) => new ExactIndex({ ...options, folder: newFolder(), scanner: createScanPool() }),
  kd_tree: ({ dim, onScan }) => new KdTreeIndex({ dim, onScan, workers: createKdTreePool() }),
};

export const SERVED_ALGORITHMS = Object.keys(FACTORIES) as readonly IndexAlgorithm[];

/** The factory of an algorithm; undefined when this release does not serve it. */
export function indexFactory(algorithm: IndexAlgorithm): IndexFactory | undefined {
  return FACTORIES[algorithm];
}
