/** What is known about TensorFlow's operations: which give numbers one by one, and which no network of images may need. */
import { failModel, type GraphNode } from './model.js';
import { quote, textOf } from './graph-attributes.js';
import { type Graph } from './graph-file.js';

/** Give their input back. */
export const PASSING = new Set(['Identity', 'StopGradient', 'Snapshot', 'PreventGradient', 'CheckNumerics', 'Print']);

/** Give each number by itself a new value; the shape stays. */
export const ELEMENTWISE = new Set([
  ...PASSING, 'Abs', 'Cast', 'Ceil', 'ClipByValue', 'Elu', 'Erf', 'Exp', 'Floor', 'LeakyRelu', 'Log', 'Log1p', 'Neg', 'Prelu', 'Reciprocal', 'Relu', 'Relu6', 'Round', 'Rsqrt', 'Selu', 'Sigmoid', 'Sign',
  'Softplus', 'Softsign', 'Sqrt', 'Square', 'Tanh', 'BiasAdd',
]);

/** Combine two tensors number by number, of the same shape or stretched to it. */
export const ARITHMETIC = new Set(['Add', 'AddV2', 'Div', 'DivNoNan', 'FloorDiv', 'Maximum', 'Minimum', 'Mul', 'Pow', 'RealDiv', 'SquaredDifference', 'Sub']);

export const NORMALISING = new Set(['FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3']);
export const CONVOLVING = new Set(['Conv2D', '_FusedConv2D']);
export const MULTIPLYING = new Set(['MatMul', '_FusedMatMul', 'BatchMatMul', 'BatchMatMulV2']);
export const CLASSIFYING = new Set(['Softmax', 'LogSoftmax', 'Sigmoid']);
/** Give the same numbers in another shape. */
export const RESHAPING = new Set(['Reshape', 'Squeeze', 'ExpandDims', 'Flatten']);

/** Why operations cannot be run, by their names. Whatever else an engine lacks, it finds out when it is created. */
const REFUSED: readonly (readonly [RegExp, string])[] = [
  [/^(Enter|Exit|Merge|Switch|RefSwitch|RefMerge|NextIteration|LoopCond|(Stateless)?(If|While|Case))$/, 'control flow'],
  [/^(Stateful)?PartitionedCall$|^SymbolicGradient$/, 'the call of a function'],
  [/^(TensorList|TensorArray|EmptyTensorList|Stack|Queue)/, 'a list of tensors'],
  [/^(HashTable|LookupTable|InitializeTable|MutableHashTable)/, 'a lookup table'],
  [/^(VarHandleOp|VarIsInitializedOp|ReadVariableOp|Variable(V2)?$|Assign|Resource|Restore|Save|SimpleML)/, 'a resource outside the graph'],
  [/^(String|StaticRegex|Regex|AsString|Decode|Encode|Parse|Substr|Unicode|ReduceJoin|ReadFile)/, 'work on text or files'],
  [/^(Random|Multinomial|TruncatedNormal|ParameterizedTruncatedNormal|StatelessRandom|StatelessTruncated)/, 'random, so that an image would have another embedding each time. Convert the model for inference'],
  [/^(Where|ListDiff|NonMaxSuppression|Unique)/, 'a number of results that depends on the image'],
];

/**
 * Throws EIS_MODEL_FILE about a node of the embedding that is not computed from one image alone, always the same way.
 *
 * @param inputName the node that takes the image
 */
export function refuseNode(node: GraphNode, { graph, inputName, file }: { readonly graph: Graph; readonly inputName: string; readonly file: string }): void {
  if (node.name === inputName) return;
  if (node.op.startsWith('Placeholder')) failModel(file, `the embedding needs a second input, ${quote(node.name)} (${node.op}), for example to say that it is training. Convert the model for inference, or set "layer" to one below it.`);
  const reason = graph.functions.has(node.op) ? 'the call of a function' : describeRefused(node.op);
  if (reason !== undefined) failModel(file, `its node ${quote(node.name)} is of the operation ${node.op}: ${reason}. A network that embeds images needs none; set "layer" to one below it.`);
  if (textOf(node, 'data_format') === 'NCHW') failModel(file, `its node ${quote(node.name)} (${node.op}) has channels first (NCHW); images are given with channels last (NHWC). Convert the model from one with data_format "channels_last".`);
}

/** Why an operation cannot be run; undefined: it is for the engine to say. */
export function describeRefused(op: string): string | undefined {
  return REFUSED.find(([pattern]) => pattern.test(op))?.[1];
}
