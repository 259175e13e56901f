/** What the worker threads of a kd-tree index run: `kd-tree-pool.ts` names it by its compiled path. */
import { KdRows } from './kd-rows.js';
import { buildTree, type BuildTask, type Built } from './kd-tree.js';

export { searchTree } from './kd-search.js';

/** Builds a tree of shared rows. */
export function build({ rows, ...task }: BuildTask): Built {
  return buildTree(new KdRows(rows), task);
}
