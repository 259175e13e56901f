/**
 * MobileNetV3 (Howard 2019), as `keras/applications/mobilenet_v3.py` builds it. What stands there as arithmetic between
 * layers (hard sigmoid: ReLU6(x + 3) / 6) is written with `Rescaling` layers, under the names that Keras gives it.
 */
import type { Feature, TopologyWriter } from './topology-writer.js';
import { padForStride2, roundChannels } from './widths.js';

type Nonlinearity = 'relu' | 'hardSwish';

interface Block {
  readonly expansion: number;
  readonly filters: number;
  readonly kernel: 3 | 5;
  readonly stride: 1 | 2;
  readonly isSqueezed: boolean;
  readonly nonlinearity: Nonlinearity;
}

export interface MobileNetV3 {
  readonly blocks: readonly Block[];
  /** Of the convolution above the pooling, which belongs to the classifier. */
  readonly pointFilters: number;
  /** Of stem and end. */
  readonly nonlinearity: Nonlinearity;
}

const NORM = { epsilon: 1e-3, momentum: 0.999 };

/** A row of the paper's tables: expansion, channels, kernel, stride, then `S` for squeezed and excited, `H` for hard swish. */
function block(expansion: number, filters: number, kernel: 3 | 5, [stride, ...flags]: readonly [1 | 2, ...('S' | 'H')[]]): Block {
  return { expansion, filters, kernel, stride, isSqueezed: flags.includes('S'), nonlinearity: flags.includes('H') ? 'hardSwish' : 'relu' };
}

export const LARGE: MobileNetV3 = {
  blocks: [
    block(1, 16, 3, [1]), block(4, 24, 3, [2]), block(3, 24, 3, [1]), block(3, 40, 5, [2, 'S']), block(3, 40, 5, [1, 'S']), block(3, 40, 5, [1, 'S']),
    block(6, 80, 3, [2, 'H']), block(2.5, 80, 3, [1, 'H']), block(2.3, 80, 3, [1, 'H']), block(2.3, 80, 3, [1, 'H']), block(6, 112, 3, [1, 'S', 'H']), block(6, 112, 3, [1, 'S', 'H']),
    block(6, 160, 5, [2, 'S', 'H']), block(6, 160, 5, [1, 'S', 'H']), block(6, 160, 5, [1, 'S', 'H']),
  ],
  pointFilters: 1280,
  nonlinearity: 'hardSwish',
};

export const SMALL: MobileNetV3 = {
  blocks: [
    block(1, 16, 3, [2, 'S']), block(72 / 16, 24, 3, [2]), block(88 / 24, 24, 3, [1]), block(4, 40, 5, [2, 'S', 'H']), block(6, 40, 5, [1, 'S', 'H']), block(6, 40, 5, [1, 'S', 'H']),
    block(3, 48, 5, [1, 'S', 'H']), block(3, 48, 5, [1, 'S', 'H']), block(6, 96, 5, [2, 'S', 'H']), block(6, 96, 5, [1, 'S', 'H']), block(6, 96, 5, [1, 'S', 'H']),
  ],
  pointFilters: 1024,
  nonlinearity: 'hardSwish',
};

/** Without what is slow on plain hardware: windows of 3, no squeezing, ReLU. */
export function minimalistic({ blocks, pointFilters }: MobileNetV3): MobileNetV3 {
  return { blocks: blocks.map((each) => ({ ...each, kernel: 3, isSqueezed: false, nonlinearity: 'relu' })), pointFilters, nonlinearity: 'relu' };
}

