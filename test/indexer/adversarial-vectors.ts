/** Vectors that make it hard for an index to be exact. */
import { normalise } from '../../common/vector.js';
import { randomUnit } from './vectors.js';

export interface DataSet {
  readonly name: string;
  readonly draw: (count: number, dim: number, next: () => number) => Float32Array[];
}

const each = (make: (i: number, dim: number, next: () => number) => Float32Array): DataSet['draw'] => (count, dim, next) => Array.from({ length: count }, (_, i) => make(i, dim, next));
/** Roughly a normal distribution. */
const bell = (next: () => number): number => next() + next() + next() - 1.5;

export const DATA_SETS: readonly DataSet[] = [
  { name: 'uniform', draw: each((_i, dim, next) => randomUnit(dim, next)) },
  {
    name: 'duplicates of few',
    draw(count, dim, next) {
      const few = Array.from({ length: 5 }, () => randomUnit(dim, next));
      return Array.from({ length: count }, (_, i) => (few[i % 5] as Float32Array).slice());
    },
  },
  {
    name: 'near-ties: one vector, each with its last bits changed',
    draw(count, dim, next) {
      const base = randomUnit(dim, next);
      return Array.from({ length: count }, () => base.map((x) => Math.fround(x * (1 + (Math.floor(next() * 5) - 2) * 2 ** -23))));
    },
  },
  { name: 'one-hot', draw: each((i, dim) => new Float32Array(dim).fill(1, i % dim, (i % dim) + 1)) },
  { name: 'mostly zero vectors', draw: each((i, dim, next) => (i % 3 === 0 ? randomUnit(dim, next) : new Float32Array(dim))) },
  { name: 'of a huge dynamic range', draw: each((_i, dim, next) => Float32Array.from({ length: dim }, () => bell(next) * 10 ** Math.floor(next() * 60 - 30))) },
  { name: 'one large number and many small ones', draw: each((i, dim, next) => normalise(Float32Array.from({ length: dim }, (_, j) => (j === i % dim ? 1_000 : bell(next))))) },
  { name: 'as large and as small as float32 is', draw: each((i, dim, next) => Float32Array.from({ length: dim }, () => (i % 2 === 0 ? 3.4e38 : 2 ** -149) * Math.sign(bell(next)))) },
  {
    name: 'clustered',
    draw(count, dim, next) {
      const centres = Array.from({ length: 8 }, () => randomUnit(dim, next));
      return Array.from({ length: count }, (_, i) => normalise((centres[i % 8] as Float32Array).map((x) => x + 0.02 * bell(next))));
    },
  },
  { name: 'sparse, as after a ReLU', draw: each((_i, dim, next) => normalise([1e-9, ...Array.from({ length: dim - 1 }, () => Math.max(0, bell(next) - 0.3))])) },
];
