/**
 * TensorFlow functions that stand in a model of Keras 2 as layers (`TFOpLambda`, `SlicingOpLambda`): what arithmetic on
 * its tensors leaves behind, and how Keras's own MobileNetV3 has its hard-swish. And the operations of Keras 3.
 */
import type { BinaryFunction, PlainFunction, ReduceNode } from '../network/network.js';
import { KERAS_OPERATION } from './keras3-topology.js';
import { activate } from './layer-activations.js';
import { show } from './layer-config.js';
import type { LayerUse } from './layer-use.js';
import { normaliseLength } from './lower-normalisations.js';
import { lowerConcat, lowerExpandDims, lowerGetItem, lowerOperationPad, lowerOperationReshape, lowerOperationResize, lowerSplit, lowerSqueeze, lowerTranspose } from './lower-shape-operations.js';
import { argument, axes, flag, isKerasOperation, numeric, plain, tensor } from './operation-arguments.js';

type Operation = (use: LayerUse) => string | readonly string[];

const BINARY: readonly (readonly [BinaryFunction, ...string[]])[] = [
  ['add', 'add', 'add_v2'], ['sub', 'subtract', 'sub'], ['mul', 'multiply', 'mul'], ['div', 'divide', 'truediv', 'true_divide', 'realdiv'], ['floorDiv', 'floordiv', 'floor_divide'], ['max', 'maximum'], ['min', 'minimum'], ['pow', 'pow', 'power'],
  ['squaredDifference', 'squared_difference'],
];

const UNARY: readonly (readonly [PlainFunction, ...string[]])[] = [
  ['abs', 'abs', 'absolute'], ['neg', 'negative', 'neg'], ['exp', 'exp'], ['expm1', 'expm1'], ['log', 'log'], ['log1p', 'log1p'], ['sqrt', 'sqrt'], ['rsqrt', 'rsqrt'], ['square', 'square'], ['reciprocal', 'reciprocal'], ['round', 'round'],
  ['floor', 'floor'], ['ceil', 'ceil'], ['sign', 'sign'], ['erf', 'erf'],
];

const ACTIVATIONS = ['relu', 'relu6', 'selu', 'silu', 'swish', 'sigmoid', 'tanh', 'softplus', 'softsign', 'mish', 'hard_sigmoid', 'hard_silu', 'hard_swish', 'hard_tanh', 'log_sigmoid', 'exponential'];

const REDUCTIONS: readonly (readonly [ReduceNode['kind'], ...string[]])[] = [['mean', 'reduce_mean', 'mean'], ['sum', 'reduce_sum', 'sum'], ['max', 'reduce_max', 'max', 'amax'], ['min', 'reduce_min', 'min', 'amin'], ['prod', 'reduce_prod', 'prod']];

const OPERATIONS = new Map<string, Operation>([
  ...named(BINARY, combine),
  ...named(UNARY, (use, fn) => use.add({ op: 'elementwise', apply: { fn }, inputs: [use.input] })),
  ...ACTIVATIONS.map((name) => [name, (use: LayerUse) => activate(use, use.input, name === 'hard_sigmoid' ? hardSigmoid(use) : name)] as const),
  ...named(REDUCTIONS, reduce),
  ...['identity', 'stop_gradient', 'ensure_shape', 'convert_to_tensor'].map((name) => [name, (use: LayerUse) => use.input] as const),
  ['cast', cast],
  ['elu', (use) => use.add({ op: 'elementwise', apply: { fn: 'elu', alpha: numeric(use, { names: ['alpha'], place: 0 }, 1) }, inputs: [use.input] })],
  ['leaky_relu', (use) => use.add({ op: 'elementwise', apply: { fn: 'leakyRelu', alpha: numeric(use, { names: ['alpha', 'negative_slope'], place: 0 }, 0.2) }, inputs: [use.input] })],
  ['gelu', (use) => activate(use, use.input, isExact(use) ? 'gelu' : 'gelu_new')],
  ['softmax', (use) => softmax(use, false)],
  ['log_softmax', (use) => softmax(use, true)],
  ['clip_by_value', clip],
  ['clip', clip],
  ['l2_normalize', (use) => normalise(use, numeric(use, { names: ['epsilon'], place: 1 }, 1e-12))],
  ['normalize', lowerNormalize],
  ['matmul', matmul],
  ['reshape', lowerOperationReshape],
  ['squeeze', lowerSqueeze],
  ['expand_dims', lowerExpandDims],
  ['transpose', lowerTranspose],
  ['concat', lowerConcat],
  ['concatenate', lowerConcat],
  ['split', lowerSplit],
  ['pad', lowerOperationPad],
  ['getitem', lowerGetItem],
  ['get_item', lowerGetItem],
  ['resize', lowerOperationResize],
  ['resize_bilinear', lowerOperationResize],
  ['resize_nearest_neighbor', lowerOperationResize],
]);

/**
 * The operation of a layer.
 *
 * @throws EisError EIS_MODEL_FILE when it is not known
 */
