/** Weights as nginx's `split_clients` takes them. */

/**
 * Hundredths of percents, as `split_clients` counts, that add up to 100 and are nearest to the weights (by largest remainders);
 * a weight above 0 gets one at least.
 */
export function splitPercentages(weights: readonly number[]): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const exact = weights.map((weight) => (total === 0 ? 0 : (weight / total) * 10_000));
  const parts = exact.map((share) => (share > 0 ? Math.max(1, Math.floor(share)) : 0));
  const byRemainder = exact.map((share, i) => ({ i, remainder: share - (parts[i] as number) })).filter(({ i }) => (exact[i] as number) > 0).sort((a, b) => b.remainder - a.remainder || a.i - b.i);
  let left = total === 0 ? 0 : 10_000 - parts.reduce((sum, part) => sum + part, 0);
  for (let turn = 0; left > 0; turn++, left--) parts[(byRemainder[turn % byRemainder.length] as { i: number }).i]! += 1;
  for (; left < 0; left++) parts[parts.indexOf(Math.max(...parts))]! -= 1;
  return parts.map((part) => part / 100);
}
