/** Activations: as layers of their own, and as the names and objects in the configuration of others. */
import type { Elementwise, PlainFunction } from '../network/network.js';
import { LayerConfig, show } from './layer-config.js';
import type { LayerUse } from './layer-use.js';

/** What an activation is in the network: a function of one number, or nodes. */
type Activation = Elementwise | ((use: LayerUse, x: string) => string);

const RELU6: Elementwise = { fn: 'clip', min: 0, max: 6 };

const PLAIN = new Map<string, PlainFunction>([
  ['relu', 'relu'], ['sigmoid', 'sigmoid'], ['tanh', 'tanh'], ['selu', 'selu'], ['softplus', 'softplus'], ['softsign', 'softsign'], ['swish', 'swish'], ['silu', 'swish'], ['hardswish', 'hardSwish'], ['hardsilu', 'hardSwish'],
  ['gelu', 'gelu'], ['gelunew', 'geluTanh'], ['exponential', 'exp'], ['exp', 'exp'], ['mish', 'mish'],
]);

/** By their names without `_`, in small letters. `hard_sigmoid` is that of Keras 2; `keras3-topology.ts` writes down that of Keras 3. */
const OTHERS = new Map<string, Activation>([
  ['relu6', RELU6],
  ['elu', { fn: 'elu', alpha: 1 }],
  ['celu', { fn: 'elu', alpha: 1 }],
  ['leakyrelu', { fn: 'leakyRelu', alpha: 0.2 }],
  ['hardsigmoid', { fn: 'hardSigmoid', alpha: 0.2, beta: 0.5 }],
  ['hardtanh', { fn: 'clip', min: -1, max: 1 }],
  ['softmax', (use, x) => softmax(use, x, { axis: use.shape(x).length - 1, log: false })],
  ['logsoftmax', (use, x) => softmax(use, x, { axis: use.shape(x).length - 1, log: true })],
  ['logsigmoid', (use, x) => applyAll(use, x, 'neg', 'softplus', 'neg')],
  ['tanhshrink', (use, x) => use.add({ op: 'binary', fn: 'sub', inputs: [x, use.add({ op: 'elementwise', apply: { fn: 'tanh' }, inputs: [x] }, 'tanh')] })],
]);

const LAYERS = new Set(['Activation', 'ReLU', 'LeakyReLU', 'ELU', 'ThresholdedReLU', 'Softmax', 'HardSigmoid']);

/**
 * The result of an activation as a configuration names it: `relu`, or an object of a class and its configuration.
 *
 * @throws EisError EIS_MODEL_FILE when it is not known
 */
export function activate(use: LayerUse, x: string, named: unknown): string {
  return applyActivation(use, x, resolve(use, named, 0));
}

/** That of the layer's own configuration, for a node to compute along with the layer, where it is a function of one number. */
export function fusedActivation(use: LayerUse): { readonly activation?: Elementwise } {
  const activation = resolve(use, use.config.raw('activation'), 0);
  return activation === undefined || typeof activation === 'function' ? {} : { activation };
}

/** What is left of the layer's own activation after `fusedActivation` was computed along. */
export function unfusedActivation(use: LayerUse, x: string): string {
  const activation = resolve(use, use.config.raw('activation'), 0);
  return typeof activation === 'function' ? activation(use, x) : x;
}

/** A layer that is an activation. */
export function lowerActivation(use: LayerUse): string {
  return applyActivation(use, use.input, ofLayer(use, { className: use.className, config: use.config, depth: 0 }));
}

function applyActivation(use: LayerUse, x: string, activation: Activation | undefined): string {
  if (activation === undefined) return x;
  return typeof activation === 'function' ? activation(use, x) : use.add({ op: 'elementwise', apply: activation, inputs: [x] });
}

function resolve(use: LayerUse, named: unknown, depth: number): Activation | undefined {
  if (named === undefined || named === null || named === 'linear') return undefined;
  const refuse = (): never => use.fail(`its activation ${show(named)} is not known.`, 'Set "layer" to a layer below it.');
  if (typeof named === 'string') {
    const key = named.replaceAll('_', '').toLowerCase();
    const fn = PLAIN.get(key);
    return fn ? { fn } : (OTHERS.get(key) ?? refuse());
  }
  const { class_name: className, config } = named as { class_name?: unknown; config?: unknown };
  if (depth > 3) return refuse();
  if (className === 'function' && typeof config === 'string') return resolve(use, config, depth + 1);
  if (typeof className !== 'string' || !LAYERS.has(className) || typeof config !== 'object') return refuse();
  return ofLayer(use, { className, config: new LayerConfig((config ?? {}) as Record<string, unknown>, (detail) => use.fail(`of its activation: ${detail}`)), depth });
}

function ofLayer(use: LayerUse, { className, config, depth }: { readonly className: string; readonly config: LayerConfig; readonly depth: number }): Activation | undefined {
  switch (className) {
    case 'Activation': return resolve(use, config.raw('activation'), depth + 1);
    case 'ReLU': return rectifier(config);
    case 'LeakyReLU': return { fn: 'leakyRelu', alpha: config.number(config.raw('alpha') === undefined ? 'negative_slope' : 'alpha', 0.3) };
    case 'ELU': return { fn: 'elu', alpha: config.number('alpha', 1) };
    case 'ThresholdedReLU': return { fn: 'thresholdedRelu', theta: config.number('theta', 1) };
    case 'HardSigmoid': return { fn: 'hardSigmoid', alpha: config.number('alpha'), beta: config.number('beta') };
    default: return (inner, x) => softmax(inner, x, { axis: config.axis('axis', inner.shape(x).length, -1), log: false });
  }
}

/** x ≥ max ? max : x ≥ threshold ? x : slope · (x − threshold) */
function rectifier(config: LayerConfig): Activation {
  const [slope, threshold] = [config.number('negative_slope', 0), config.number('threshold', 0)];
  const max = config.raw('max_value') === undefined ? Infinity : config.number('max_value');
  if (slope === 0 && threshold === 0) return max === Infinity ? { fn: 'relu' } : { fn: 'clip', min: 0, max };
  if (threshold === 0 && max === Infinity) return { fn: 'leakyRelu', alpha: slope };
  return (use, x) => {
    const above = use.add({ op: 'elementwise', apply: { fn: 'thresholdedRelu', theta: threshold }, inputs: [x] }, 'above');
    const clipped = use.add({ op: 'elementwise', apply: { fn: 'clip', min: 0, max }, inputs: [above] }, 'clipped');
    if (slope === 0) return clipped;
    const shifted = use.add({ op: 'binary', fn: 'sub', inputs: [x, use.constant(threshold)] }, 'shifted');
    const below = use.add({ op: 'elementwise', apply: { fn: 'clip', min: -Infinity, max: 0 }, inputs: [shifted] }, 'below');
    const sloped = use.add({ op: 'binary', fn: 'mul', inputs: [below, use.constant(slope)] }, 'sloped');
    return use.add({ op: 'binary', fn: 'add', inputs: [clipped, sloped] });
  };
}

function softmax(use: LayerUse, x: string, { axis, log }: { readonly axis: number; readonly log: boolean }): string {
  return use.add({ op: 'softmax', axis, log, inputs: [x] });
}

function applyAll(use: LayerUse, x: string, ...functions: readonly PlainFunction[]): string {
  return functions.reduce((value, fn) => use.add({ op: 'elementwise', apply: { fn }, inputs: [value] }, fn), x);
}
