/** What many numbers come to. */

/** Of one number or more. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The smallest value that at least this part of them does not exceed (nearest rank). Of one number or more. */
export function percentile(values: readonly number[], part: number): number {
  return [...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(part * values.length) - 1)] as number;
}

/** With so many digits after the point. */
export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
