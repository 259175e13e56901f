/** MobileNet (Howard 2017), as `keras/applications/mobilenet.py` builds it. */
import type { Feature, TopologyWriter } from './topology-writer.js';

/** Channels that the pointwise convolution gives, and the stride of the depthwise one before it. */
const BLOCKS: readonly (readonly [filters: number, stride: 1 | 2])[] = [
  [64, 1], [128, 2], [128, 1], [256, 2], [256, 1], [512, 2], [512, 1], [512, 1], [512, 1], [512, 1], [512, 1], [1024, 2], [1024, 1],
];

/** @param alpha width: every number of channels is scaled by it */
export function writeMobileNet(w: TopologyWriter, alpha: number): Feature {
  const stem = w.conv(w.image, { name: 'conv1', filters: Math.trunc(32 * alpha), kernel: 3, stride: 2, padding: 'same', bias: false });
  let x = normalise(w, stem, 'conv1');
  for (const [i, [filters, stride]] of BLOCKS.entries()) {
    const padded = stride === 1 ? x : w.pad(x, [0, 1], `conv_pad_${i + 1}`);
    const depthwise = w.depthwise(padded, { name: `conv_dw_${i + 1}`, kernel: 3, stride, padding: stride === 1 ? 'same' : 'valid', bias: false });
    x = normalise(w, depthwise, `conv_dw_${i + 1}`);
    const pointwise = w.conv(x, { name: `conv_pw_${i + 1}`, filters: Math.trunc(filters * alpha), kernel: 1, padding: 'same', bias: false });
    x = normalise(w, pointwise, `conv_pw_${i + 1}`);
  }
  return x;
}

function normalise(w: TopologyWriter, x: Feature, name: string): Feature {
  return w.relu(w.batchNorm(x, { name: `${name}_bn` }), { name: `${name}_relu`, max: 6 });
}

export function classifyMobileNet(w: TopologyWriter, x: Feature, classes: number): Feature {
  const pooled = w.dropout(w.globalPixel(x, { reshaped: 'reshape_1' }), { name: 'dropout', rate: 1e-3 });
  const scores = w.conv(pooled, { name: 'conv_preds', filters: classes, kernel: 1, padding: 'same' });
  return w.activation(w.reshape(scores, [classes], 'reshape_2'), 'softmax', 'predictions');
}
