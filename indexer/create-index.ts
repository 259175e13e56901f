/** Makes the index that a model's configuration asks for. */
import type { IndexAlgorithm } from '../common/config.js';
import { ExactIndex } from './exact-index.js';
import { createKdTreePool } from './kd-tree-pool.js';
import { KdTreeIndex } from './kd-tree-index.js';
import { createScanPool } from './scan-pool.js';
import type { SectionReader } from './snapshot-file.js';
import type { FinishedScan, VectorIndex } from './vector-index.js';

export interface IndexOptions {
  readonly dim: number;
  /** A folder of the index's own, for one that keeps files. */
  readonly newFolder: () => string;
  readonly onScan: (scan: FinishedScan) => void;
}

type IndexFactory = (options: IndexOptions) => VectorIndex;

/** Makes an index of what `VectorIndex.freeze` let write in a folder. */
type IndexRestorer = (options: Omit<IndexOptions, 'newFolder'> & { readonly folder: string }, contents: unknown, reader: SectionReader) => Promise<VectorIndex>;

/** What this release serves; an algorithm that config.json may name but that is missing here is refused at start. */
const FACTORIES: Partial<Record<IndexAlgorithm, IndexFactory>> = {
  brute: ({ newFolder, ...options }) => new ExactIndex({ ...options, folder: newFolder(), scanner: createScanPool() }),
  kd_tree: ({ dim, onScan }) => new KdTreeIndex({ dim, onScan, workers: createKdTreePool() }),
};

/** Of those that can be saved. */
const RESTORERS: Partial<Record<IndexAlgorithm, IndexRestorer>> = {
  async brute({ dim, folder, onScan }, contents, reader) {
    const scanner = createScanPool();
    try {
      return await ExactIndex.restore({ dim, folder, onScan, scanner }, contents, reader);
    } catch (error) {
      await scanner.close();
      throw error;
    }
  },
};

export const SERVED_ALGORITHMS = Object.keys(FACTORIES) as readonly IndexAlgorithm[];

/** The factory of an algorithm; undefined when this release does not serve it. */
export function indexFactory(algorithm: IndexAlgorithm): IndexFactory | undefined {
  return FACTORIES[algorithm];
}

/** What restores indexes of an algorithm; undefined when they cannot be saved. */
export function indexRestorer(algorithm: IndexAlgorithm): IndexRestorer | undefined {
  return RESTORERS[algorithm];
}
