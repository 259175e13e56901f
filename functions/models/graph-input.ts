/** The image that a graph takes: which node it is put into, of what size, and prepared how. */
import type { Preprocess } from '../../common/config.js';
import { DEFAULT_PREPROCESS, failModel, type GraphNode } from './model.js';
import { quote, readShape, type OpenShape } from './graph-attributes.js';
import { nodeOf, type Graph } from './graph-file.js';
import { PASSING } from './graph-ops.js';
import type { Constant } from './graph-shapes.js';

/** TensorFlow's real numbers, by name and by number. */
const REALS: readonly unknown[] = ['DT_FLOAT', 'DT_HALF', 'DT_DOUBLE', 1, 19, 2, undefined];
/** What Keras's `Rescaling` multiplies pixels of 0 to 255 with, or what they are divided by, to come to [0,1] and [-1,1]. */
const RESCALINGS = [255, 127.5];

export interface GraphInput {
  readonly name: string;
  /** Batch first; null where it is left open. */
  readonly shape: readonly (number | null)[];
}

/**
 * The placeholder that takes the image.
 *
 * @param ordered what the model's output is computed from
 * @throws EisError EIS_MODEL_FILE when none or several may be it, or it does not take one image with its channels last
 */
export function findInput(graph: Graph, ordered: readonly GraphNode[], file: string): GraphInput {
  const placeholders = ordered.filter(({ op }) => op === 'Placeholder').map((node) => ({ node, shape: shapeOf(graph, node) }));
  const images = placeholders.filter(({ shape }) => shape !== undefined && shape.length >= 3);
  const candidates = images.length > 0 ? images : placeholders;
  const defaulted = ordered.find(({ op }) => op === 'PlaceholderWithDefault');
  if (candidates.length === 0 && defaulted) failModel(file, `its input ${quote(defaulted.name)} has a default (PlaceholderWithDefault); a model that embeds images takes them at a Placeholder. Convert the model for inference.`);
  if (candidates.length !== 1) failModel(file, `it has ${candidates.length} inputs${candidates.length > 0 ? ` (${candidates.slice(0, 5).map(({ node }) => quote(node.name)).join(', ')})` : ''}; a model that embeds images has one.`);
  const { node, shape } = candidates[0] as (typeof candidates)[0];
  const dtype = node.attr['dtype']?.['type'];
  if (!REALS.includes(dtype)) failModel(file, `its input ${quote(node.name)} takes numbers of the type ${String(dtype)}; a model that embeds images takes DT_FLOAT.`);
  if (shape === undefined) return failModel(file, `its input ${quote(node.name)} does not say the shape of its images. Convert the model with a signature that does: [null, rows, columns, 3].`);
  const [batch, second, , last] = shape;
  if (shape.length === 4 && (second === 1 || second === 3) && last !== 1 && last !== 3) failModel(file, `its input ${quote(node.name)} has the shape ${JSON.stringify(shape)}, with channels first (NCHW); images are given with channels last (NHWC). Convert the model from one with data_format "channels_last".`);
  if (batch !== null && batch !== 1) failModel(file, `its input ${quote(node.name)} takes ${batch} images at once; one or any number can be given. Convert the model with an open batch.`);
  return { name: node.name, shape: [null, ...shape.slice(1)] };
}

/** Of the placeholder itself, else of the signature. */
function shapeOf(graph: Graph, node: GraphNode): OpenShape {
  const own = readShape(node.attr['shape']?.['shape']);
  const known = own === 'malformed' ? undefined : own;
  return known === undefined || known.length === 0 ? (graph.inputShapes.get(node.name) ?? known) : known;
}

/**
 * How pixels are prepared when the configuration does not say: TF-Hub's image models take [0,1] and name the place
 * where they do `hub_input`; a network that divides by 255 or 127.5 itself (Keras's `Rescaling`: MobileNetV3,
 * EfficientNet) takes pixels as they are; else `DEFAULT_PREPROCESS`.
 *
 * @param ordered what the embedding is computed from
 */
export function defaultPreprocess(ordered: readonly GraphNode[], inputName: string, constants: ReadonlyMap<string, Constant>): Preprocess {
  const passed = new Set([inputName]);
  const first = ordered.filter((node) => {
    if (!node.inputs.some((input) => passed.has(nodeOf(input)))) return false;
    if (PASSING.has(node.op) || node.op === 'Cast') passed.add(node.name);
    return !passed.has(node.name);
  });
  if (first.some(({ name }) => name.split('/').includes('hub_input'))) return '[0,1]';
  return first.length > 0 && first.every((node) => isRescaling(node, passed, constants)) ? 'raw' : DEFAULT_PREPROCESS;
}

function isRescaling({ op, inputs }: GraphNode, passed: ReadonlySet<string>, constants: ReadonlyMap<string, Constant>): boolean {
  const isDivision = (op === 'RealDiv' || op === 'Div') && passed.has(nodeOf(inputs[0] ?? ''));
  if (!isDivision && op !== 'Mul') return false;
  const factors = constants.get(inputs.find((input) => !passed.has(nodeOf(input))) ?? '')?.values ?? [];
  return factors.length > 0 && factors.every((factor) => RESCALINGS.some((divisor) => Math.abs((isDivision ? factor : 1 / factor) / divisor - 1) < 1e-3));
}
