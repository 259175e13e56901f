/**
 * ResNet-50 written by hand in plain ONNX (He et al. 2015, with the stride in the first convolution of a block, as Keras
 * has it): the yardstick of what the compiler makes of a ResNet-50 from TensorFlow. Channels first, batch norms folded
 * beforehand, real numbers in, no node too many. Weights are drawn from a seed: time does not depend on them.
 */
import { encodeModel, type OnnxNode, type OnnxTensor } from '../../functions/engines/onnx-encoding.js';
import { SeededRandom } from '../support/seeded-random.js';

/** Blocks of each stage, and the channels inside them; a block gives four times as many. */
const STAGES = [[3, 64], [4, 128], [6, 256], [3, 512]] as const;

export const HANDMADE_INPUT = 'images';
export const HANDMADE_OUTPUT = 'features';

class Handmade {
  readonly nodes: OnnxNode[] = [];
  readonly tensors: OnnxTensor[] = [];
  readonly #random = new SeededRandom(1);

  node(op: string, inputs: readonly string[], attributes: OnnxNode['attributes'] = {}, output = `${op}${this.nodes.length}`): string {
    this.nodes.push({ op, name: output, inputs, outputs: [output], attributes });
    return output;
  }

  conv(x: string, [taken, given]: readonly [number, number], { size = 1, stride = 1 }: { readonly size?: number; readonly stride?: number } = {}): string {
    const name = `w${this.tensors.length}`;
    const reach = Math.sqrt(3 / (taken * size * size));
    const draw = (count: number, scale: number): Float32Array => Float32Array.from({ length: count }, () => (this.#random.next() * 2 - 1) * scale);
    this.tensors.push({ name, shape: [given, taken, size, size], values: draw(given * taken * size * size, reach) }, { name: `${name}b`, shape: [given], values: draw(given, 0.1) });
    const side = size >> 1;
    return this.node('Conv', [x, name, `${name}b`], { strides: [stride, stride], pads: [side, side, side, side], group: 1, dilations: [1, 1] });
  }

  relu(x: string): string {
    return this.node('Relu', [x]);
  }
}

/** The bytes of the model: `images` (float32, images × 3 × 224 × 224) to `features` (float32, images × 2048). */
export function handmadeResnet50(): Uint8Array {
  const h = new Handmade();
  let x = h.node('MaxPool', [h.relu(h.conv(HANDMADE_INPUT, [3, 64], { size: 7, stride: 2 }))], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] });
  let channels = 64;
  for (const [stage, [blocks, inner]] of STAGES.entries()) {
    for (let block = 0; block < blocks; block++) {
      const stride = block === 0 && stage > 0 ? 2 : 1;
      const shortcut = block === 0 ? h.conv(x, [channels, 4 * inner], { stride }) : x;
      const first = h.relu(h.conv(x, [channels, inner], { stride }));
      const second = h.relu(h.conv(first, [inner, inner], { size: 3 }));
      x = h.relu(h.node('Add', [shortcut, h.conv(second, [inner, 4 * inner])]));
      channels = 4 * inner;
    }
  }
  h.node('Flatten', [h.node('GlobalAveragePool', [x])], {}, HANDMADE_OUTPUT);
  return encodeModel({
    nodes: h.nodes, tensors: h.tensors,
    inputs: [{ name: HANDMADE_INPUT, type: 'float32', shape: ['images', 3, 224, 224] }],
    outputs: [{ name: HANDMADE_OUTPUT, type: 'float32', shape: ['images', channels] }],
  });
}
