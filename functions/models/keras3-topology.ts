/**
 * Writes a topology of Keras 3 as Keras 2 would have written it. Keras 3 keeps the arguments of a call as they were given
 * (`{args, kwargs}`, its tensors by their `keras_history`), names the module of everything, and has operations
 * (`keras.ops`) stand among layers, under names that layers have too.
 */
import type { LayerJson } from './model.js';

/** Before the class name of an operation, so that it is none of a layer. */
export const KERAS_OPERATION = 'keras.ops.';

const CONSTANT = '_CONSTANT_VALUE';
/** Of lists and objects in each other among arguments and values. */
const DEPTH_MAX = 8;

/** Of which models references count the uses from 1 in Keras 2, which is of all; and of which in the outputs of Keras 3. */
interface Models {
  readonly all: ReadonlySet<string>;
  readonly sequential: ReadonlySet<string>;
}

/** Whether a layer is written as only Keras 3 writes it. */
export function isKeras3({ class_name: className, config, inbound_nodes: uses }: LayerJson): boolean {
  const { dtype } = config as { dtype?: { class_name?: unknown } | null };
  return (Array.isArray(uses) && uses.some(isCall)) || (className === 'InputLayer' && config['batch_input_shape'] === undefined && config['batch_shape'] !== undefined) || dtype?.class_name === 'DTypePolicy';
}

/** The model, and all within it. What says nothing of what it computes (how weights were initialised, modules) is left out. */
export function toKeras2(model: LayerJson): LayerJson {
  const layers = model.config['layers'] as readonly LayerJson[];
  const inner = layers.filter(isModel);
  const models: Models = { all: new Set(inner.map(nameOf)), sequential: new Set(inner.filter(({ class_name: className }) => className === 'Sequential').map(nameOf)) };
  const { input_layers: inputs, output_layers: outputs, ...config } = model.config;
  const references = model.class_name === 'Sequential' ? {} : { input_layers: flattenRefs(inputs, 0), output_layers: flattenRefs(outputs, 0).map(([name, node, tensor]) => [name, node + (models.sequential.has(name) ? 1 : 0), tensor]) };
  return { class_name: model.class_name, ...(model.name !== undefined && { name: model.name }), config: { ...toConfig({ ...config, layers: undefined }), layers: layers.map((layer) => toLayer(layer, models)), ...references } };
}

function isModel({ config }: LayerJson): boolean {
  return Array.isArray(config['layers']);
}

function nameOf({ name, config }: LayerJson): string {
  return name ?? String(config['name']);
}

function toLayer(layer: LayerJson, models: Models): LayerJson {
  const uses = Array.isArray(layer.inbound_nodes) ? (layer.inbound_nodes as unknown[]).map((use) => (isCall(use) ? toUse(use, models) : use)) : undefined;
  const { class_name: className, config, name } = isModel(layer) ? toKeras2(layer) : { ...layer, config: toConfig(layer.config) };
  return { class_name: isOperation(layer) ? `${KERAS_OPERATION}${className}` : className, ...((name ?? config['name']) !== undefined && { name: name ?? (config['name'] as string) }), config, ...(uses && { inbound_nodes: uses }) };
}

/** By its module; in an HDF5 file, which names none, an operation is what has no settings of a layer. */
function isOperation({ class_name: className, config, inbound_nodes: uses, ...rest }: LayerJson): boolean {
  const { module } = rest as { module?: unknown };
  if (typeof module === 'string') return /^keras(\.src)?\.ops(\.|$)/.test(module);
  return className !== 'InputLayer' && Array.isArray(uses) && uses.some(isCall) && !('trainable' in config) && !('dtype' in config) && !('layers' in config);
}

// ── Configurations ──────────────────────────────────────────────────────────────────────────────────────────────────

function toConfig(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const kept = Object.entries(config).filter(([key, value]) => value !== undefined && !/_(initializer|regularizer|constraint)$|^build_/.test(key));
  return Object.fromEntries(kept.map(([key, value]) => {
    if (key === 'batch_shape') return ['batch_input_shape', value];
    if (key === 'dtype') return [key, (value as { config?: { name?: unknown } } | null)?.config?.name ?? value];
    return [key, key.endsWith('activation') ? toActivation(value, 0) : toValue(value, 0)];
  }));
}

