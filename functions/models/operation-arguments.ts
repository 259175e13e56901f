/** The arguments of a TensorFlow or Keras operation that stands in a model as a layer: by name, by place, or in its configuration. */
import { KERAS_OPERATION } from './keras3-topology.js';
import { show } from './layer-config.js';
import type { LayerUse, Operand } from './layer-use.js';

/** Whether it is Keras 3's and not TensorFlow's: the defaults of some arguments differ. */
export function isKerasOperation({ className }: LayerUse): boolean {
  return className.startsWith(KERAS_OPERATION);
}

/** Where an argument may stand: its names, and its place among those after the first. */
interface Where {
  readonly names: readonly string[];
  readonly place?: number;
}

/** The argument as the file has it; undefined: it is not there, or null. */
export function argument(use: LayerUse, { names, place }: Where): Operand | undefined {
  const found = names.map((name) => use.named.get(name)).find((operand) => operand !== undefined && !isNull(operand));
  if (found !== undefined) return found;
  const inPlace = place === undefined ? undefined : inItsPlace(use.named.get('args'), place);
  if (inPlace !== undefined && !isNull(inPlace)) return inPlace;
  const written = names.map((name) => use.config.raw(name)).find((value) => value !== undefined);
  return written === undefined ? undefined : { value: written };
}

function inItsPlace(args: Operand | undefined, place: number): Operand | undefined {
  if (args === undefined || 'tensor' in args) return undefined;
  if ('items' in args) return args.items[place];
  return Array.isArray(args.value) && place < args.value.length ? { value: args.value[place] as unknown } : undefined;
}

/** The argument as plain data. */
export function plain(use: LayerUse, where: Where): unknown {
  const operand = argument(use, where);
  return operand === undefined ? undefined : toPlain(use, operand, where);
}

function toPlain(use: LayerUse, operand: Operand, where: Where): unknown {
  if ('tensor' in operand) return use.fail(`its "${where.names[0]}" is computed; right is a value that stands in the file.`);
  return 'items' in operand ? operand.items.map((item) => toPlain(use, item, where)) : operand.value;
}

/** The argument as a tensor of the network: constants become weights. */
export function tensor(use: LayerUse, where: Where): string {
  const operand = argument(use, where) ?? use.fail(`it is not given its "${where.names[0]}".`);
  if ('tensor' in operand) return operand.tensor;
  return use.constant(toPlain(use, operand, where), where.names[0]);
}

export function numeric(use: LayerUse, where: Where, fallback: number): number {
  const value = plain(use, where) ?? fallback;
  return typeof value === 'number' && Number.isFinite(value) ? value : use.fail(`its "${where.names[0]}" is ${show(value)}; right is a number.`);
}

export function flag(use: LayerUse, where: Where): boolean {
  const value = plain(use, where) ?? false;
  return typeof value === 'boolean' ? value : use.fail(`its "${where.names[0]}" is ${show(value)}; right is true or false.`);
}

/** Whole numbers, one or in a list. */
export function integers(use: LayerUse, where: Where): readonly number[] | undefined {
  const value = plain(use, where);
  if (value === undefined) return undefined;
  const list = (Array.isArray(value) ? value : [value]) as readonly unknown[];
  return list.every((each) => Number.isSafeInteger(each)) ? (list as readonly number[]) : use.fail(`its "${where.names[0]}" is ${show(value)}; right are whole numbers.`);
}

/** Axes of a tensor of `rank`, from 0 and ascending; the batch is none of them, because an image is computed by itself. */
export function axes(use: LayerUse, where: Where, rank: number): readonly number[] | undefined {
  const list = integers(use, where)?.map((axis) => (axis < 0 ? axis + rank : axis));
  if (list?.some((axis) => axis < 1 || axis >= rank)) use.fail(`its "${where.names[0]}" is ${show(list)}; right are axes from 1 to ${rank - 1}.`);
  return list && [...new Set(list)].sort((a, b) => a - b);
}

function isNull(operand: Operand): boolean {
  return 'value' in operand && (operand.value === null || operand.value === undefined);
}
