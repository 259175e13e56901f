/** Makes the index that a model's configuration asks for. */
import type { IndexAlgorithm, IndexingConfig } from '../common/config.js';
import { ExactIndex } from './exact-index.js';
import { GraphThread } from './graph-thread.js';
import { HnswIndex, type HnswIndexOptions } from './hnsw-index.js';
import { createKdTreePool } from './kd-tree-pool.js';
import { KdTreeIndex } from './kd-tree-index.js';
import { loadGraphClass } from './neighbour-graph.js';
import { createScanPool, type Scanner } from './scan-pool.js';
import type { SectionReader } from './snapshot-file.js';
import type { FinishedScan, VectorIndex } from './vector-index.js';

/** What every algorithm is told; those that are exact go by none of the numbers of the configuration. */
export interface IndexOptions extends Pick<IndexingConfig, 'connectivity' | 'expansionAdd' | 'expansionSearch'> {
  readonly dim: number;
  readonly onScan: (scan: FinishedScan) => void;
  /** Told of what failed in the background, a tree or a graph: searches go on without it. */
  readonly onFailed: (error: unknown) => void;
}

export interface IndexFactory {
  /**
   * Sees whether such indexes can be made on this machine; missing where they always can.
   *
   * @throws EisError EIS_ENGINE_UNAVAILABLE
   */
  readonly check?: () => Promise<void>;
  /**
   * @param newFolder makes a folder of the index's own, for one that keeps files
   * @throws EisError EIS_INDEX_FILE
   */
  readonly create: (options: IndexOptions & { readonly newFolder: () => string }) => VectorIndex;
  /**
   * Makes an index of what `VectorIndex.freeze` let write in its folder; missing where they cannot be saved.
   *
   * @throws EisError EIS_SNAPSHOT_INVALID, EIS_INDEX_FILE
   */
  readonly restore?: (options: IndexOptions & { readonly folder: string }, contents: unknown, reader: SectionReader) => Promise<VectorIndex>;
}

/** What this release serves. */
const FACTORIES: Record<IndexAlgorithm, IndexFactory> = {
  brute: {
    create: ({ dim, newFolder, onScan }) => new ExactIndex({ dim, folder: newFolder(), onScan, scanner: createScanPool() }),
    restore: ({ dim, folder, onScan }, contents, reader) => withScanner((scanner) => ExactIndex.restore({ dim, folder, onScan, scanner }, contents, reader)),
  },
  hnsw: {
    check: async () => void (await loadGraphClass()),
    create: ({ newFolder, ...options }) => new HnswIndex({ ...hnswOptions(options), folder: newFolder(), scanner: createScanPool() }),
    restore: ({ folder, ...options }, contents, reader) => withScanner((scanner) => HnswIndex.restore({ ...hnswOptions(options), folder, scanner }, contents, reader)),
  },
  kd_tree: {
    create: ({ dim, onScan, onFailed }) => new KdTreeIndex({ dim, onScan, onBuildFailed: onFailed, workers: createKdTreePool() }),
  },
};

function hnswOptions({ dim, onScan, onFailed, connectivity, expansionAdd, expansionSearch }: IndexOptions): Pick<HnswIndexOptions, 'dim' | 'onScan' | 'onGraphFailed' | 'openKeeper'> {
  return { dim, onScan, onGraphFailed: onFailed, openKeeper: () => new GraphThread({ dim, connectivity, expansionAdd, expansionSearch }) };
}

/** Makes an index with a scanner of its own, which does not outlive a failure. */
async function withScanner(make: (scanner: Scanner) => Promise<VectorIndex>): Promise<VectorIndex> {
  const scanner = createScanPool();
  try {
    return await make(scanner);
  } catch (error) {
    await scanner.close();
    throw error;
  }
}

export function indexFactory(algorithm: IndexAlgorithm): IndexFactory {
  return FACTORIES[algorithm];
}
