import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dot } from '../../common/vector.js';
import { codeLength, quantiseQuery, quantiseRow } from '../../indexer/quantisation.js';
import { DATA_SETS } from './adversarial-vectors.js';
import { random } from './vectors.js';

/** What the scan makes of a query and a row: the score by their codes, and how far from it `dot()` may be. */
function estimate(query: Float32Array, row: Float32Array): { readonly sum: number; readonly score: number; readonly error: number } {
  const codes = new Int8Array(codeLength(row.length));
  const { scale, error, norm } = quantiseRow(row, codes, 0);
  const quantised = quantiseQuery(query);
  let sum = 0;
  codes.forEach((code, i) => (sum += code * (quantised.codes[i] as number)));
  return { sum, score: sum * (scale * quantised.scale), error: quantised.perError * error + quantised.perNorm * norm };
}

const number = fc.oneof(fc.constantFrom(0, -0, 1, -1, 2 ** -149, -(2 ** -149), 2 ** -126, 3.4028234663852886e38), fc.float({ noNaN: true, noDefaultInfinity: true }), fc.float({ min: -1, max: 1, noNaN: true }));
const pair = fc.integer({ min: 1, max: 40 }).chain((dim) => fc.tuple(...[0, 1].map(() => fc.array(number, { minLength: dim, maxLength: dim }).map((numbers) => new Float32Array(numbers)))));

describe('Quantisation', () => {
  it('bounds the distance between a score and what the codes say, for any vectors', () => {
    fc.assert(
      fc.property(pair, ([query, row]) => {
        const { score, error } = estimate(query as Float32Array, row as Float32Array);
        expect(Math.abs(dot(query as Float32Array, row as Float32Array) - score) > error).toBe(false);
      }),
      { numRuns: 3_000 },
    );
  });

  it.each(DATA_SETS)('bounds it for vectors that are $name', ({ draw }) => {
    const vectors = draw(60, 67, random(3));
    for (const query of vectors.slice(0, 20)) {
      for (const row of vectors) {
        const { score, error } = estimate(query, row);
        expect(Math.abs(dot(query, row) - score) > error).toBe(false);
      }
    }
  });

  it('keeps what the kernel adds up within int32, for the longest vectors and largest sums', () => {
    for (const dim of [1, 16, 1_280, 16_384]) {
      for (const value of [1, 1e-30, 3e38]) {
        const all = new Float32Array(dim).fill(value);
        const { sum } = estimate(all, all);
        expect(sum).toBeLessThan(2 ** 31);
        expect(sum).toBeGreaterThan(dim * 127 * 100);
      }
    }
  });

  it('leaves little open for vectors as models give them', () => {
    const [query, row] = (DATA_SETS.find(({ name }) => name === 'sparse, as after a ReLU') as (typeof DATA_SETS)[0]).draw(2, 1_280, random(1)) as [Float32Array, Float32Array];
    expect(estimate(query, row).error).toBeLessThan(0.03);
  });
});
