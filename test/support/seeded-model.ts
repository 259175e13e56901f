/** Networks of `tf.keras.applications` with weights drawn from a seed, written as TF.js layers models. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeArchitecture, type ArchitectureName, type ArchitectureOptions } from '../../functions/models/architectures/architectures.js';
import { SeededRandom } from './seeded-random.js';

/** What a person calls them. */
const SEEDED = { 'mobilenet-v2': 'mobilenet_v2', resnet50: 'resnet50' } as const satisfies Readonly<Record<string, ArchitectureName>>;

export const SEEDED_NAMES = Object.keys(SEEDED) as readonly (keyof typeof SEEDED)[];

export function isSeededName(name: string): name is keyof typeof SEEDED {
  return Object.hasOwn(SEEDED, name);
}

/** Writes a model that has a name here into a folder; returns the path of its model.json. */
export function writeSeededModel(folder: string, name: keyof typeof SEEDED): Promise<string> {
  return writeArchitecture(folder, SEEDED[name], {});
}

/** Writes any architecture. Its weights are small enough for deep networks to stay finite. */
export async function writeArchitecture(folder: string, name: ArchitectureName, options: ArchitectureOptions): Promise<string> {
  const { topology, weighted } = describeArchitecture(name, options);
  const random = new SeededRandom(1);
  const specs = weighted.flatMap((layer) => layer.weights.map((weight) => ({ name: `${layer.name}/${weight.name}`, shape: weight.shape, dtype: 'float32' })));
  const values = weighted.flatMap((layer) => layer.weights.map(({ name: weight, shape }) => draw(weight, shape, random)));
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'weights.bin'), Buffer.concat(values.map(({ buffer }) => Buffer.from(buffer))));
  await writeFile(join(folder, 'model.json'), JSON.stringify({ format: 'layers-model', modelTopology: topology, weightsManifest: [{ paths: ['weights.bin'], weights: specs }] }));
  return join(folder, 'model.json');
}

function draw(name: string, shape: readonly number[], random: SeededRandom): Float32Array<ArrayBuffer> {
  const count = shape.reduce((product, size) => product * size, 1);
  if (/variance|gamma/.test(name)) return new Float32Array(count).fill(1);
  const fanIn = name === 'depthwise_kernel' ? (shape[0] as number) * (shape[1] as number) : shape.slice(0, -1).reduce((product, size) => product * size, 1);
  const reach = shape.length === 1 ? 0.1 : Math.sqrt(6 / fanIn);
  return Float32Array.from({ length: count }, () => (random.next() * 2 - 1) * reach);
}