/** Takes pixels as they are, 0 to 255. */
export function writeMobileNetV3(w: TopologyWriter, { blocks, nonlinearity }: MobileNetV3, alpha: number): Feature {
  const scaled = w.rescale(w.image, { scale: 1 / 127.5, offset: -1 });
  const stem = w.conv(scaled, { name: 'Conv', filters: 16, kernel: 3, stride: 2, padding: 'same', bias: false });
  let x = activate(w, w.batchNorm(stem, { name: 'Conv/BatchNorm', ...NORM }), nonlinearity);
  for (const [i, each] of blocks.entries()) x = writeBlock(w, x, { ...each, filters: roundChannels(each.filters * alpha), prefix: i === 0 ? 'expanded_conv/' : `expanded_conv_${i}/` });
  const end = w.conv(x, { name: 'Conv_1', filters: roundChannels(6 * x.channels), kernel: 1, padding: 'same', bias: false });
  return activate(w, w.batchNorm(end, { name: 'Conv_1/BatchNorm', ...NORM }), nonlinearity);
}

export function classifyMobileNetV3(w: TopologyWriter, x: Feature, { pointFilters, nonlinearity, classes }: MobileNetV3 & { readonly classes: number }): Feature {
  const point = w.conv(w.globalPixel(x, {}), { name: 'Conv_2', filters: pointFilters, kernel: 1, padding: 'same' });
  const kept = w.dropout(activate(w, point, nonlinearity), { rate: 0.2 });
  const scores = w.conv(kept, { name: 'Logits', filters: classes, kernel: 1, padding: 'same' });
  return w.activation(w.flatten(scores), 'softmax', 'Predictions');
}

function writeBlock(w: TopologyWriter, input: Feature, { expansion, filters, kernel, stride, isSqueezed, nonlinearity, prefix }: Block & { readonly prefix: string }): Feature {
  const inner = roundChannels(input.channels * expansion);
  let x = input;
  if (prefix !== 'expanded_conv/') {
    const expanded = w.conv(x, { name: `${prefix}expand`, filters: inner, kernel: 1, padding: 'same', bias: false });
    x = activate(w, w.batchNorm(expanded, { name: `${prefix}expand/BatchNorm`, ...NORM }), nonlinearity);
  }
  if (stride === 2) x = w.pad(x, padForStride2(x, kernel), `${prefix}depthwise/pad`);
  const depthwise = w.depthwise(x, { name: `${prefix}depthwise`, kernel, stride, padding: stride === 1 ? 'same' : 'valid', bias: false });
  x = activate(w, w.batchNorm(depthwise, { name: `${prefix}depthwise/BatchNorm`, ...NORM }), nonlinearity);
  if (isSqueezed) x = squeeze(w, x, `${prefix}squeeze_excite/`);
  const projected = w.conv(x, { name: `${prefix}project`, filters, kernel: 1, padding: 'same', bias: false });
  x = w.batchNorm(projected, { name: `${prefix}project/BatchNorm`, ...NORM });
  return stride === 1 && input.channels === filters ? w.merge('Add', [input, x], `${prefix}Add`) : x;
}

/** Scales each channel by what the averages of all say (Hu 2018). */
function squeeze(w: TopologyWriter, x: Feature, prefix: string): Feature {
  const pooled = w.globalPixel(x, { name: `${prefix}AvgPool`, reshaped: `${prefix}Reshape` });
  const reduced = w.relu(w.conv(pooled, { name: `${prefix}Conv`, filters: roundChannels(x.channels / 4), kernel: 1, padding: 'same' }), { name: `${prefix}Relu` });
  const scores = w.conv(reduced, { name: `${prefix}Conv_1`, filters: x.channels, kernel: 1, padding: 'same' });
  return w.merge('Multiply', [x, hardSigmoid(w, scores)], `${prefix}Mul`);
}

function activate(w: TopologyWriter, x: Feature, nonlinearity: Nonlinearity): Feature {
  return nonlinearity === 'relu' ? w.relu(x, {}) : w.merge('Multiply', [x, hardSigmoid(w, x)]);
}

function hardSigmoid(w: TopologyWriter, x: Feature): Feature {
  const shifted = w.rescale(x, { operation: 'tf.__operators__.add', offset: 3 });
  return w.rescale(w.relu(shifted, { max: 6 }), { operation: 'tf.math.multiply', scale: 1 / 6 });
}
