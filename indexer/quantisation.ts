/**
 * Vectors as int8 codes, queries as int16, and the bound that makes a search over codes exact.
 *
 * A row x is kept as codes c (int8) and a scale s, with r = x − s·c; a query q as d (int16) and t, with u = q − t·d.
 *
 *     q·x = q·(s·c) + q·r = s·t·(d·c) + s·(u·c) + q·r
 *
 * The kernel computes D = d·c without error: `quantiseQuery` chooses t so that |d|·127·√dim < 2³¹, and by
 * Cauchy-Schwarz no partial sum is larger. With a = s·t·D, ρ ≥ |r|, ν ≥ max(|x|, |s·c|), Q ≥ |q| and U ≥ |u|:
 *
 *     |q·x − a| ≤ Q·ρ + U·ν                                                                   (Cauchy-Schwarz, twice)
 *
 * The score is not q·x but `dot()`, a float64 sum of products that are exact (24 + 24 bits): it differs by at most
 * (dim−1)·2⁻⁵³·Σ|qᵢ·xᵢ| ≤ dim·2⁻⁵³·Q·ν to first order (Higham, Accuracy and Stability of Numerical Algorithms, 2002,
 * 3.1). a is rounded twice, at most 2⁻⁵²·|a| with |a| ≤ (Q+U)·ν; the bound itself and a ± bound a few times more. All
 * of that is below E = (2·dim + 64)·2⁻⁵²·Q·ν, with U ≤ Q. So |dot(q, x) − a| ≤ e := Q·ρ + (U + (2·dim + 64)·2⁻⁵²·Q)·ν.
 *
 * Of the rows with k others whose a − e is larger than their a + e, none is among the best k: a − e ≤ dot ≤ a + e.
 * Where numbers overflow, e is infinite or not a number, and the row is kept: no comparison leaves it out.
 */

export const CODE_MAX = 127;
const QUERY_CODE_MAX = 32_767;
/** Below 2³¹ by more than rounding the codes of a query can add: √16,384/2 · 127 · √16,384. */
const DOT_MAX = 2 ** 31 - 2 ** 22;
const EPSILON = 2 ** -52;
/** Makes up for the rounding of norms that are computed in float64. */
const ROUND_UP = 1 + 2 ** -30;

/** What is kept of a row besides its codes, as float32 numbers. */
export interface RowScale {
  /** s: a code's worth. */
  readonly scale: number;
  /** ρ: at least the norm of what the codes leave out. */
  readonly error: number;
  /** ν: at least the norm of the row, and of what its codes stand for. */
  readonly norm: number;
}

/** The codes' length for vectors of `dim` numbers: filled up with zeros for the kernel. */
export function codeLength(dim: number): number {
  return Math.ceil(dim / 16) * 16;
}

/** Writes the codes of a row of finite numbers to `codes` from `start`. */
export function quantiseRow(row: Float32Array, codes: Int8Array, start: number): RowScale {
  const { length } = row;
  let largest = 0;
  for (let i = 0; i < length; i++) {
    const size = Math.abs(row[i] as number);
    if (size > largest) largest = size;
  }
  const scale = Math.fround(largest / CODE_MAX);
  const inverse = scale > 0 ? 1 / scale : 0;
  let squares = 0;
  let left = 0;
  for (let i = 0; i < length; i++) {
    const x = row[i] as number;
    let code = ((x * inverse + 128.5) | 0) - 128; // rounds without a branch on the sign, which nothing could foresee
    if (code > CODE_MAX) code = CODE_MAX;
    else if (code < -CODE_MAX) code = -CODE_MAX;
    codes[start + i] = code;
    const residual = x - scale * code;
    squares += x * x;
    left += residual * residual;
  }
  const error = Math.sqrt(left) * ROUND_UP;
  return { scale, error: roundUp(error), norm: roundUp(Math.sqrt(squares) * ROUND_UP + error) };
}

/** A query as the scan takes it. */
export interface QuantisedQuery {
  readonly codes: Int16Array;
  /** t: a code's worth. */
  readonly scale: number;
  /** Q: what a row's error is multiplied with. */
  readonly perError: number;
  /** U + (2·dim + 64)·2⁻⁵²·Q: what a row's norm is multiplied with. */
  readonly perNorm: number;
}

/** @param query float32 numbers, in float64 or not */
export function quantiseQuery(query: Float32Array | Float64Array): QuantisedQuery {
  let [largest, squares] = [0, 0];
  for (let i = 0; i < query.length; i++) {
    const x = query[i] as number;
    largest = Math.max(largest, Math.abs(x));
    squares += x * x;
  }
  const norm = Math.sqrt(squares) * ROUND_UP;
  const scale = Math.max(largest / QUERY_CODE_MAX, (norm * CODE_MAX * Math.sqrt(query.length)) / DOT_MAX);
  const codes = new Int16Array(codeLength(query.length));
  let left = 0;
  if (scale > 0) {
    for (let i = 0; i < query.length; i++) {
      const x = query[i] as number;
      const code = Math.max(-QUERY_CODE_MAX, Math.min(QUERY_CODE_MAX, Math.round(x / scale)));
      codes[i] = code;
      left += (x - scale * code) ** 2;
    }
  }
  return { codes, scale, perError: norm, perNorm: Math.sqrt(left) * ROUND_UP + (2 * query.length + 64) * EPSILON * norm };
}

/** The smallest float32 number that is not below a number that is 0 or more. */
function roundUp(value: number): number {
  const nearest = Math.fround(value);
  return nearest >= value ? nearest : Math.fround(nearest + Math.max(nearest * 2 ** -23, 2 ** -149));
}
