/**
 * The weights that layers of Keras have, in the order in which they have them (trainable ones first), by the names that
 * Keras 2 and TF.js give them; and what a topology tells of their shapes.
 */
import type { LayerJson } from './model.js';

export interface LayerVariable {
  readonly name: string;
  /** Null: the topology does not tell. */
  readonly shape: readonly (number | null)[];
}

type Config = LayerJson['config'];

const CONVOLUTION = (config: Config): LayerVariable[] => [{ name: 'kernel', shape: [...sides(config), null, whole(config['filters'])] }, ...bias(config, config['filters'])];
const TRANSPOSED = (config: Config): LayerVariable[] => [{ name: 'kernel', shape: [...sides(config), whole(config['filters']), null] }, ...bias(config, config['filters'])];
const DEPTHWISE = (config: Config): LayerVariable[] => [{ name: 'depthwise_kernel', shape: [...sides(config), null, whole(config['depth_multiplier'] ?? 1)] }, ...bias(config, undefined)];
const SEPARABLE = (config: Config): LayerVariable[] => [
  { name: 'depthwise_kernel', shape: [...sides(config), null, whole(config['depth_multiplier'] ?? 1)] },
  { name: 'pointwise_kernel', shape: [1, 1, null, whole(config['filters'])] },
  ...bias(config, config['filters']),
];
const SCALED = (config: Config): LayerVariable[] => [...(config['scale'] === false ? [] : [{ name: 'gamma', shape: [null] }]), ...(config['center'] === false ? [] : [{ name: 'beta', shape: [null] }])];

const VARIABLES: Readonly<Record<string, (config: Config) => LayerVariable[]>> = {
  Conv2D: CONVOLUTION,
  Conv2DTranspose: TRANSPOSED,
  DepthwiseConv2D: DEPTHWISE,
  SeparableConv2D: SEPARABLE,
  Dense: (config) => [{ name: 'kernel', shape: [null, whole(config['units'])] }, ...bias(config, config['units'])],
  BatchNormalization: (config) => [...SCALED(config), { name: 'moving_mean', shape: [null] }, { name: 'moving_variance', shape: [null] }],
  LayerNormalization: SCALED,
  GroupNormalization: SCALED,
  PReLU: () => [{ name: 'alpha', shape: [] }],
  Normalization: (config) => (config['mean'] === null || config['mean'] === undefined ? [{ name: 'mean', shape: [] }, { name: 'variance', shape: [] }] : []),
};

/** Shapes of which nothing is known, not even how many sizes they have. */
const OPEN = new Set(['alpha', 'mean', 'variance']);

/** The weights of a layer; none of one that has none, or whose class is not known. */
export function variablesOf({ class_name, config }: LayerJson): readonly LayerVariable[] {
  return Object.hasOwn(VARIABLES, class_name) ? (VARIABLES[class_name] as (config: Config) => LayerVariable[])(config) : [];
}

/** Whether a weight of this shape can be that one. */
export function fits({ name, shape }: LayerVariable, actual: readonly number[]): boolean {
  if (OPEN.has(name)) return true;
  return shape.length === actual.length && shape.every((size, i) => size === null || size === actual[i]);
}

function bias(config: Config, size: unknown): LayerVariable[] {
  return config['use_bias'] === false ? [] : [{ name: 'bias', shape: [whole(size)] }];
}

function sides({ kernel_size: size }: Config): (number | null)[] {
  return Array.isArray(size) && size.length === 2 ? size.map(whole) : [whole(size), whole(size)];
}

function whole(value: unknown): number | null {
  return Number.isInteger(value) ? (value as number) : null;
}
