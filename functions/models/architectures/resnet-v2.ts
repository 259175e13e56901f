/** ResNet with normalisation before each convolution (He 2016), as `keras/applications/resnet_v2.py` builds it. */
import { NORM, RESNET_BLOCKS, type ResNetBlock, type ResNetDepth } from './resnet.js';
import type { Feature, TopologyWriter } from './topology-writer.js';

export function writeResNetV2(w: TopologyWriter, depth: ResNetDepth): Feature {
  const stem = w.conv(w.pad(w.image, [3, 3], 'conv1_pad'), { name: 'conv1_conv', filters: 64, kernel: 7, stride: 2 });
  let x = w.pool(w.pad(stem, [1, 1], 'pool1_pad'), 'Max', { name: 'pool1_pool', size: 3, stride: 2 });
  for (const [stage, blocks] of RESNET_BLOCKS[depth].entries()) {
    for (let block = 1; block <= blocks; block++) x = writeBlock(w, x, { name: `conv${stage + 2}_block${block}`, filters: 64 << stage, stride: block === blocks && stage < 3 ? 2 : 1, isFirst: block === 1 });
  }
  return w.activation(w.batchNorm(x, { name: 'post_bn', ...NORM }), 'relu', 'post_relu');
}

function writeBlock(w: TopologyWriter, input: Feature, { name, filters, stride, isFirst }: ResNetBlock): Feature {
  const normalise = (x: Feature, part: string): Feature => w.activation(w.batchNorm(x, { name: `${name}_${part}_bn`, ...NORM }), 'relu', `${name}_${part}_relu`);
  const ready = normalise(input, 'preact');
  const shortcut = isFirst ? w.conv(ready, { name: `${name}_0_conv`, filters: 4 * filters, kernel: 1, stride }) : stride === 2 ? w.pool(input, 'Max', { size: 1, stride }) : input;
  const narrow = normalise(w.conv(ready, { name: `${name}_1_conv`, filters, kernel: 1, bias: false }), '1');
  const seen = normalise(w.conv(w.pad(narrow, [1, 1], `${name}_2_pad`), { name: `${name}_2_conv`, filters, kernel: 3, stride, bias: false }), '2');
  const wide = w.conv(seen, { name: `${name}_3_conv`, filters: 4 * filters, kernel: 1 });
  return w.merge('Add', [shortcut, wide], `${name}_out`);
}
