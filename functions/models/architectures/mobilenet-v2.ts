/** MobileNetV2 (Sandler 2018), as `keras/applications/mobilenet_v2.py` builds it. */
import type { Feature, TopologyWriter } from './topology-writer.js';
import { padForStride2, roundChannels } from './widths.js';

/** Channels that a stage gives, how many blocks it has, the stride of its first; each but the first stage widens sixfold inside. */
const STAGES: readonly (readonly [filters: number, blocks: number, stride: 1 | 2])[] = [[16, 1, 1], [24, 2, 2], [32, 3, 2], [64, 4, 2], [96, 3, 1], [160, 3, 2], [320, 1, 1]];
const EXPANSION = 6;
/** Of TF-Slim, where it was trained. */
const NORM = { epsilon: 1e-3, momentum: 0.999 };

export function writeMobileNetV2(w: TopologyWriter, alpha: number): Feature {
  const stem = w.conv(w.image, { name: 'Conv1', filters: roundChannels(32 * alpha), kernel: 3, stride: 2, padding: 'same', bias: false });
  let x = w.relu(w.batchNorm(stem, { name: 'bn_Conv1', ...NORM }), { name: 'Conv1_relu', max: 6 });
  let block = 0;
  for (const [filters, blocks, firstStride] of STAGES) {
    for (let i = 0; i < blocks; i++) x = writeBlock(w, x, { block: block++, filters: roundChannels(Math.trunc(filters * alpha)), stride: i === 0 ? firstStride : 1 });
  }
  const head = w.conv(x, { name: 'Conv_1', filters: alpha > 1 ? roundChannels(1280 * alpha) : 1280, kernel: 1, bias: false });
  return w.relu(w.batchNorm(head, { name: 'Conv_1_bn', ...NORM }), { name: 'out_relu', max: 6 });
}

/** An inverted residual: widened, seen by a depthwise convolution, narrowed, added to what came in where both are of one shape. */
function writeBlock(w: TopologyWriter, input: Feature, { block, filters, stride }: { readonly block: number; readonly filters: number; readonly stride: 1 | 2 }): Feature {
  const prefix = block === 0 ? 'expanded_conv_' : `block_${block}_`;
  let x = input;
  if (block > 0) {
    const expanded = w.conv(x, { name: `${prefix}expand`, filters: EXPANSION * x.channels, kernel: 1, padding: 'same', bias: false });
    x = w.relu(w.batchNorm(expanded, { name: `${prefix}expand_BN`, ...NORM }), { name: `${prefix}expand_relu`, max: 6 });
  }
  if (stride === 2) x = w.pad(x, padForStride2(x, 3), `${prefix}pad`);
  const depthwise = w.depthwise(x, { name: `${prefix}depthwise`, kernel: 3, stride, padding: stride === 1 ? 'same' : 'valid', bias: false });
  x = w.relu(w.batchNorm(depthwise, { name: `${prefix}depthwise_BN`, ...NORM }), { name: `${prefix}depthwise_relu`, max: 6 });
  const projected = w.conv(x, { name: `${prefix}project`, filters, kernel: 1, padding: 'same', bias: false });
  x = w.batchNorm(projected, { name: `${prefix}project_BN`, ...NORM });
  return stride === 1 && input.channels === filters ? w.merge('Add', [input, x], `${prefix}add`) : x;
}
