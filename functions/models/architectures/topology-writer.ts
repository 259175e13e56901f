/**
 * Writes the topology of a network layer by layer, as Keras 2 writes it down: what the architectures of
 * `tf.keras.applications` are told in, whose published files hold weights alone. Images are square.
 */
import type { LayerJson } from '../model.js';
import { sortLikeKeras } from './keras-order.js';
import type { WeightedLayer, WrittenLayer } from './weighted-layer.js';
import { pair, slide, sliding, type Filtering, type Named, type Padding, type Sliding } from './windows.js';

/** What a layer gives: `size` rows and columns of `channels` numbers. A vector has size 1. */
export interface Feature {
  readonly layer: string;
  readonly size: number;
  readonly channels: number;
}

export interface Architecture {
  readonly topology: LayerJson;
  /** The layers with weights, in the order of the topology, which is that of Keras's files. */
  readonly weighted: readonly WeightedLayer[];
}

export interface WriterOptions {
  readonly name: string;
  /** Pixels of the square input. */
  readonly inputSize: number;
  /** The number of the first layer that is named by a counter: 0 is written as none. Before TensorFlow's Keras it was 1. */
  readonly firstCount?: number;
}

export class TopologyWriter {
  readonly image: Feature;
  readonly #layers: WrittenLayer[] = [];
  readonly #counts = new Map<string, number>();
  readonly #options: WriterOptions;

  constructor(options: WriterOptions) {
    const { inputSize } = options;
    this.#options = options;
    this.image = { layer: 'input_1', size: inputSize, channels: 3 };
    const config = { batch_input_shape: [null, inputSize, inputSize, 3], dtype: 'float32', sparse: false, ragged: false, name: 'input_1' };
    this.#layers.push({ name: 'input_1', weights: [], inputs: [], json: { class_name: 'InputLayer', config, name: 'input_1', inbound_nodes: [] } });
  }

  conv(x: Feature, options: Filtering): Feature {
    const { name, kernel, filters, bias = true, activation = 'linear' } = options;
    const layer = this.#add('Conv2D', [x], { name, config: { filters, ...sliding(options), groups: 1, activation, use_bias: bias }, weights: { kernel: [...pair(kernel), x.channels, filters], ...(bias && { bias: [filters] }) } });
    return { layer, size: slide(x.size, options), channels: filters };
  }

  depthwise(x: Feature, options: Sliding): Feature {
    const { name, kernel, bias = true } = options;
    const config = { ...sliding(options), depth_multiplier: 1, activation: 'linear', use_bias: bias };
    const layer = this.#add('DepthwiseConv2D', [x], { name, config, weights: { depthwise_kernel: [...pair(kernel), x.channels, 1], ...(bias && { bias: [x.channels] }) } });
    return { layer, size: slide(x.size, options), channels: x.channels };
  }

  separable(x: Feature, options: Filtering): Feature {
    const { name, kernel, filters, bias = true, activation = 'linear' } = options;
    const config = { filters, ...sliding(options), depth_multiplier: 1, activation, use_bias: bias };
    const layer = this.#add('SeparableConv2D', [x], { name, config, weights: { depthwise_kernel: [...pair(kernel), x.channels, 1], pointwise_kernel: [1, 1, x.channels, filters], ...(bias && { bias: [filters] }) } });
    return { layer, size: slide(x.size, options), channels: filters };
  }

  dense(x: Feature, options: Named & { readonly units: number; readonly activation: string }): Feature {
    const { name, units, activation } = options;
    const layer = this.#add('Dense', [x], { name, config: { units, activation, use_bias: true }, weights: { kernel: [x.channels, units], bias: [units] } });
    return { layer, size: 1, channels: units };
  }

