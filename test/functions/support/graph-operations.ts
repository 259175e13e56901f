/** The operations that graphs of image networks are made of, each a few nodes that end in `out`, of the image `image` of 9×9×3. */
import { constant, flag, integers, ints, node, text, texts, type NodeJson } from './tiny-graph.js';

type Cases = Readonly<Record<string, readonly NodeJson[]>>;

export const SAME = { strides: ints(1, 2, 2, 1), padding: text('SAME'), dilations: ints(1, 1, 1, 1) };
export const VALID = { strides: ints(1, 1, 1, 1), padding: text('VALID'), dilations: ints(1, 1, 1, 1) };
const one = (op: string, attr: NodeJson['attr'] = {}): NodeJson[] => [node(op, 'out', ['image'], attr)];
const two = (op: string, argument: NodeJson, attr: NodeJson['attr'] = {}): NodeJson[] => [argument, node(op, 'out', ['image', argument.name], attr)];
export const fused = (op: string, activation: string, attr: NodeJson['attr'] = SAME, extra: readonly NodeJson[] = []): NodeJson[] => [
  constant('k', op === '_FusedConv2D' ? [3, 3, 3, 4] : [3, 3, 3, 1]), constant('b', [op === '_FusedConv2D' ? 4 : 3]), ...extra,
  node(op, 'out', ['image', 'k', 'b', ...extra.map(({ name }) => name)], { ...attr, num_args: { i: String(1 + extra.length) }, fused_ops: texts('BiasAdd', activation), leakyrelu_alpha: { f: 0.2 } }),
];

