/** Makes the index that a model's configuration asks for. */
import type { IndexAlgorithm, IndexingConfig } from '../common/config.js';
import { ExactIndex, type ExactIndexOptions } from './exact-index.js';
import { HnswIndex } from './hnsw-index.js';
import { checkHnsw, HnswThread } from './hnsw-thread.js';
import { createScanPool } from './scan-pool.js';
import type { VectorIndex } from './vector-index.js';

/** What every algorithm is told; the exact one goes by none of the numbers of the configuration. */
export type IndexOptions = Omit<ExactIndexOptions, 'scanner'> & Pick<IndexingConfig, 'connectivity' | 'expansionAdd' | 'expansionSearch'>;

export interface IndexFactory {
  /**
   * Sees whether such indexes can be made on this machine.
   *
   * @throws EisError EIS_ENGINE_UNAVAILABLE
   */
  check(): Promise<void>;
  /** @throws EisError EIS_INDEX_FILE */
  create(options: IndexOptions): VectorIndex;
}

/** What this release serves; an algorithm that config.json may name but that is missing here is refused at start. */
const FACTORIES: Partial<Record<IndexAlgorithm, IndexFactory>> = {
  brute: {
    check: async () => undefined,
    create: (options) => new ExactIndex({ ...options, scanner: createScanPool() }),
  },
  hnsw: {
    check: checkHnsw,
    create: ({ dim, connectivity, expansionAdd, expansionSearch, ...options }) => new HnswIndex({ ...options, dim, keeper: new HnswThread({ dim, connectivity, expansionAdd, expansionSearch }) }),
  },
};

export const SERVED_ALGORITHMS = Object.keys(FACTORIES) as readonly IndexAlgorithm[];

/** The factory of an algorithm; undefined when this release does not serve it. */
export function indexFactory(algorithm: IndexAlgorithm): IndexFactory | undefined {
  return FACTORIES[algorithm];
}
