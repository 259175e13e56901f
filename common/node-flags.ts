/** How Node is started for a role, wherever it runs. */

/**
 * For index pods. What they allocate while they load are large typed arrays behind small objects, which lets V8 grow its
 * young generation to 48 MB for nothing: 3 MB are as fast, and their memory is for vectors.
 */
export const INDEX_NODE_FLAGS: readonly string[] = ['--max-semi-space-size=1'];
