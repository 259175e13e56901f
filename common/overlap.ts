/** How far two rankings name the same images. */

/**
 * Overlap@k, 0 to 1: of the first `k` of two rankings, the share that stands in both, whatever its place. Where the longer of
 * them ends before `k`, of as many as it has; undefined when both are empty.
 */
export function overlapAt(k: number, one: readonly string[], other: readonly string[]): number | undefined {
  const [first, second] = [one.slice(0, k), other.slice(0, k)];
  const longest = Math.max(first.length, second.length);
  if (longest === 0) return undefined;
  const ids = new Set(first);
  return second.filter((id) => ids.has(id)).length / longest;
}
