/**
 * EfficientNet (Tan 2019), as `keras/applications/efficientnet.py` builds it for the weights that it publishes: with the
 * second scaling of the input, which makes up for a variance in those files that is a deviation.
 */
import type { Feature, TopologyWriter } from './topology-writer.js';
import { padForStride2, roundChannels } from './widths.js';

export interface EfficientNet {
  readonly width: number;
  readonly depth: number;
  readonly dropout: number;
}

interface Stage {
  readonly kernel: 3 | 5;
  readonly blocks: number;
  readonly filters: number;
  readonly expansion: 1 | 6;
  readonly stride: 1 | 2;
}

const STAGES: readonly Stage[] = [
  { kernel: 3, blocks: 1, filters: 16, expansion: 1, stride: 1 },
  { kernel: 3, blocks: 2, filters: 24, expansion: 6, stride: 2 },
  { kernel: 5, blocks: 2, filters: 40, expansion: 6, stride: 2 },
  { kernel: 3, blocks: 3, filters: 80, expansion: 6, stride: 2 },
  { kernel: 5, blocks: 3, filters: 112, expansion: 6, stride: 1 },
  { kernel: 5, blocks: 4, filters: 192, expansion: 6, stride: 2 },
  { kernel: 3, blocks: 1, filters: 320, expansion: 6, stride: 1 },
];
/** Of the last block; of the others less, by how early they come. */
const BLOCK_DROPOUT = 0.2;
/** ImageNet's, of red, green and blue. */
const DEVIATIONS = [0.229, 0.224, 0.225] as const;

/** Takes pixels as they are, 0 to 255. */
export function writeEfficientNet(w: TopologyWriter, { width, depth }: EfficientNet): Feature {
  const stem = w.conv(normaliseInput(w), { name: 'stem_conv', filters: roundChannels(32 * width), kernel: 3, stride: 2, bias: false });
  let x = activate(w, w.batchNorm(stem, { name: 'stem_bn' }), 'stem_activation');
  const repeats = STAGES.map(({ blocks }) => Math.ceil(depth * blocks));
  const blockCount = repeats.reduce((sum, count) => sum + count, 0);
  let block = 0;
  for (const [i, stage] of STAGES.entries()) {
    for (let j = 0; j < (repeats[i] as number); j++) {
      const shape = { ...stage, filters: roundChannels(stage.filters * width), stride: j === 0 ? stage.stride : 1 } as const;
      x = writeBlock(w, x, { ...shape, prefix: `block${i + 1}${String.fromCharCode(97 + j)}_`, dropout: (BLOCK_DROPOUT * block++) / blockCount });
    }
  }
  const end = w.conv(x, { name: 'top_conv', filters: roundChannels(1280 * width), kernel: 1, padding: 'same', bias: false });
  return activate(w, w.batchNorm(end, { name: 'top_bn' }), 'top_activation');
}

export function classifyEfficientNet(w: TopologyWriter, x: Feature, { dropout, classes }: EfficientNet & { readonly classes: number }): Feature {
  const kept = w.dropout(w.globalAverage(x, 'avg_pool'), { name: 'top_dropout', rate: dropout });
  return w.dense(kept, { name: 'predictions', units: classes, activation: 'softmax' });
}

/** Keras's layer `Normalization` has a mean and a variance and nothing else: so has a batch normalisation without scale and centre. */
function normaliseInput(w: TopologyWriter): Feature {
  const normalised = w.batchNorm(w.rescale(w.image, { scale: 1 / 255 }), { name: 'normalization', epsilon: 0, center: false, scale: false });
  const rescaled = w.rescale(normalised, { scale: DEVIATIONS.map((deviation) => 1 / Math.sqrt(deviation)) });
  return w.pad(rescaled, padForStride2(rescaled, 3), 'stem_conv_pad');
}

function writeBlock(w: TopologyWriter, input: Feature, { prefix, kernel, filters, expansion, stride, dropout }: Omit<Stage, 'blocks'> & { readonly prefix: string; readonly dropout: number }): Feature {
  let x = input;
  if (expansion > 1) {
    const expanded = w.conv(x, { name: `${prefix}expand_conv`, filters: expansion * x.channels, kernel: 1, padding: 'same', bias: false });
    x = activate(w, w.batchNorm(expanded, { name: `${prefix}expand_bn` }), `${prefix}expand_activation`);
  }
  if (stride === 2) x = w.pad(x, padForStride2(x, kernel), `${prefix}dwconv_pad`);
  const depthwise = w.depthwise(x, { name: `${prefix}dwconv`, kernel, stride, padding: stride === 1 ? 'same' : 'valid', bias: false });
  x = activate(w, w.batchNorm(depthwise, { name: `${prefix}bn` }), `${prefix}activation`);
  x = squeeze(w, x, { prefix: `${prefix}se_`, filters: Math.max(1, input.channels >> 2) });
  const projected = w.conv(x, { name: `${prefix}project_conv`, filters, kernel: 1, padding: 'same', bias: false });
  x = w.batchNorm(projected, { name: `${prefix}project_bn` });
  if (stride === 2 || input.channels !== filters) return x;
  const kept = dropout === 0 ? x : w.dropout(x, { name: `${prefix}drop`, rate: dropout, noise: [null, 1, 1, 1] });
  return w.merge('Add', [kept, input], `${prefix}add`);
}

/** Scales each channel by what the averages of all say (Hu 2018). */
function squeeze(w: TopologyWriter, x: Feature, { prefix, filters }: { readonly prefix: string; readonly filters: number }): Feature {
  const pooled = w.globalPixel(x, { name: `${prefix}squeeze`, reshaped: `${prefix}reshape` });
  const reduced = w.conv(pooled, { name: `${prefix}reduce`, filters, kernel: 1, padding: 'same', activation: 'swish' });
  const scores = w.conv(reduced, { name: `${prefix}expand`, filters: x.channels, kernel: 1, padding: 'same', activation: 'sigmoid' });
  return w.merge('Multiply', [x, scores], `${prefix}excite`);
}

function activate(w: TopologyWriter, x: Feature, name: string): Feature {
  return w.activation(x, 'swish', name);
}