export function lowerOperation(use: LayerUse): string | readonly string[] {
  const name = operationName(use);
  const operation = OPERATIONS.get(name.split('.').at(-1) as string);
  return operation ? operation(use) : use.fail(`its function ${show(name)} is not computed here.`, 'Set "layer" to a layer below it, or export the model with model.export("saved_model") and convert that to a graph model: tensorflowjs_converter --input_format=tf_saved_model saved_model OUTPUT_FOLDER; then set "model_url" to OUTPUT_FOLDER.');
}

/** TensorFlow's name of the function, `math.multiply`; Keras 3's in TensorFlow's spelling. */
function operationName({ className, config, path }: LayerUse): string {
  if (className.startsWith(KERAS_OPERATION)) return className.slice(KERAS_OPERATION.length).replace(/(?<=[a-z0-9])(?=[A-Z])/g, '_').toLowerCase();
  if (className === 'SlicingOpLambda') return 'getitem';
  const written = config.raw('function');
  return typeof written === 'string' ? written : (path.at(-1) as string).replace(/^tf\./, '').replace(/_\d+$/, '');
}

/** Each function under each of its names. */
function named<T>(table: readonly (readonly [T, ...string[]])[], lower: (use: LayerUse, fn: T) => string): readonly (readonly [string, Operation])[] {
  return table.flatMap(([fn, ...names]) => names.map((name) => [name, (use: LayerUse) => lower(use, fn)] as const));
}

function combine(use: LayerUse, fn: BinaryFunction): string {
  const [first, second] = use.inputs;
  if (first === undefined) return use.fail('it is given no tensors.');
  const other = use.inputs.length === 2 ? (second as string) : tensor(use, { names: ['y', 'x2', 'other'], place: 0 });
  return use.add({ op: 'binary', fn, inputs: [first, other] });
}

function reduce(use: LayerUse, kind: ReduceNode['kind']): string {
  const { length: rank } = use.shape(use.input);
  const all = axes(use, { names: ['axis'], place: 0 }, rank);
  if (all === undefined) return use.fail('it reduces all axes, the batch among them: its result is of no image.');
  return use.add({ op: 'reduce', kind, axes: all, keepDims: flag(use, { names: ['keepdims', 'keep_dims'], place: 1 }), inputs: [use.input] });
}

/** Everything is float32 here: a cast to a type of whole numbers would round. */
function cast(use: LayerUse): string {
  const type = plain(use, { names: ['dtype'], place: 0 }) ?? 'float32';
  return typeof type === 'string' && type.includes('float') ? use.input : use.fail(`it rounds to ${show(type)}, which is not computed here.`, 'Set "layer" to a layer below it.');
}

function hardSigmoid(use: LayerUse): unknown {
  return isKerasOperation(use) ? { class_name: 'HardSigmoid', config: { alpha: 1 / 6, beta: 0.5 } } : 'hard_sigmoid';
}

/** TensorFlow's is exact unless it is told otherwise, Keras 3's the other way. */
function isExact(use: LayerUse): boolean {
  const approximate = plain(use, { names: ['approximate'], place: 0 });
  return approximate === undefined ? !isKerasOperation(use) : approximate === false;
}

function softmax(use: LayerUse, log: boolean): string {
  const { length: rank } = use.shape(use.input);
  const [axis = rank - 1, ...more] = axes(use, { names: ['axis'], place: 0 }, rank) ?? [];
  return more.length === 0 ? use.add({ op: 'softmax', axis, log, inputs: [use.input] }) : use.fail('it is a softmax over several axes, which is not computed here.', 'Set "layer" to a layer below it.');
}

function clip(use: LayerUse): string {
  const bound = (names: readonly string[], place: number): number => (argument(use, { names, place }) === undefined ? use.fail(`it is not given its "${names[0]}".`) : numeric(use, { names, place }, 0));
  return use.add({ op: 'elementwise', apply: { fn: 'clip', min: bound(['clip_value_min', 'x_min'], 0), max: bound(['clip_value_max', 'x_max'], 1) }, inputs: [use.input] });
}

function lowerNormalize(use: LayerUse): string {
  const order = numeric(use, { names: ['order', 'ord'] }, 2);
  return order === 2 ? normalise(use, numeric(use, { names: ['epsilon'] }, 1e-12) ** 2) : use.fail(`it normalises by the norm of order ${order}, which is not computed here.`, 'Set "layer" to a layer below it.');
}

function normalise(use: LayerUse, leastSquare: number): string {
  const { length: rank } = use.shape(use.input);
  const over = axes(use, { names: ['axis', 'dim'], place: 0 }, rank) ?? (isKerasOperation(use) ? [rank - 1] : use.fail('it normalises over all axes, the batch among them.'));
  return normaliseLength(use, use.input, { axes: over, leastSquare });
}

function matmul(use: LayerUse): string {
  const b = use.inputs.length === 2 ? (use.inputs[1] as string) : tensor(use, { names: ['b', 'x2'], place: 0 });
  return use.add({ op: 'matmul', transposeA: flag(use, { names: ['transpose_a'], place: 1 }), transposeB: flag(use, { names: ['transpose_b'], place: 2 }), inputs: [use.inputs[0] as string, b] });
}