  batchNorm(x: Feature, { name, epsilon = 1e-3, momentum = 0.99, center = true, scale = true }: Named & { readonly epsilon?: number; readonly momentum?: number; readonly center?: boolean; readonly scale?: boolean }): Feature {
    const shape = [x.channels];
    const weights = { ...(scale && { gamma: shape }), ...(center && { beta: shape }), moving_mean: shape, moving_variance: shape };
    return { ...x, layer: this.#add('BatchNormalization', [x], { name, config: { axis: 3, momentum, epsilon, center, scale }, weights }) };
  }

  activation(x: Feature, activation: string, name?: string): Feature {
    return this.#keep('Activation', x, { name, config: { activation } });
  }

  /** @param options.max above which it is cut off; 6 for ReLU6 */
  relu(x: Feature, { name, max }: Named & { readonly max?: number }): Feature {
    return this.#keep('ReLU', x, { name, config: { max_value: max ?? null, negative_slope: 0, threshold: 0 } });
  }

  /**
   * x · scale + offset, each one number or one a channel.
   *
   * @param options.operation what Keras has there in place of a layer `Rescaling`, and names it after: `tf.math.multiply`
   */
  rescale(x: Feature, { operation = 'Rescaling', scale = 1, offset = 0 }: { readonly operation?: string; readonly scale?: number | readonly number[]; readonly offset?: number }): Feature {
    return this.#keep('Rescaling', x, { name: this.#count(operation), config: { scale, offset } });
  }

  /** @param noise of the shape `[null, 1, 1, 1]` an image is dropped whole */
  dropout(x: Feature, { name, rate, noise = null }: Named & { readonly rate: number; readonly noise?: readonly (number | null)[] | null }): Feature {
    return this.#keep('Dropout', x, { name, config: { rate, noise_shape: noise, seed: null } });
  }

  /** Zeros around the image: so many above and to the left, and below and to the right. */
  pad(x: Feature, [before, after]: readonly [number, number], name?: string): Feature {
    const layer = this.#add('ZeroPadding2D', [x], { name, config: { padding: [[before, after], [before, after]], data_format: 'channels_last' } });
    return { ...x, layer, size: x.size + before + after };
  }

  pool(x: Feature, kind: 'Max' | 'Average', options: Named & { readonly size: number; readonly stride: number; readonly padding?: Padding }): Feature {
    const { name, size, stride, padding = 'valid' } = options;
    const layer = this.#add(`${kind}Pooling2D`, [x], { name, config: { pool_size: [size, size], padding, strides: [stride, stride], data_format: 'channels_last' } });
    return { ...x, layer, size: slide(x.size, { kernel: size, stride, padding }) };
  }

  globalAverage(x: Feature, name?: string): Feature {
    return { ...x, size: 1, layer: this.#add('GlobalAveragePooling2D', [x], { name, config: { data_format: 'channels_last', keepdims: false } }) };
  }

  /** The global average as an image of one pixel, in two layers, which every reader of topologies knows. */
  globalPixel(x: Feature, { name, reshaped }: Named & { readonly reshaped?: string }): Feature {
    return this.reshape(this.globalAverage(x, name), [1, 1, x.channels], reshaped);
  }

  reshape(x: Feature, shape: readonly number[], name?: string): Feature {
    return this.#keep('Reshape', x, { name, config: { target_shape: shape } });
  }

  flatten(x: Feature, name?: string): Feature {
    return { layer: this.#add('Flatten', [x], { name, config: { data_format: 'channels_last' } }), size: 1, channels: x.size * x.size * x.channels };
  }

  /** Sums or products, number by number; the first is the larger. */
  merge(kind: 'Add' | 'Multiply', inputs: readonly [Feature, Feature], name?: string): Feature {
    return { ...inputs[0], layer: this.#add(kind, inputs, { name, config: {} }) };
  }

  concat(inputs: readonly Feature[], name?: string): Feature {
    const channels = inputs.reduce((sum, feature) => sum + feature.channels, 0);
    return { ...(inputs[0] as Feature), channels, layer: this.#add('Concatenate', inputs, { name, config: { axis: 3 } }) };
  }

  /** The network from the image to `output`, its layers in the order of Keras. */
  finish(output: Feature): Architecture {
    const layers = sortLikeKeras(this.#layers, output.layer);
    const config = { name: this.#options.name, layers: layers.map(({ json }) => json), input_layers: [[this.image.layer, 0, 0]], output_layers: [[output.layer, 0, 0]] };
    return { topology: { class_name: 'Functional', config }, weighted: layers.filter(({ weights }) => weights.length > 0).map(({ name, weights }) => ({ name, weights })) };
  }

  #keep(className: string, x: Feature, spec: Spec): Feature {
    return { ...x, layer: this.#add(className, [x], spec) };
  }

  #add(className: string, inputs: readonly Feature[], { name = this.#count(className), config, weights = {} }: Spec): string {
    const names = inputs.map(({ layer }) => layer);
    const json = { class_name: className, config: { name, trainable: true, dtype: 'float32', ...config }, name, inbound_nodes: [names.map((input) => [input, 0, 0, {}])] };
    this.#layers.push({ name, inputs: names, json, weights: Object.entries(weights).map(([variable, shape]) => ({ name: variable, shape })) });
    return name;
  }

  #count(className: string): string {
    const base = toSnakeCase(className);
    const count = this.#counts.get(base) ?? this.#options.firstCount ?? 0;
    this.#counts.set(base, count + 1);
    return count === 0 ? base : `${base}_${count}`;
  }
}

interface Spec extends Named {
  readonly config: Readonly<Record<string, unknown>>;
  readonly weights?: Readonly<Record<string, readonly number[]>>;
}

/** As Keras makes the names of layers from those of classes: `MaxPooling2D` → `max_pooling2d`. */
function toSnakeCase(className: string): string {
  return className.replace(/(.)([A-Z][a-z]+)/g, '$1_$2').replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase();
}
