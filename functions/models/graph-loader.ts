/** Loads TF.js graph models: `model.json` with its weight files beside it, as tfjs-converter writes SavedModels, TF-Hub and Keras models. */
import { cutGraph, weightsInOrder } from './graph-cut.js';
import { chooseEmbeddingNode, type GraphView } from './graph-embedding.js';
import { isGraph, parseGraph, type Graph } from './graph-file.js';
import { findNode, findOutput } from './graph-find.js';
import { defaultPreprocess, findInput } from './graph-input.js';
import { refuseNode } from './graph-ops.js';
import { orderedAncestors } from './graph-order.js';
import { inferShapes, type Constant } from './graph-shapes.js';
import { resolveInput } from './input-size.js';
import { lowerGraph } from './lower-graph.js';
import type { ModelLoader } from './model.js';
import { versionOf } from './version.js';
import { parseManifest, readWeights } from './weights.js';

const FORMAT = 'TF.js graph model';

/** Constants of more numbers are no axes, shapes, paddings or factors: their numbers are not looked at. */
const CONSTANT_VALUES_MAX = 64;

export const graphLoader: ModelLoader = {
  format: FORMAT,
  accepts: ({ json }) => isGraph(json),
  async load({ path: file, json }, options) {
    const graph = parseGraph(json, file);
    const { weightsManifest } = json as { weightsManifest?: unknown };
    const top = options.layer === undefined ? findOutput(graph, file) : findNode(graph, options.layer, file);
    const whole = orderedAncestors(graph, top.name, file);
    const { name: inputName, shape } = findInput(graph, whole, file);
    const input = resolveInput(shape, options, file);
    const constants = await readConstants(weightsManifest, graph, file);
    const view: GraphView = { ordered: whole, constants, shapes: inferShapes(whole, { inputName, input, constants }) };
    const { name: layer } = options.layer === undefined ? chooseEmbeddingNode(view, file) : top;
    const ordered = orderedAncestors(graph, layer, file);
    for (const node of ordered) refuseNode(node, { graph, inputName, file });
    const { network, added } = cutGraph(ordered, { inputName, input, shape: view.shapes.get(layer) });
    const wanted = new Set(ordered.map((node) => node.name));
    const read = await readWeights(weightsManifest, { file, isWanted: (name) => wanted.has(name) });
    const weights = weightsInOrder(network, [...read, ...added], file);
    const { name, preprocess = defaultPreprocess(ordered, inputName, constants) } = options;
    return { name, format: FORMAT, file, version: versionOf({ graph: network, layer, input, preprocess }, weights), network: lowerGraph(network, weights, { input, file }), input, layer, preprocess };
  },
};

/** The constants of a graph: the shapes of all, the numbers of those that have few. */
async function readConstants(manifest: unknown, graph: Graph, file: string): Promise<ReadonlyMap<string, Constant>> {
  const specs = parseManifest(manifest, file).flatMap((group) => group.specs).filter(({ name }) => graph.nodes.get(name)?.op === 'Const');
  const small = new Set(specs.filter(({ shape }) => shape.reduce((product, size) => product * size, 1) <= CONSTANT_VALUES_MAX).map(({ name }) => name));
  const read = new Map((await readWeights(manifest, { file, isWanted: (name) => small.has(name) })).map(({ name, values }) => [name, [...values]]));
  return new Map(specs.map(({ name, shape }) => [name, { shape, values: read.get(name) }]));
}