export const OPERATIONS: Cases = {
  ...Object.fromEntries(['Elu', 'Selu', 'Relu6', 'Sigmoid', 'Tanh', 'Softplus', 'Erf', 'Softmax', 'LogSoftmax', 'Exp', 'Abs', 'Neg', 'Square', 'Identity', 'Round'].map((op) => [op, one(op)])),
  LeakyRelu: one('LeakyRelu', { alpha: { f: 0.3 } }),
  Prelu: two('Prelu', constant('alpha', [3])),
  ClipByValue: [constant('low', [], [-0.5]), constant('high', [], [0.5]), node('ClipByValue', 'out', ['image', 'low', 'high'])],
  HardSwish: [constant('three', [], [3]), constant('sixth', [], [1 / 6]), node('AddV2', 'a', ['image', 'three']), node('Relu6', 'b', ['a']), node('Mul', 'c', ['b', 'sixth']), node('Mul', 'out', ['image', 'c'])],
  Swish: [node('Sigmoid', 's', ['image']), node('Mul', 'out', ['s', 'image'])],
  BatchNorm: [...['scale', 'offset', 'mean'].map((name) => constant(name, [3])), constant('variance', [3], [1, 2, 0.5]), node('FusedBatchNormV3', 'out', ['image', 'scale', 'offset', 'mean', 'variance'], { epsilon: { f: 0.001 }, is_training: flag(false) })],
  BiasAdd: two('BiasAdd', constant('bias', [3])),
  Broadcast: [constant('b', [9, 1, 1]), node('Maximum', 'a', ['image', 'b']), node('SquaredDifference', 'out', ['a', 'b'])],
  AvgPool: one('AvgPool', { ksize: ints(1, 3, 3, 1), ...SAME }),
  MaxPool: one('MaxPool', { ksize: ints(1, 3, 3, 1), ...VALID }),
  Mean: two('Mean', integers('axes', 1, 2), { keep_dims: flag(true) }),
  MeanFromTheEnd: two('Mean', integers('axes', -3, -2)),
  Max: two('Max', integers('axes', 2)),
  Sum: two('Sum', constant('axes', [], [3], 'int32')),
  Conv2D: two('Conv2D', constant('k', [3, 2, 3, 5]), SAME),
  Conv2DDilated: two('Conv2D', constant('k', [3, 3, 3, 5]), { ...VALID, dilations: ints(1, 2, 2, 1) }),
  Conv2DExplicit: two('Conv2D', constant('k', [3, 3, 3, 5]), { ...SAME, padding: text('EXPLICIT'), explicit_paddings: ints(0, 0, 1, 2, 0, 1, 0, 0) }),
  Depthwise: two('DepthwiseConv2dNative', constant('k', [3, 3, 3, 2]), SAME),
  DepthwiseDilated: two('DepthwiseConv2dNative', constant('k', [3, 3, 3, 1]), { ...VALID, dilations: ints(1, 2, 2, 1) }),
  ...Object.fromEntries(['Relu', 'Relu6', 'Elu', 'Sigmoid'].flatMap((activation) => [[`FusedConv${activation}`, fused('_FusedConv2D', activation)], [`FusedDepthwise${activation}`, fused('FusedDepthwiseConv2dNative', activation)]])),
  FusedConvLeakyRelu: fused('_FusedConv2D', 'LeakyRelu'),
  FusedConvPrelu: fused('_FusedConv2D', 'Prelu', SAME, [constant('alpha', [1, 1, 4])]),
  Pad: two('Pad', { ...integers('p', 0, 0, 1, 2, 3, 0, 0, 0), weight: { shape: [4, 2], dtype: 'int32', values: [0, 0, 1, 2, 3, 0, 0, 0] } }),
  PadV2: [constant('p', [4, 2], [0, 0, 1, 1, 1, 1, 0, 0], 'int32'), constant('v', [], [0.5]), node('PadV2', 'out', ['image', 'p', 'v'])],
  MirrorPad: two('MirrorPad', constant('p', [4, 2], [0, 0, 1, 1, 2, 1, 0, 0], 'int32'), { mode: text('REFLECT') }),
  ResizeBilinear: two('ResizeBilinear', integers('size', 5, 12), { half_pixel_centers: flag(true), align_corners: flag(false) }),
  ResizeNearest: two('ResizeNearestNeighbor', integers('size', 5, 12), { half_pixel_centers: flag(true), align_corners: flag(false) }),
  Concat: [node('Relu', 'r', ['image']), integers('axis', 3), node('ConcatV2', 'out', ['image', 'r', 'axis'], { N: { i: '2' } })].map((each) => (each.name === 'axis' ? constant('axis', [], [-1], 'int32') : each)),
  Transpose: two('Transpose', integers('order', 0, 3, 1, 2)),
  Squeeze: [...two('Mean', integers('axes', 1, 2), { keep_dims: flag(true) }).map((each) => (each.name === 'out' ? { ...each, name: 'm' } : each)), node('Squeeze', 'out', ['m'], { squeeze_dims: ints(1, 2) })],
  ExpandDims: two('ExpandDims', constant('axis', [], [-1], 'int32')),
  Reshape: two('Reshape', integers('shape', -1, 243)),
  Flatten: [node('Shape', 'shape', ['image']), integers('from', 0), integers('to', 1), integers('by', 1), node('StridedSlice', 'batch', ['shape', 'from', 'to', 'by'], { shrink_axis_mask: { i: '1' } }), constant('rest', [], [-1], 'int32'), constant('three', [], [3], 'int32'), node('Pack', 'target', ['batch', 'rest', 'three'], { axis: { i: '0' } }), node('Reshape', 'out', ['image', 'target'])],
  MatMul: [integers('shape', -1, 243), node('Reshape', 'flat', ['image', 'shape']), constant('k', [5, 243]), node('MatMul', 'out', ['flat', 'k'], { transpose_a: flag(false), transpose_b: flag(true) })],
  ...Object.fromEntries(['Elu', 'LeakyRelu', 'Relu6'].map((activation) => [`FusedMatMul${activation}`, [integers('shape', -1, 243), node('Reshape', 'flat', ['image', 'shape']), constant('k', [243, 5]), constant('b', [5]), node('_FusedMatMul', 'out', ['flat', 'k', 'b'], { num_args: { i: '1' }, fused_ops: texts('BiasAdd', activation), leakyrelu_alpha: { f: 0.3 } })]])),
};
/** Operations whose shapes the loader does not tell before it lowers them. */
export const UNTOLD: Cases = {
  StridedSlice: [integers('from', 0, 1, 1, 0), integers('to', 1, 8, 9, 3), integers('by', 1, 2, 1, 1), node('StridedSlice', 'out', ['image', 'from', 'to', 'by'], { begin_mask: { i: '9' }, end_mask: { i: '9' } })],
  Split: [constant('axis', [], [3], 'int32'), node('Split', 'parts', ['axis', 'image'], { num_split: { i: '3' } }), node('AddV2', 'out', ['parts:1', 'parts:2'])],
  SpaceToBatch: [integers('block', 3, 3), constant('pads', [2, 2], [0, 0, 0, 0], 'int32'), node('SpaceToBatchND', 'apart', ['image', 'block', 'pads']), node('Relu', 'r', ['apart']), node('BatchToSpaceND', 'out', ['r', 'block', 'pads'])],
  Gather: [integers('which', 2, 0), constant('axis', [], [3], 'int32'), node('GatherV2', 'out', ['image', 'which', 'axis'])],
  AddN: [node('AddN', 'out', ['image', 'image', 'image'], { N: { i: '3' } })],
  LRN: one('LRN', { depth_radius: { i: '2' }, bias: { f: 1 }, alpha: { f: 0.1 }, beta: { f: 0.5 } }),
};

