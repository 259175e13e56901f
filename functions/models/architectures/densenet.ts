/** DenseNet (Huang 2017), as `keras/applications/densenet.py` builds it. */
import type { Feature, TopologyWriter } from './topology-writer.js';

/** Layers of the four dense blocks, by depth. */
const BLOCKS = { 121: [6, 12, 24, 16], 169: [6, 12, 32, 32], 201: [6, 12, 48, 32] } as const;
/** Channels that each layer adds. */
const GROWTH = 32;
const NORM = { epsilon: 1.001e-5 };

export function writeDenseNet(w: TopologyWriter, depth: keyof typeof BLOCKS): Feature {
  const stem = w.conv(w.pad(w.image, [3, 3]), { name: 'conv1/conv', filters: 64, kernel: 7, stride: 2, bias: false });
  const start = w.activation(w.batchNorm(stem, { name: 'conv1/bn', ...NORM }), 'relu', 'conv1/relu');
  let x = w.pool(w.pad(start, [1, 1]), 'Max', { name: 'pool1', size: 3, stride: 2 });
  for (const [i, layers] of BLOCKS[depth].entries()) {
    if (i > 0) x = writeTransition(w, x, `pool${i + 1}`);
    for (let layer = 1; layer <= layers; layer++) x = writeLayer(w, x, `conv${i + 2}_block${layer}`);
  }
  return w.activation(w.batchNorm(x, { name: 'bn', ...NORM }), 'relu', 'relu');
}

/** Sees everything before it, and puts what it found beside that. */
function writeLayer(w: TopologyWriter, input: Feature, name: string): Feature {
  const normalise = (x: Feature, part: number): Feature => w.activation(w.batchNorm(x, { name: `${name}_${part}_bn`, ...NORM }), 'relu', `${name}_${part}_relu`);
  const narrow = w.conv(normalise(input, 0), { name: `${name}_1_conv`, filters: 4 * GROWTH, kernel: 1, bias: false });
  const found = w.conv(normalise(narrow, 1), { name: `${name}_2_conv`, filters: GROWTH, kernel: 3, padding: 'same', bias: false });
  return w.concat([input, found], `${name}_concat`);
}

/** Half the channels, half the size. */
function writeTransition(w: TopologyWriter, input: Feature, name: string): Feature {
  const normalised = w.activation(w.batchNorm(input, { name: `${name}_bn`, ...NORM }), 'relu', `${name}_relu`);
  const halved = w.conv(normalised, { name: `${name}_conv`, filters: input.channels >> 1, kernel: 1, bias: false });
  return w.pool(halved, 'Average', { name: `${name}_pool`, size: 2, stride: 2 });
}
