/** A graph network in TF.js. */
import type * as converter from '@tensorflow/tfjs-converter';
import type * as core from '@tensorflow/tfjs-core';
import { textsOf } from '../models/graph-attributes.js';
import { failModel, type GraphNetwork, type GraphNode, type LoadedModel } from '../models/model.js';
import { toArtifacts, type GraphTfjs, type TfjsNetwork } from './tfjs-network.js';

type GraphModel = converter.GraphModel<core.io.IOHandlerSync>;

/** A graph loaded, and what asks for nodes of it. */
interface Running {
  readonly graph: GraphModel;
  readonly execute: (image: core.Tensor4D, names: string | string[]) => core.Tensor | core.Tensor[];
}

/**
 * TF.js learns only by computing whether it, and the backend, can compute a graph: an image of zeros is put through it.
 *
 * @throws EisError EIS_MODEL_FILE when it cannot, naming the operation
 */
export async function buildGraph(tf: GraphTfjs, model: LoadedModel, network: GraphNetwork): Promise<TfjsNetwork> {
  const graph = loadGraph(tf, model, network);
  const running: Running = { graph, execute: (image, names) => graph.execute({ [network.inputName]: image }, names) };
  const run = (image: core.Tensor4D): core.Tensor => running.execute(image, network.outputName) as core.Tensor;
  try {
    return { outputShape: probe(tf, model, (image) => run(image).shape), run, dispose: () => graph.dispose() };
  } catch (cause) {
    try {
      return refuseOperation(tf, model, { network, running, cause: cause as Error });
    } finally {
      graph.dispose();
    }
  }
}

function loadGraph(tf: GraphTfjs, model: LoadedModel, { nodes }: GraphNetwork): GraphModel {
  const node = nodes.flatMap(withoutFusedLeakyRelu).map(({ name, op, inputs, attr }) => ({ name, op, input: [...inputs], attr }));
  const artifacts: core.io.ModelArtifacts = { modelTopology: { node, versions: { producer: 0, minConsumer: 0 } }, ...toArtifacts(model.weights) };
  try {
    const loaded: GraphModel[] = [];
    tf.tidy(() => {
      const graph = tf.loadGraphModelSync({ load: () => artifacts });
      for (const tensor of Object.values(graph.weights).flat()) tf.keep(tensor);
      loaded.push(graph);
    });
    // TF.js holds on to what it was given, in case that it is asked to save the model.
    delete artifacts.weightData;
    return loaded[0] as GraphModel;
  } catch (cause) {
    return failModel(model.file, `TF.js cannot build it: ${(cause as Error).message}`, cause);
  }
}

/**
 * A depthwise convolution with its LeakyRelu as a node of its own: TF.js 4.22 forgets the slope when they are fused
 * (tfjs-core `fused/depthwise_conv2d` passes no `leakyreluAlpha`), and gives wrong numbers without an error.
 */
function withoutFusedLeakyRelu(node: GraphNode): GraphNode[] {
  const fused = textsOf(node, 'fused_ops');
  if (node.op !== 'FusedDepthwiseConv2dNative' || fused.at(-1) !== 'LeakyRelu') return [node];
  const linear = `${node.name}/eis_linear`;
  const alpha = node.attr['leakyrelu_alpha'] ?? { f: 0.2 };
  return [
    { ...node, name: linear, attr: { ...node.attr, fused_ops: { list: { s: fused.slice(0, -1).map((text) => Buffer.from(text).toString('base64')) } } } },
    { name: node.name, op: 'LeakyRelu', inputs: [linear], attr: { alpha } },
  ];
}

function probe<T>(tf: GraphTfjs, { input }: LoadedModel, read: (image: core.Tensor4D) => T): T {
  const { height, width, channels } = input;
  const results: T[] = [];
  tf.tidy(() => void results.push(read(tf.tensor4d(new Float32Array(height * width * channels), [1, height, width, channels]))));
  return results[0] as T;
}

/** Finds the first node that fails, by halving: nodes stand in the order of computing. */
function refuseOperation(tf: GraphTfjs, model: LoadedModel, failed: { readonly network: GraphNetwork; readonly running: Running; readonly cause: Error }): never {
  const computed = failed.network.nodes.filter(({ op }) => op !== 'Const' && op !== 'Placeholder');
  const names = computed.map(({ name }) => name);
  let { cause } = failed;
  let [good, bad] = [0, computed.length];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    try {
      probe(tf, model, (image) => void failed.running.execute(image, names.slice(0, middle)));
      good = middle;
    } catch (thrown) {
      cause = thrown as Error;
      bad = middle;
    }
  }
  const node = computed[bad - 1];
  return failModel(model.file, `its node ${JSON.stringify(node?.name)} is of the operation ${node?.op}, which TF.js cannot run here: ${cause.message.split('\n')[0]}. Set "layer" to one below it, or convert the model without it.`, cause);
}
