/**
 * Finds the weights of a layer by their names. TF.js and Keras write `layer/kernel`; with the models around it as
 * `outer/layer/kernel`; with a scope in between as `layer/cell/kernel`; or only which of its weights it is, as
 * `layer/0` or `layer/vars/0`. Keras ends names in `:0`.
 */
import type { NamedWeight } from './model.js';

/** Of a name, from its end on, what is looked up. */
const SEGMENTS_MAX = 12;

/** What was found: a weight; several that may be meant; or none. */
export type FoundWeight = NamedWeight | readonly NamedWeight[] | undefined;

export class LayerWeights {
  readonly #byName = new Map<string, NamedWeight[]>();
  readonly #byEnding = new Map<string, { readonly base: string; readonly weight: NamedWeight }[]>();
  readonly #layers: ReadonlySet<string>;

  /** @param layers the names and paths of all layers: a weight that bears another layer's name is that one's */
  constructor(weights: readonly NamedWeight[], layers: ReadonlySet<string>) {
    this.#layers = layers;
    for (const weight of weights) {
      const name = weight.name.replace(/:\d+$/, '');
      push(this.#byName, name, weight);
      const segments = name.split('/');
      const [last, base] = [segments.at(-1) as string, segments.slice(0, -1).join('/')];
      for (let from = Math.max(1, segments.length - SEGMENTS_MAX); from < segments.length - 1; from++) push(this.#byEnding, segments.slice(from).join('/'), { base, weight });
      for (let from = Math.max(0, segments.length - SEGMENTS_MAX); from < segments.length - 2; from++) push(this.#byEnding, `${segments.slice(from, -2).join('/')}/${last}`, { base, weight });
    }
  }

  /**
   * @param path names of the models around the layer, then its own
   * @param names of the weight, the usual one first
   * @param position of the weight among those of its layer, from 0
   */
  find(path: readonly string[], names: readonly string[], position: number): FoundWeight {
    const wanted = [...names, String(position), `vars/${position}`];
    for (const name of wanted) {
      const found = this.#findNamed(path, name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #findNamed(path: readonly string[], name: string): FoundWeight {
    for (let from = 0; from < path.length; from++) {
      const exact = this.#byName.get(`${path.slice(from).join('/')}/${name}`);
      if (exact) return exact.length === 1 ? exact[0] : exact;
    }
    const layer = path.at(-1) as string;
    const candidates = (this.#byEnding.get(`${layer}/${name}`) ?? []).filter(({ base }) => !this.#layers.has(base));
    const ending = [...new Set(candidates.map(({ weight }) => weight))];
    return ending.length <= 1 ? ending[0] : ending;
  }
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
