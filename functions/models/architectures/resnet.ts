/** ResNet (He 2015), as `keras/applications/resnet.py` builds it since 2019. */
import type { Feature, TopologyWriter } from './topology-writer.js';

/** Blocks of the four stages, by depth. */
export const RESNET_BLOCKS = { 50: [3, 4, 6, 3], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3] } as const;
export type ResNetDepth = keyof typeof RESNET_BLOCKS;

/** How they normalise since 2019. */
export const NORM = { epsilon: 1.001e-5 };

export function writeResNet(w: TopologyWriter, depth: ResNetDepth): Feature {
  const stem = w.conv(w.pad(w.image, [3, 3], 'conv1_pad'), { name: 'conv1_conv', filters: 64, kernel: 7, stride: 2 });
  const start = w.activation(w.batchNorm(stem, { name: 'conv1_bn', ...NORM }), 'relu', 'conv1_relu');
  let x = w.pool(w.pad(start, [1, 1], 'pool1_pad'), 'Max', { name: 'pool1_pool', size: 3, stride: 2 });
  for (const [stage, blocks] of RESNET_BLOCKS[depth].entries()) {
    for (let block = 1; block <= blocks; block++) x = writeBlock(w, x, { name: `conv${stage + 2}_block${block}`, filters: 64 << stage, stride: block === 1 && stage > 0 ? 2 : 1, isFirst: block === 1 });
  }
  return x;
}

export interface ResNetBlock {
  readonly name: string;
  readonly filters: number;
  /** 2 where it halves rows and columns. */
  readonly stride: 1 | 2;
  /** The first of a stage has a convolution on its shortcut. */
  readonly isFirst: boolean;
}

function writeBlock(w: TopologyWriter, input: Feature, { name, filters, stride, isFirst }: ResNetBlock): Feature {
  const normalise = (x: Feature, part: number): Feature => w.batchNorm(x, { name: `${name}_${part}_bn`, ...NORM });
  const shortcut = isFirst ? normalise(w.conv(input, { name: `${name}_0_conv`, filters: 4 * filters, kernel: 1, stride }), 0) : input;
  const narrow = w.activation(normalise(w.conv(input, { name: `${name}_1_conv`, filters, kernel: 1, stride }), 1), 'relu', `${name}_1_relu`);
  const seen = w.activation(normalise(w.conv(narrow, { name: `${name}_2_conv`, filters, kernel: 3, padding: 'same' }), 2), 'relu', `${name}_2_relu`);
  const wide = normalise(w.conv(seen, { name: `${name}_3_conv`, filters: 4 * filters, kernel: 1 }), 3);
  return w.activation(w.merge('Add', [shortcut, wide], `${name}_add`), 'relu', `${name}_out`);
}