const DOUBLED = { size: { half_pixel_centers: flag(false), align_corners: flag(true) } };
const scalar = (name: string, value: number, dtype: 'float32' | 'int32' = 'int32'): NodeJson => constant(name, [], [value], dtype);
const matrix = (name: string, shape: readonly number[], ...values: readonly number[]): NodeJson => constant(name, shape, values, 'int32');
const TO_INT = { DstT: { type: 'DT_INT32' } };
const TO_FLOAT = { DstT: { type: 'DT_FLOAT' } };
const TO_BOOL = { DstT: { type: 'DT_BOOL' } };
export const einsum = (equation: string, shape: readonly number[]): NodeJson[] => two('Einsum', constant('k', shape), { equation: text(equation), N: { i: '2' } });
const compared = (op: string): NodeJson[] => [constant('level', [3], [0.5, 0, -0.5]), node(op, 'is', ['image', 'level']), node('Cast', 'out', ['is'], TO_FLOAT)];
/** Keras's Dense on a map: shapes are taken apart and put together, positions become rows, and back. */
const denseOnMap: NodeJson[] = [
  constant('k', [3, 5]), constant('b', [5]), integers('free', 0, 1, 2), integers('contracted', 3), integers('units', 5), scalar('zero', 0), integers('none'), integers('order', 0, 1, 2, 3), integers('again', 3, 5),
  node('Shape', 'shape', ['image']), node('GatherV2', 'kept', ['shape', 'free', 'zero']), node('GatherV2', 'inner', ['shape', 'contracted', 'zero']), integers('first', 0),
  node('Prod', 'rows', ['kept', 'first']), node('Prod', 'columns', ['inner', 'first']), node('Pack', 'flat_shape', ['rows', 'columns'], { axis: { i: '0' } }),
  node('Transpose', 'same', ['image', 'order']), node('Reshape', 'flat', ['same', 'flat_shape']), node('Reshape', 'kernel', ['k', 'again']), node('MatMul', 'product', ['flat', 'kernel'], { transpose_a: flag(false), transpose_b: flag(false) }),
  node('ConcatV2', 'out_shape', ['kept', 'units', 'none', 'zero'], { N: { i: '3' } }), node('Reshape', 'back', ['product', 'out_shape']), node('BiasAdd', 'out', ['back', 'b']),
];
/** A dilated convolution as TensorFlow 1 wrote it: 2 rows of padding each side, and what fills the last blocks is cropped. */
const dilated = (op: string, kernel: readonly number[]): NodeJson[] => [
  integers('block', 2, 2), matrix('pads', [2, 2], 2, 3, 2, 3), matrix('crops', [2, 2], 0, 1, 0, 1), constant('k', kernel),
  node('SpaceToBatchND', 'apart', ['image', 'block', 'pads']), node(op, 'conv', ['apart', 'k'], VALID), node('BatchToSpaceND', 'out', ['conv', 'block', 'crops']),
];

