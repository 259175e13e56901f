/** VGG (Simonyan 2014), as `keras/applications/vgg16.py` and `vgg19.py` build it. */
import type { Feature, TopologyWriter } from './topology-writer.js';

const FILTERS = [64, 128, 256, 512, 512] as const;
/** Convolutions of the five stages, by depth. */
const CONVOLUTIONS = { 16: [2, 2, 3, 3, 3], 19: [2, 2, 4, 4, 4] } as const;

export function writeVgg(w: TopologyWriter, depth: keyof typeof CONVOLUTIONS): Feature {
  let x = w.image;
  for (const [stage, filters] of FILTERS.entries()) {
    for (let i = 1; i <= (CONVOLUTIONS[depth][stage] as number); i++) x = w.conv(x, { name: `block${stage + 1}_conv${i}`, filters, kernel: 3, padding: 'same', activation: 'relu' });
    x = w.pool(x, 'Max', { name: `block${stage + 1}_pool`, size: 2, stride: 2 });
  }
  return x;
}

export function classifyVgg(w: TopologyWriter, x: Feature, classes: number): Feature {
  const hidden = w.dense(w.flatten(x, 'flatten'), { name: 'fc1', units: 4096, activation: 'relu' });
  return w.dense(w.dense(hidden, { name: 'fc2', units: 4096, activation: 'relu' }), { name: 'predictions', units: classes, activation: 'softmax' });
}
