/** Xception (Chollet 2017), as `keras/applications/xception.py` builds it. */
import type { Feature, TopologyWriter } from './topology-writer.js';

export function writeXception(w: TopologyWriter): Feature {
  const normalise = (x: Feature, name: string): Feature => w.activation(w.batchNorm(x, { name: `${name}_bn` }), 'relu', `${name}_act`);
  const stem = normalise(w.conv(w.image, { name: 'block1_conv1', filters: 32, kernel: 3, stride: 2, bias: false }), 'block1_conv1');
  let x = normalise(w.conv(stem, { name: 'block1_conv2', filters: 64, kernel: 3, bias: false }), 'block1_conv2');
  for (const [i, filters] of [128, 256, 728].entries()) x = writeShrinking(w, x, { name: `block${i + 2}`, filters: [filters, filters], isActivated: i > 0 });
  for (let block = 5; block <= 12; block++) x = writeMiddle(w, x, `block${block}`);
  x = writeShrinking(w, x, { name: 'block13', filters: [728, 1024], isActivated: true });
  for (const [i, filters] of [1536, 2048].entries()) {
    const name = `block14_sepconv${i + 1}`;
    x = normalise(separate(w, x, { name, filters }), name);
  }
  return x;
}

function separate(w: TopologyWriter, x: Feature, { name, filters }: { readonly name: string; readonly filters: number }): Feature {
  return w.separable(x, { name, filters, kernel: 3, padding: 'same', bias: false });
}

interface Shrinking {
  readonly name: string;
  readonly filters: readonly [number, number];
  /** Whether its first convolution has an activation before it. */
  readonly isActivated: boolean;
}

/** Two separable convolutions and a pooling, beside a convolution of stride 2. */
function writeShrinking(w: TopologyWriter, input: Feature, { name, filters: [first, second], isActivated }: Shrinking): Feature {
  const residual = w.batchNorm(w.conv(input, { filters: second, kernel: 1, stride: 2, padding: 'same', bias: false }), {});
  const ready = isActivated ? w.activation(input, 'relu', `${name}_sepconv1_act`) : input;
  const between = w.batchNorm(separate(w, ready, { name: `${name}_sepconv1`, filters: first }), { name: `${name}_sepconv1_bn` });
  const last = separate(w, w.activation(between, 'relu', `${name}_sepconv2_act`), { name: `${name}_sepconv2`, filters: second });
  const pooled = w.pool(w.batchNorm(last, { name: `${name}_sepconv2_bn` }), 'Max', { name: `${name}_pool`, size: 3, stride: 2, padding: 'same' });
  return w.merge('Add', [pooled, residual]);
}

function writeMiddle(w: TopologyWriter, input: Feature, name: string): Feature {
  let x = input;
  for (let i = 1; i <= 3; i++) {
    const part = `${name}_sepconv${i}`;
    x = w.batchNorm(separate(w, w.activation(x, 'relu', `${part}_act`), { name: part, filters: 728 }), { name: `${part}_bn` });
  }
  return w.merge('Add', [x, input]);
}
