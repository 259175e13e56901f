/**
 * Holds a layers topology to what the rest takes for granted: names, references that lead somewhere and not in circles,
 * and bounds on how many layers there are and how deep they are nested. Whatever wrote the file, what follows ends.
 */
import { failModel, type LayerJson } from './model.js';
import { DEPTH_MAX, inboundNodes, isContainer, layersOf, useNumbering } from './topology.js';

/** Five times the largest networks of Keras. */
const LAYERS_MAX = 5_000;

/** @throws EisError EIS_MODEL_FILE saying where the topology is broken */
export function checkLayers(model: LayerJson, file: string): void {
  let count = 0;
  const open: { readonly container: LayerJson; readonly depth: number }[] = [{ container: model, depth: 1 }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { container, depth } = next;
    if (depth > DEPTH_MAX) failModel(file, `its models are nested more than ${DEPTH_MAX} deep.`);
    const layers = layersOf(container);
    count += layers.length;
    if (count > LAYERS_MAX) failModel(file, `it has more than ${LAYERS_MAX} layers.`);
    checkReferences(container, checkNames(layers, file), file);
    open.push(...layers.filter(isContainer).map((inner) => ({ container: inner, depth: depth + 1 })));
  }
}

function checkNames(layers: readonly LayerJson[], file: string): ReadonlyMap<string, LayerJson> {
  const byName = new Map<string, LayerJson>();
  for (const [i, layer] of layers.entries()) {
    const name: unknown = layer.name ?? layer.config['name'];
    if (typeof name !== 'string' || name === '') return failModel(file, `its layer ${i + 1} (${layer.class_name}) has no name.`);
    if (byName.has(name)) failModel(file, `two of its layers are named ${JSON.stringify(name)}.`);
    byName.set(name, layer);
  }
  return byName;
}

function checkReferences(container: LayerJson, byName: ReadonlyMap<string, LayerJson>, file: string): void {
  if (container.class_name === 'Sequential') return;
  const useOf = useNumbering(container);
  const uses = new Map<string, readonly string[]>();
  const label = (name: string, use: number): string => `${name}\n${use}`;
  for (const [name, layer] of byName) {
    for (const [i, refs] of inboundNodes(layer).entries()) {
      const missing = refs.find(([feeder]) => !byName.has(feeder));
      if (missing !== undefined) failModel(file, `its layer ${JSON.stringify(name)} takes its input from ${JSON.stringify(missing[0])}, which is not there.`);
      uses.set(label(name, i), refs.map((ref) => label(ref[0], useOf(ref))));
    }
  }
  const circle = findCircle(new Map([...uses].map(([use, fed]) => [use, [...new Set(fed)].filter((feeder) => uses.has(feeder))])));
  if (circle !== undefined) failModel(file, `its layers wait for each other: ${JSON.stringify(circle.split('\n')[0])} is computed from itself.`);
}

/** A use of a layer that is reached from itself; by taking away, again and again, what waits for nothing (Kahn 1962). */
function findCircle(feeders: ReadonlyMap<string, readonly string[]>): string | undefined {
  const waiting = new Map([...feeders].map(([name, fed]) => [name, fed.length]));
  const followers = new Map<string, string[]>();
  for (const [name, fed] of feeders) for (const feeder of fed) followers.set(feeder, [...(followers.get(feeder) ?? []), name]);
  const ready = [...waiting].filter(([, count]) => count === 0).map(([name]) => name);
  for (let name = ready.pop(); name !== undefined; name = ready.pop()) {
    waiting.delete(name);
    for (const follower of followers.get(name) ?? []) {
      const left = (waiting.get(follower) as number) - 1;
      waiting.set(follower, left);
      if (left === 0) ready.push(follower);
    }
  }
  return waiting.keys().next().value;
}
