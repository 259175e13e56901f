/**
 * ResNet-50 as Keras built it until 2019 (`keras_applications/resnet50.py`): the network of today under names that follow
 * Caffe's, with the layers of a block in another order. Files with these names are still around.
 */
import { RESNET_BLOCKS, type ResNetBlock } from './resnet.js';
import type { Feature, TopologyWriter } from './topology-writer.js';

export function writeResNet2015(w: TopologyWriter): Feature {
  const stem = w.conv(w.pad(w.image, [3, 3], 'conv1_pad'), { name: 'conv1', filters: 64, kernel: 7, stride: 2 });
  const start = w.activation(w.batchNorm(stem, { name: 'bn_conv1' }), 'relu');
  let x = w.pool(w.pad(start, [1, 1], 'pool1_pad'), 'Max', { size: 3, stride: 2 });
  for (const [stage, blocks] of RESNET_BLOCKS[50].entries()) {
    for (let block = 0; block < blocks; block++) x = writeBlock(w, x, { name: `${stage + 2}${'abcdef'[block]}_branch`, filters: 64 << stage, stride: block === 0 && stage > 0 ? 2 : 1, isFirst: block === 0 });
  }
  return x;
}

function writeBlock(w: TopologyWriter, input: Feature, { name, filters, stride, isFirst }: ResNetBlock): Feature {
  const normalise = (x: Feature, part: string): Feature => w.batchNorm(x, { name: `bn${name}${part}` });
  const narrow = w.activation(normalise(w.conv(input, { name: `res${name}2a`, filters, kernel: 1, stride }), '2a'), 'relu');
  const seen = w.activation(normalise(w.conv(narrow, { name: `res${name}2b`, filters, kernel: 3, padding: 'same' }), '2b'), 'relu');
  const wide = normalise(w.conv(seen, { name: `res${name}2c`, filters: 4 * filters, kernel: 1 }), '2c');
  const shortcut = isFirst ? normalise(w.conv(input, { name: `res${name}1`, filters: 4 * filters, kernel: 1, stride }), '1') : input;
  return w.activation(w.merge('Add', [wide, shortcut]), 'relu');
}
