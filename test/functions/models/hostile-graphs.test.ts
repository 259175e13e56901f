/** Graphs that no converter wrote, or that hold what a network cannot express: each is refused in words, soon. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isEisError } from '../../../common/errors.js';
import { ARITHMETIC, CLASSIFYING, CONVOLVING, ELEMENTWISE, MULTIPLYING, NORMALISING, RESHAPING } from '../../../functions/models/graph-ops.js';
import { REDUCING } from '../../../functions/models/graph-shapes.js';
import { lowerGraph } from '../../../functions/models/lower-graph.js';
import type { GraphNode, NamedWeight } from '../../../functions/models/model.js';
import { inferShapes } from '../../../functions/network/shapes.js';
import { FURTHER, OPERATIONS, SAME, UNTOLD, VALID } from '../support/graph-operations.js';
import { graphOf, lower, SIZE, weightsOf } from '../support/lowered-graph.js';
import { constant, flag, graphModel, image, integers, ints, node, text, texts, type NodeJson } from '../support/tiny-graph.js';

const INPUT = { height: SIZE, width: SIZE, channels: 3 } as const;
const ALL = { ...OPERATIONS, ...UNTOLD, ...FURTHER };
const kernel = constant('k', [3, 3, 3, 4]);
const huge = (name: string, ...values: readonly number[]): NodeJson => integers(name, ...values);
const scalar = (name: string, value: number): NodeJson => constant(name, [], [value], 'int32');

describe('a graph', () => {
  it.each<[string, readonly NodeJson[], RegExp]>([
    ['with an operation that is not known', [node('FancyAttention', 'path/out', ['image']), node('Relu', 'out', ['path/out'])], /"path\/out" is of the operation FancyAttention, which cannot be computed here: .*Set "layer" to one below it, or convert the model without it\.$/],
    ['with an operation named as what every object has', [node('constructor', 'out', ['image'])], /operation constructor/],
    ['with an operation of a name without end', [node('X'.repeat(9_000), 'out', ['image'])], /operation X{60}…, which/],
    ['that asks which number is the largest', [scalar('axis', 3), node('ArgMax', 'a', ['image', 'axis']), node('Cast', 'out', ['a'], { DstT: { type: 'DT_FLOAT' } })], /"a" is of the operation ArgMax/],
    ['whose kernel takes other channels', [constant('k', [3, 3, 5, 4]), node('Conv2D', 'out', ['image', 'k'], SAME)], /"out" is of the operation Conv2D, .*its kernel takes 5 channels and its input has 3/],
    ['whose bias is of another length', [kernel, constant('b', [5]), node('_FusedConv2D', 'out', ['image', 'k', 'b'], { ...SAME, fused_ops: texts('BiasAdd') })], /its bias is of the shape \[5\] where it gives 4 channels/],
    ['whose fused operation is not known', [kernel, node('_FusedConv2D', 'out', ['image', 'k'], { ...SAME, fused_ops: texts('Magic') })], /"Magic" is fused into it/],
    ['whose fused bias is not there', [kernel, node('_FusedConv2D', 'out', ['image', 'k'], { ...SAME, fused_ops: texts('BiasAdd') })], /no argument for the BiasAdd/],
    ['that does not say its strides', [kernel, node('Conv2D', 'out', ['image', 'k'], { padding: text('SAME') })], /its attribute strides is to be \[1, rows, columns, 1\]/],
    ['whose stride is nothing', [kernel, node('Conv2D', 'out', ['image', 'k'], { ...SAME, strides: ints(1, 0, 0, 1) })], /its attribute strides/],
    ['that steps over images', [kernel, node('Conv2D', 'out', ['image', 'k'], { ...SAME, strides: ints(2, 1, 1, 1) })], /its attribute strides/],
    ['whose padding is no word for one', [kernel, node('Conv2D', 'out', ['image', 'k'], { ...SAME, padding: text('LOTS') })], /its attribute padding is to be SAME/],
    ['whose padding is vast', [kernel, node('Conv2D', 'out', ['image', 'k'], { ...SAME, padding: text('EXPLICIT'), explicit_paddings: ints(0, 0, 1e9, 0, 0, 0, 0, 0) })], /at most 4096/],
    ['whose dilation is vast', [kernel, node('Conv2D', 'out', ['image', 'k'], { ...SAME, dilations: ints(1, 1e6, 1, 1) })], /at most 4096/],
    ['with channels first', [kernel, node('Conv2D', 'out', ['image', 'k'], { ...SAME, data_format: text('NCHW') })], /its data_format is "NCHW"/],
    ['that convolves a vector', [integers('shape', 1, 243), node('Reshape', 'flat', ['image', 'shape']), kernel, node('Conv2D', 'out', ['flat', 'k'], SAME)], /takes images .* gets the shape \[1,243\]/],
    ['whose epsilon is none', [...['s', 'o', 'm', 'v'].map((name) => constant(name, [3])), node('FusedBatchNormV3', 'out', ['image', 's', 'o', 'm', 'v'], { epsilon: { f: 'NaN' } })], /its attribute epsilon is to be a number/],
    ['whose pool is padded more than it is large', [node('MaxPool', 'out', ['image'], { ksize: ints(1, 1, 1, 1), ...VALID, padding: text('EXPLICIT'), explicit_paddings: ints(0, 0, 2, 0, 0, 0, 0, 0) })], /padding is larger than its window/],
    ['whose axes are computed from the image', [node('Mean', 'out', ['image', 'image'])], /its input "image" is to be a constant, and is computed from the image/],
    ['whose axis is not there', [integers('axes', 4), node('Mean', 'out', ['image', 'axes'])], /along axis 4 of a tensor that has 4/],
    ['whose axes are halves', [constant('axes', [1], [0.5]), node('Mean', 'out', ['image', 'axes'])], /its constant "axes" is to be of whole numbers/],
    ['that reshapes to another number of numbers', [integers('shape', -1, 7), node('Reshape', 'out', ['image', 'shape'])], /it gives \[1,9,9,3\] the shape \[-1,7\]/],
    ['that leaves two sizes open', [integers('shape', -1, -1), node('Reshape', 'out', ['image', 'shape'])], /the shape \[-1,-1\]/],
    ['that repeats its image without end', [huge('times', 1, 1e6, 1e6, 1), node('Tile', 'out', ['image', 'times'])], /more than 2 GB/],
    ['that fills a vast tensor', [huge('size', 1, 1e4, 1e4), constant('one', [], [1]), node('Fill', 'f', ['size', 'one']), node('AddV2', 'out', ['image', 'f'])], /more numbers than a model of its size has/],
    ['that counts without end', [scalar('a', 0), scalar('b', 2e9), scalar('c', 1), node('Range', 'r', ['a', 'b', 'c']), node('Mul', 'out', ['image', 'r'])], /more numbers than/],
    ['that counts in steps of nothing', [scalar('a', 0), scalar('b', 9), scalar('c', 0), node('Range', 'r', ['a', 'b', 'c']), node('Mul', 'out', ['image', 'r'])], /which never ends/],
    ['that resizes to a vast image', [huge('size', 1e5, 1e5), node('ResizeBilinear', 'out', ['image', 'size'])], /more than 2 GB/],
    ['that picks what is not there', [integers('which', 3), scalar('axis', 3), node('GatherV2', 'out', ['image', 'which', 'axis'])], /picks entries that are not there/],
    ['that slices what is not there', [integers('from', 0, 8, 0, 0), integers('size', 1, 4, 9, 3), node('Slice', 'out', ['image', 'from', 'size'])], /"out" is of the operation Slice/],
    ['that takes a part that a split does not give', [scalar('axis', 3), node('Split', 'parts', ['axis', 'image'], { num_split: { i: '3' } }), node('Relu', 'out', ['parts:3'])], /it takes "parts:3", and what that node gives beyond its first 3 results/],
    ['that takes a second result of an operation of one', [node('Relu', 'r', ['image']), node('Relu', 'out', ['r:1'])], /it takes "r:1"/],
    ['that splits unevenly', [scalar('axis', 3), node('Split', 'parts', ['axis', 'image'], { num_split: { i: '2' } }), node('Relu', 'out', ['parts'])], /"parts" is of the operation Split/],
    ['that splits into more than there is', [scalar('axis', 3), integers('sizes', 1, 9), node('SplitV', 'parts', ['image', 'sizes', 'axis']), node('Relu', 'out', ['parts:1'])], /"parts" is of the operation SplitV/],
    ['with an Einsum that is no product of matrices', [constant('k', [3]), node('Einsum', 'out', ['image', 'k'], { equation: text('bhwc,c->bhwc') })], /"bhwc,c->bhwc" is no product of matrices/],
    ['with an Einsum without an equation', [constant('k', [3]), node('Einsum', 'out', ['image', 'k'])], /its equation ""/],
    ['that multiplies matrices that do not fit', [constant('k', [4, 5]), node('BatchMatMulV2', 'out', ['image', 'k'])], /its weights take 4 numbers and its input has 3/],
    ['whose matrix is not transposed', [constant('k', [5, 243]), integers('shape', -1, 243), node('Reshape', 'flat', ['image', 'shape']), node('MatMul', 'out', ['flat', 'k'], { transpose_b: flag(false) })], /its weights take 5 numbers/],
    ['that enlarges to another size', [integers('shape', 1, 40, 40, 4), constant('k', [3, 3, 4, 3]), node('Conv2DBackpropInput', 'out', ['shape', 'k', 'image'], SAME)], /it enlarges \[1,9,9,3\] to 40×40/],
    ['that mirrors more than there is', [constant('p', [4, 2], [0, 0, 9, 0, 0, 0, 0, 0], 'int32'), node('MirrorPad', 'out', ['image', 'p'], { mode: text('REFLECT') })], /mirrors more/],
    ['that makes text of numbers', [node('Cast', 'out', ['image'], { DstT: { type: 'DT_STRING' } })], /numbers of the type "DT_STRING"/],
    ['whose constant has no numbers', [constant('c', [0], []), node('AddV2', 'out', ['image', 'c'])], /"out" is of the operation AddV2/],
    ['that takes too little', [node('Maximum', 'out', ['image'])], /it takes 1 inputs, which are too few/],
    ['whose slice says too much', [integers('from', 0, 0, 0, 0), integers('size', 1, 1, 1, 1, 1), node('Slice', 'out', ['image', 'from', 'size'])], /lists of 4 and 5 numbers/],
    ['whose embedding is computed of constants', [constant('c', [2, 3]), node('Softmax', 'out', ['c'])], /"out" is not computed from the image/],
    ['whose embedding is a constant', [constant('c', [3]), node('Relu', 'out', ['c'])], /"out" is not computed from the image/],
  ])('%s is refused', (_what, nodes, words) => {
    expect(() => lower(nodes)).toThrow(expect.objectContaining({ code: 'EIS_MODEL_FILE', message: expect.stringMatching(words) as string }) as Error);
  });
});

// ── Anything else ───────────────────────────────────────────────────────────────────────────────────────────────────

interface Graph {
  readonly nodes: readonly GraphNode[];
  readonly weights: readonly NamedWeight[];
}

const GRAPHS: readonly Graph[] = Object.values(ALL).map((nodes) => {
  const all = [image([-1, SIZE, SIZE, 3]), ...nodes];
  return { nodes: graphOf(graphModel(all)).nodes, weights: weightsOf(all) };
});
const OPS = [...new Set(GRAPHS.flatMap(({ nodes }) => nodes.map(({ op }) => op)))];
const NAMES = [...new Set(GRAPHS.flatMap(({ nodes }) => nodes.map(({ name }) => name)))];
const ATTRIBUTES = [...new Set(GRAPHS.flatMap(({ nodes }) => nodes.flatMap(({ attr }) => Object.keys(attr))))];

const wild = fc.oneof(fc.integer({ min: -4, max: 12 }), fc.constantFrom(0, 1e3, 1e6, 2 ** 31 - 1, -(2 ** 31), 1e18, 1e300, NaN, Infinity, -Infinity, 0.5));
const attribute = fc.oneof(
  wild.map((i) => ({ i: String(i) })), wild.map((f) => ({ f })), fc.boolean().map((b) => ({ b })), fc.constant({}),
  fc.constantFrom('SAME', 'VALID', 'EXPLICIT', 'REFLECT', 'NHWC', 'NCHW', 'bhwc,cd->bhwd', 'a,a->', 'ab...,b...c->a...', '').map(text), fc.array(fc.constantFrom('BiasAdd', 'Relu', 'Prelu', 'FusedBatchNorm', 'Add', 'x')).map((ops) => texts(...ops)),
  fc.array(wild, { maxLength: 9 }).map((values) => ints(...values)), fc.constantFrom('DT_FLOAT', 'DT_INT32', 'DT_BOOL', 'DT_STRING').map((type) => ({ type })),
);
const change = fc.oneof(
  fc.record({ kind: fc.constant('op' as const), at: fc.nat(), op: fc.constantFrom(...OPS) }),
  fc.record({ kind: fc.constant('attribute' as const), at: fc.nat(), name: fc.constantFrom(...ATTRIBUTES), value: fc.option(attribute) }),
  fc.record({ kind: fc.constant('inputs' as const), at: fc.nat(), inputs: fc.array(fc.tuple(fc.constantFrom(...NAMES), fc.constantFrom('', ':1', ':7', ':x')).map((parts) => parts.join('')), { maxLength: 5 }) }),
  fc.record({ kind: fc.constant('swap' as const), at: fc.nat(), by: fc.nat() }),
  fc.record({ kind: fc.constant('values' as const), at: fc.nat(), values: fc.array(wild, { minLength: 1, maxLength: 9 }) }),
  fc.record({ kind: fc.constant('weight' as const), at: fc.nat(), shape: fc.array(fc.constantFrom(0, 1, 2, 3, 4, 9, 81, 243), { maxLength: 9 }), dtype: fc.constantFrom('float32' as const, 'int32' as const, 'bool' as const) }),
);
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function changed({ nodes, weights }: Graph, { at, ...how }: Change): Graph {
  const place = at % nodes.length;
  const put = (changes: Partial<GraphNode>): Graph => ({ weights, nodes: nodes.with(place, { ...nodes[place]!, ...changes }) });
  const { attr, inputs } = nodes[place]!;
  if (how.kind === 'op') return put({ op: how.op });
  if (how.kind === 'attribute') return put({ attr: how.value === null ? Object.fromEntries(Object.entries(attr).filter(([name]) => name !== how.name)) : { ...attr, [how.name]: how.value } });
  if (how.kind === 'inputs') return put({ inputs: how.inputs });
  if (how.kind === 'swap') return put({ inputs: inputs.length > 0 ? inputs.with(how.by % inputs.length, nodes[how.by % nodes.length]!.name) : [] });
  if (weights.length === 0) return { nodes, weights };
  const weight = weights[at % weights.length]!;
  if (how.kind === 'values') return { nodes, weights: weights.with(at % weights.length, { ...weight, values: weight.values.map((_, i) => how.values[i % how.values.length]!) }) };
  const count = Math.min(1e5, how.shape.reduce<number>((a, b) => a * b, 1));
  return { nodes, weights: weights.with(at % weights.length, { ...weight, shape: how.shape, dtype: how.dtype, values: Float32Array.from({ length: count }, (_, i) => weight.values[i % Math.max(1, weight.values.length)] ?? 0) }) };
}

describe('any graph', () => {
  it('becomes a network whose shapes fit, or is refused by name', () => {
    const outcomes = { network: 0, refused: 0 };
    fc.assert(
      fc.property(fc.constantFrom(...GRAPHS), fc.array(change, { minLength: 1, maxLength: 4 }), (graph, changes) => {
        const { nodes, weights } = changes.reduce(changed, graph);
        try {
          inferShapes(lowerGraph({ kind: 'graph', nodes, inputName: 'image', outputName: 'out' }, weights, { input: INPUT, file: 'x' }));
          outcomes.network++;
        } catch (error) {
          if (!isEisError(error) || error.code !== 'EIS_MODEL_FILE') throw error;
          outcomes.refused++;
        }
      }),
      { numRuns: Number(process.env['EIS_FUZZ_RUNS'] ?? 2_000), seed: 7 },
    );
    expect(Math.min(outcomes.network, outcomes.refused)).toBeGreaterThan(200);
  });

  it('is lowered in no longer than its size takes, however often it names a constant', () => {
    const nodes = [constant('c', [1_000, 200]), integers('none'), ...Array.from({ length: 5_000 }, (_, i) => node('Sum', `s${i}`, ['c', 'axes'])), integers('axes', 0, 1), node('AddN', 'all', Array.from({ length: 5_000 }, (_, i) => `s${i}`)), node('AddV2', 'out', ['image', 'all'])];
    const start = performance.now();
    expect(() => lower(nodes)).toThrow(/more numbers than a model of its size has/);
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

it('no operation that the loader speaks of is unknown', () => {
  const ops = [...ELEMENTWISE, ...ARITHMETIC, ...NORMALISING, ...CONVOLVING, ...MULTIPLYING, ...CLASSIFYING, ...RESHAPING, ...REDUCING].filter((op) => op !== 'Flatten');
  for (const op of ops) expect(() => lower([node('Relu', 'r', ['image']), node(op, 'n', ['r']), node('Relu', 'out', ['n'])]), op).not.toThrow(/are not known to need it/);
  expect(() => lower([node('Flatten', 'out', ['image'])])).toThrow(/are not known to need it/);
});
