/** The nodes that prepare pixels, computed by TF.js, against what is written down once more in `preprocess-pixels.ts`. */
import { describe, expect, it } from 'vitest';
import type { Preprocess } from '../../../common/config.js';
import { prependPreprocess } from '../../../functions/models/preprocess.js';
import { optimise } from '../../../functions/network/optimise.js';
import { computeOnCpu, furthest } from '../support/compute.js';
import { preprocess } from '../support/preprocess-pixels.js';
import { TinyNetwork } from '../support/tiny-network.js';

const KINDS: readonly Preprocess[] = ['[-1,1]', '[0,1]', 'raw', 'caffe', 'torch'];

/** What the network is given for pixels. */
async function numbers(kind: Preprocess, pixels: readonly number[], size: { height: number; width: number; channels: 1 | 3 } = { height: 1, width: 1, channels: 3 }): Promise<number[]> {
  const n = new TinyNetwork(size);
  const prepared = prependPreprocess(n.build(n.node({ op: 'reshape', inputs: [n.input], shape: [0, -1] })), kind);
  return [...(await computeOnCpu(prepared, Float32Array.from(pixels)))].map((value) => +value.toFixed(4));
}

describe('prependPreprocess()', () => {
  it('scales to the range that its name says', async () => {
    expect(await numbers('[-1,1]', [255, 0, 51])).toEqual([1, -1, -0.6]);
    expect(await numbers('[0,1]', [255, 0, 51])).toEqual([1, 0, 0.2]);
    expect(await numbers('raw', [255, 0, 51])).toEqual([255, 0, 51]);
  });

  it('gives caffe networks BGR less the mean of ImageNet', async () => {
    expect(await numbers('caffe', [255, 0, 51])).toEqual([-52.939, -116.779, 131.32]);
  });

  it('gives torch networks RGB less the mean of ImageNet, by its deviation', async () => {
    expect(await numbers('torch', [255, 0, 51])).toEqual([2.2489, -2.0357, -0.9156]);
  });

  it('gives grey networks the luma', async () => {
    expect(await numbers('[0,1]', [255, 255, 255, 255, 0, 0], { height: 1, width: 2, channels: 1 })).toEqual([1, 0.299]);
  });

  it.each(KINDS)('changes no result where passes fold it into a padded convolution: %s', async (kind) => {
    for (const channels of kind === 'caffe' || kind === 'torch' ? ([3] as const) : ([1, 3] as const)) {
      const n = new TinyNetwork({ height: 7, width: 6, channels });
      const network = n.flat(n.conv(n.input, [3, 3], 4, { strides: [2, 2], padding: [0, 1, 1, 1] }));
      const pixels = Uint8Array.from({ length: 7 * 6 * 3 }, (_, i) => (i * 37) % 256);
      const expected = await computeOnCpu(network, preprocess(pixels, { height: 7, width: 6, channels }, kind));
      expect(furthest(await computeOnCpu(optimise(prependPreprocess(network, kind)), Float32Array.from(pixels)), expected)).toBeLessThan(1e-4);
    }
  });

  it('takes no name that the network has', async () => {
    const n = new TinyNetwork({ height: 1, width: 1, channels: 3 });
    const named = n.add('eis_pixels/1', { op: 'reshape', inputs: [n.input], shape: [0, -1] });
    expect([...(await computeOnCpu(prependPreprocess(n.build(named), '[-1,1]'), Float32Array.of(255, 0, 51)))].map((value) => +value.toFixed(4))).toEqual([1, -1, -0.6]);
  });
});