/** Functions by their names; `hard_sigmoid` by what it is, for Keras 2 has another. */
function toActivation(value: unknown, depth: number): unknown {
  if (value === 'hard_sigmoid') return { class_name: 'HardSigmoid', config: { alpha: 1 / 6, beta: 0.5 } };
  const { class_name: className, config } = (value ?? {}) as { class_name?: unknown; config?: unknown };
  if (className === undefined || depth > DEPTH_MAX) return value;
  if (className === 'function') return toActivation(config, depth + 1);
  return { class_name: className, config: typeof config === 'object' && config !== null ? toConfig(config as Record<string, unknown>) : config };
}

/** Arrays that NumPy or a tensor held become lists. */
function toValue(value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || depth > DEPTH_MAX) return value;
  if (Array.isArray(value)) return (value as unknown[]).map((each) => toValue(each, depth + 1));
  const { class_name: className, config } = value as { class_name?: unknown; config?: { value?: unknown } };
  return className === '__numpy__' || className === '__tensor__' ? config?.value : value;
}

// ── Calls ───────────────────────────────────────────────────────────────────────────────────────────────────────────

interface KerasCall {
  readonly args: readonly unknown[];
  readonly kwargs?: unknown;
}

function isCall(use: unknown): use is KerasCall {
  return typeof use === 'object' && use !== null && Array.isArray((use as Partial<KerasCall>).args);
}

type Ref = readonly [name: string, node: number, tensor: number];

/** A use as Keras 2 has it: the first argument as references, the others by name in each of them, or as `args` by their places. */
function toUse({ args, kwargs }: KerasCall, models: Models): readonly unknown[] {
  const named = Object.entries((typeof kwargs === 'object' && kwargs !== null ? kwargs : {}) as Record<string, unknown>).filter(([, value]) => value !== null);
  const [first, ...rest] = args.length > 0 ? args : named.filter(([, value]) => holdsTensor(value, 0)).map(([, value]) => value).slice(0, 1);
  const others = [...named.filter(([, value]) => value !== first), ...(rest.length > 0 ? [['args', rest] as const] : [])];
  const shared = Object.fromEntries(others.map(([name, value]) => [name, toArgument(value, models, 0)]));
  return flattenFirst(first, 0).map((each) => [...(refOf(each, models) ?? [CONSTANT, -1, toValue(each, 0)]), shared]);
}

function refOf(value: unknown, models: Models): Ref | undefined {
  const { class_name: className, config } = (value ?? {}) as { class_name?: unknown; config?: { keras_history?: unknown } };
  const history = className === '__keras_tensor__' ? config?.keras_history : undefined;
  if (!Array.isArray(history)) return undefined;
  const [name, node, tensor] = history as [unknown, unknown, unknown];
  if (typeof name !== 'string' || typeof node !== 'number' || typeof tensor !== 'number') return undefined;
  return [name, node + (models.all.has(name) ? 1 : 0), tensor];
}

const NO_MODELS: Models = { all: new Set(), sequential: new Set() };

function holdsTensor(value: unknown, depth: number): boolean {
  return refOf(value, NO_MODELS) !== undefined || (typeof value === 'object' && value !== null && depth <= DEPTH_MAX && Object.values(value).some((each: unknown) => holdsTensor(each, depth + 1)));
}

/** The tensors, and the values between them, of lists and dictionaries; one value where there are none. */
function flattenFirst(value: unknown, depth: number): readonly unknown[] {
  if (value === undefined) return [];
  if (refOf(value, NO_MODELS) !== undefined || !holdsTensor(value, depth)) return [value];
  return inOrder(value as object).flatMap((each) => flattenFirst(each, depth + 1));
}

function toArgument(value: unknown, models: Models, depth: number): unknown {
  const ref = refOf(value, models);
  if (ref) return ref;
  return Array.isArray(value) && depth <= DEPTH_MAX ? (value as unknown[]).map((each) => toArgument(each, models, depth + 1)) : toValue(value, depth);
}

/** `["layer", 0, 0]`, or such references in lists and dictionaries. */
function flattenRefs(value: unknown, depth: number): readonly Ref[] {
  if (typeof value !== 'object' || value === null || depth > DEPTH_MAX) return [];
  if (Array.isArray(value) && typeof value[0] === 'string') return [[value[0], Number(value[1]), Number(value[2])]];
  return inOrder(value).flatMap((each) => flattenRefs(each, depth + 1));
}

/** As Keras flattens them: lists as they are, dictionaries by their keys. */
function inOrder(value: object): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : Object.entries(value as Record<string, unknown>).sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each);
}