/** What else is lowered. */
export const FURTHER: Cases = {
  ...Object.fromEntries(['Ceil', 'Expm1', 'Floor', 'Relu', 'Sign'].map((op) => [op, one(op)])),
  ...Object.fromEntries(['Log', 'Log1p', 'Reciprocal', 'Rsqrt', 'Sqrt'].map((op) => [op, [node('Exp', 'above', ['image']), node(op, 'out', ['above'])]])),
  ...Object.fromEntries(['Add', 'Sub', 'Mul', 'Div', 'RealDiv', 'Minimum', 'FloorDiv', 'FloorMod'].map((op) => [op, two(op, constant('c', [9, 3]))])),
  Pow: [node('Exp', 'above', ['image']), constant('c', [3], [2, 0.5, -1]), node('Pow', 'out', ['above', 'c'])],
  DivNoNan: two('DivNoNan', constant('c', [3], [0, 2, -1])),
  DivNoNanComputed: [node('Relu', 'r', ['image']), node('DivNoNan', 'out', ['image', 'r'])],
  Min: two('Min', integers('axes', 1)),
  Prod: two('Prod', integers('axes', 3), { keep_dims: flag(true) }),
  EuclideanNorm: two('EuclideanNorm', integers('axes', 3), { keep_dims: flag(true) }),
  L2Normalised: [integers('axes', 3), scalar('least', 1e-12, 'float32'), node('Square', 's', ['image']), node('Sum', 'n', ['s', 'axes'], { keep_dims: flag(true) }), node('Maximum', 'm', ['n', 'least']), node('Rsqrt', 'r', ['m']), node('Mul', 'out', ['image', 'r'])],
  CastToWhole: [node('Cast', 'whole', ['image'], TO_INT), node('Cast', 'out', ['whole'], TO_FLOAT)],
  CastToTruth: [node('Relu', 'r', ['image']), node('Cast', 'truth', ['r'], TO_BOOL), node('Cast', 'out', ['truth'], TO_FLOAT)],
  WholeDivision: [node('Cast', 'whole', ['image'], TO_INT), scalar('two', 2), node('RealDiv', 'half', ['whole', 'two']), node('Cast', 'out', ['half'], TO_FLOAT)],
  WholeConstant: [scalar('c', 3), node('Cast', 'real', ['c'], TO_FLOAT), node('Mul', 'out', ['image', 'real'])],
  ...Object.fromEntries(['Greater', 'GreaterEqual', 'Less', 'LessEqual', 'Equal', 'NotEqual'].map((op) => [op, compared(op)])),
  Logical: [scalar('low', -1, 'float32'), scalar('high', 1, 'float32'), node('Greater', 'a', ['image', 'low']), node('Less', 'b', ['image', 'high']), node('LogicalAnd', 'both', ['a', 'b']), node('LogicalNot', 'not', ['both']), node('LogicalOr', 'or', ['not', 'a']), node('Cast', 'out', ['or'], TO_FLOAT)],
  SelectV2: [scalar('zero', 0, 'float32'), constant('c', [3]), node('Greater', 'is', ['image', 'zero']), node('Log', 'l', ['image']), node('SelectV2', 'out', ['is', 'l', 'c'])],
  Select: [scalar('zero', 0, 'float32'), node('Less', 'is', ['image', 'zero']), node('Neg', 'n', ['image']), node('Select', 'out', ['is', 'n', 'image'])],
  FusedConvWithoutActivation: fused('_FusedConv2D', 'Relu').map((each) => (each.name === 'out' ? { ...each, attr: { ...each.attr, fused_ops: texts('BiasAdd') } } : each)),
  FusedMatMulPrelu: [integers('shape', -1, 243), node('Reshape', 'flat', ['image', 'shape']), constant('k', [243, 5]), constant('b', [5]), constant('alpha', [5]), node('_FusedMatMul', 'out', ['flat', 'k', 'b', 'alpha'], { num_args: { i: '2' }, fused_ops: texts('BiasAdd', 'Prelu') })],
  MaxPoolSame: one('MaxPool', { ksize: ints(1, 3, 2, 1), ...SAME }),
  AvgPoolOblong: one('AvgPool', { ksize: ints(1, 2, 3, 1), strides: ints(1, 1, 2, 1), padding: text('SAME') }),
  Conv2DOblong: two('Conv2D', constant('k', [3, 2, 3, 5]), { strides: ints(1, 3, 1, 1), padding: text('SAME'), dilations: ints(1, 1, 1, 1) }),
  Conv2DDilatedSame: two('Conv2D', constant('k', [3, 3, 3, 5]), { strides: ints(1, 1, 1, 1), padding: text('SAME'), dilations: ints(1, 2, 3, 1) }),
  Conv2DBackpropInput: [matrix('shape', [4], 1, 18, 17, 5), constant('k', [3, 3, 5, 3]), node('Conv2DBackpropInput', 'out', ['shape', 'k', 'image'], SAME)],
  Conv2DBackpropInputValid: [matrix('shape', [4], 1, 20, 19, 5), constant('k', [3, 3, 5, 3]), node('Conv2DBackpropInput', 'out', ['shape', 'k', 'image'], { ...SAME, padding: text('VALID') })],
  DilatedOfOldGraphs: dilated('Conv2D', [3, 3, 3, 4]),
  DilatedDepthwiseOfOldGraphs: dilated('DepthwiseConv2dNative', [3, 3, 3, 2]),
  SpaceToBatchPadded: [integers('block', 2, 2), matrix('pads', [2, 2], 1, 0, 0, 1), matrix('crops', [2, 2], 1, 1, 0, 2), node('SpaceToBatchND', 'apart', ['image', 'block', 'pads']), node('Relu', 'r', ['apart']), node('BatchToSpaceND', 'out', ['r', 'block', 'crops'])],
  ResizeBilinearDoubled: [node('Shape', 's', ['image']), integers('from', 1), integers('to', 3), integers('by', 1), node('StridedSlice', 'size', ['s', 'from', 'to', 'by']), scalar('two', 2), node('Mul', 'double', ['size', 'two']), node('ResizeBilinear', 'out', ['image', 'double'], DOUBLED.size)],
  SymmetricPad: two('MirrorPad', matrix('p', [4, 2], 0, 0, 2, 1, 0, 3, 0, 0), { mode: text('SYMMETRIC') }),
  SplitV: [integers('sizes', 1, -1), scalar('axis', -1), node('SplitV', 'parts', ['image', 'sizes', 'axis'], { num_split: { i: '2' } }), node('Sub', 'out', ['parts:1', 'parts'])],
  Unpack: [node('Unpack', 'parts', ['image'], { axis: { i: '3' }, num: { i: '3' } }), node('Pack', 'out', ['parts:2', 'parts', 'parts:1'], { axis: { i: '1' } })],
  IdentityN: [node('Relu', 'r', ['image']), node('IdentityN', 'both', ['image', 'r']), node('Sub', 'out', ['both', 'both:1'])],
  Slice: [integers('from', 0, 2, 0, 1), integers('size', -1, 3, -1, 2), node('Slice', 'out', ['image', 'from', 'size'])],
  StridedSliceBackwards: [integers('from', 0, -1, 7), integers('to', 1, 0, -99), integers('by', 1, -2, -3), node('StridedSlice', 'out', ['image', 'from', 'to', 'by'], { end_mask: { i: '1' } })],
  StridedSliceShrunk: [integers('from', 0, 0, -1), integers('to', 0, 0, 0), integers('by', 1, 1, 1), node('StridedSlice', 'out', ['image', 'from', 'to', 'by'], { begin_mask: { i: '1' }, end_mask: { i: '1' }, ellipsis_mask: { i: '2' }, shrink_axis_mask: { i: '4' } })],
  StridedSliceNewAxis: [integers('from', 0, 0, 2), integers('to', 0, 0, 5), integers('by', 1, 1, 1), node('StridedSlice', 'out', ['image', 'from', 'to', 'by'], { begin_mask: { i: '1' }, end_mask: { i: '1' }, new_axis_mask: { i: '2' } })],
  GatherOne: [scalar('which', 1), scalar('axis', 3), node('GatherV2', 'out', ['image', 'which', 'axis'])],
  GatherTable: [matrix('which', [2, 2], 0, 8, 3, 3), scalar('axis', 1), node('GatherV2', 'out', ['image', 'which', 'axis'])],
  ReverseV2: two('ReverseV2', integers('axes', 1, -1)),
  Tile: two('Tile', integers('times', 1, 2, 1, 3)),
  BroadcastTo: [constant('c', [3]), integers('shape', 1, 9, 9, 3), node('BroadcastTo', 'wide', ['c', 'shape']), node('ConcatV2', 'out', ['image', 'wide', 'axis'], { N: { i: '2' } })].flatMap((each) => (each.name === 'out' ? [scalar('axis', 1), each] : [each])),
  Fill: [node('Shape', 's', ['image']), scalar('half', 0.5, 'float32'), node('Fill', 'f', ['s', 'half']), node('Mul', 'out', ['f', 'image'])],
  LikeOnes: [node('OnesLike', 'o', ['image']), node('ZerosLike', 'z', ['image']), node('Sub', 's', ['o', 'image']), node('AddV2', 'out', ['s', 'z'])],
  Range: [scalar('from', 2), scalar('to', -1), scalar('by', -1), node('Range', 'which', ['from', 'to', 'by']), scalar('axis', 3), node('GatherV2', 'out', ['image', 'which', 'axis'])],
  DepthToSpace: [constant('k', [1, 1, 3, 8]), node('Conv2D', 'c', ['image', 'k'], VALID), node('DepthToSpace', 'out', ['c'], { block_size: { i: '2' }, data_format: text('NHWC') })],
  ConstantExpression: [constant('variance', [3], [1, 2, 0.5]), constant('gamma', [3]), scalar('epsilon', 0.001, 'float32'), constant('mean', [3]), node('AddV2', 'v', ['variance', 'epsilon']), node('Rsqrt', 'r', ['v']), node('Mul', 'scale', ['r', 'gamma']), node('Mul', 'scaled', ['image', 'scale']), node('Mul', 'shift', ['mean', 'scale']), node('Sub', 'out', ['scaled', 'shift'])],
  KernelScaled: [constant('k', [3, 3, 3, 4]), constant('scale', [4]), node('Mul', 'scaled', ['k', 'scale']), node('Conv2D', 'out', ['image', 'scaled'], SAME)],
  ConstantsOnlyEnginesCompute: [constant('c', [2, 3]), node('Softmax', 's', ['c']), integers('axes', 0), node('Sum', 't', ['s', 'axes']), node('Mul', 'out', ['image', 't'])],
  DenseOnMap: denseOnMap,
  BatchMatMul: [constant('k', [3, 5]), node('BatchMatMulV2', 'out', ['image', 'k'], { adj_x: flag(false), adj_y: flag(false) })],
  Attention: [node('BatchMatMulV2', 'scores', ['image', 'image'], { adj_x: flag(false), adj_y: flag(true) }), node('Softmax', 'shares', ['scores']), node('BatchMatMulV2', 'out', ['shares', 'image'])],
  EinsumDense: einsum('bhwc,cd->bhwd', [3, 5]),
  EinsumHeads: einsum('bhwc,cnd->bhwnd', [3, 2, 4]),
  EinsumJoined: einsum('bhwc,wcd->bhd', [9, 3, 4]),
  EinsumReordered: einsum('bhwc,dc->bdhw', [5, 3]),
  EinsumAttention: [node('Relu', 'r', ['image']), node('Einsum', 'out', ['image', 'r'], { equation: text('bqnc,bknc->bnqk'), N: { i: '2' } })],
};
