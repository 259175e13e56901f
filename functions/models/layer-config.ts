/** Reads the configuration of a layer value by value, each held to what it must be: whoever wrote the file may have written anything. */
import type { Pair } from '../network/network.js';

/** Of a kernel, a stride, a side of a picture. The largest that networks of images have are hundreds. */
const SIZE_MAX = 16_384;
const SHOWN_MAX = 80;

/** A whole number, by what it may be. */
interface Whole {
  /** What a layer that does not say has; undefined: it must say. */
  readonly fallback?: number | undefined;
  readonly min?: number;
  readonly max?: number;
}

export class LayerConfig {
  /**
   * @param values as the file has them
   * @param fail names the layer, and says of it what it is given; it throws
   */
  constructor(private readonly values: Readonly<Record<string, unknown>>, private readonly fail: (detail: string) => never) {}

  /** Undefined where the file says nothing, or null. */
  raw(key: string): unknown {
    return this.values[key] ?? undefined;
  }

  /** Whether the file says something, or says that it is null. */
  says(key: string): boolean {
    return Object.hasOwn(this.values, key);
  }

  number(key: string, fallback?: number): number {
    const value = this.raw(key) ?? fallback;
    return typeof value === 'number' && Number.isFinite(value) ? value : this.#refuse(key, value, 'a number');
  }

  integer(key: string, { fallback, min = 1, max = SIZE_MAX }: Whole = {}): number {
    return this.#whole(key, this.raw(key) ?? fallback, { min, max });
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.raw(key) ?? fallback;
    return typeof value === 'boolean' ? value : this.#refuse(key, value, 'true or false');
  }

  /** One of a few words. */
  choice<T extends string>(key: string, allowed: readonly T[], fallback?: T): T {
    const value = this.raw(key) ?? fallback;
    return allowed.find((word) => word === value) ?? this.#refuse(key, value, `one of ${allowed.join(', ')}`);
  }

  /** Rows and columns: two whole numbers, or one for both. */
  pair(key: string, options: Omit<Whole, 'max'> = {}): Pair {
    const [rows, columns] = this.#list(key, options.fallback, 2);
    return [this.#whole(key, rows, options), this.#whole(key, columns, options)];
  }

  /** A whole number, which may stand in a list of one: what layers of one dimension have. */
  single(key: string, options: Omit<Whole, 'max'> = {}): number {
    return this.#whole(key, this.#list(key, options.fallback, 1)[0], options);
  }

  /** Two numbers for rows and two for columns: `[[1, 2], [3, 4]]`, `[rows, columns]` for both sides alike, or one for all. */
  sides(key: string, fallback: number): readonly [Pair, Pair] {
    const [rows, columns] = this.#list(key, fallback, 2);
    const both = (value: unknown): Pair => {
      const [before, after] = Array.isArray(value) && value.length === 2 ? (value as unknown[]) : [value, value];
      return [this.#whole(key, before, { min: 0 }), this.#whole(key, after, { min: 0 })];
    };
    return [both(rows), both(columns)];
  }

  /** An axis of a tensor of `rank`, from 0; the file may count from the end, or write a list of one. */
  axis(key: string, rank: number, fallback: number): number {
    const axes = this.axes(key, rank, fallback);
    return axes.length === 1 ? (axes[0] as number) : this.#refuse(key, axes, 'one axis');
  }

  /** Axes, each once, ascending. The first is the batch, which is none of them. */
  axes(key: string, rank: number, fallback: number | readonly number[]): readonly number[] {
    const value = this.raw(key) ?? fallback;
    const counted = (Array.isArray(value) ? (value as unknown[]) : [value]).map((axis) => (typeof axis === 'number' && axis < 0 ? axis + rank : axis));
    const right = counted.filter((axis): axis is number => Number.isInteger(axis) && (axis as number) >= 1 && (axis as number) < rank);
    const ascending = [...new Set(right)].sort((a, b) => a - b);
    return ascending.length === counted.length && ascending.length > 0 ? ascending : this.#refuse(key, value, `an axis from 1 to ${rank - 1}, or such axes in a list`);
  }

  #list(key: string, fallback: number | undefined, length: number): readonly unknown[] {
    const value = this.raw(key) ?? fallback;
    if (!Array.isArray(value)) return Array.from({ length }, () => value);
    return value.length === length ? (value as unknown[]) : this.#refuse(key, value, `a whole number, or ${length} in a list`);
  }

  #whole(key: string, value: unknown, { min = 1, max = SIZE_MAX }: Whole): number {
    return Number.isInteger(value) && (value as number) >= min && (value as number) <= max ? (value as number) : this.#refuse(key, value, `a whole number from ${min} to ${max}`);
  }

  #refuse(key: string, value: unknown, right: string): never {
    return this.fail(value === undefined ? `it does not say "${key}"; right is ${right}.` : `its "${key}" is ${show(value)}; right is ${right}.`);
  }
}

/** A value of a file in a message: whatever it is, not longer than a line. */
export function show(value: unknown): string {
  try {
    const text = JSON.stringify(value) ?? 'nothing';
    return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}…` : text;
  } catch {
    return 'something that is nested too deep to be shown';
  }
}
