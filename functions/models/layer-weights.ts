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

/** A weight under one of the endings of its name. */
interface Ended {
  readonly weight: NamedWeight;
  /** What stands before its last segment, without the scope that was left out of the ending. */
  readonly layer: readonly string[];
  readonly scope: string | undefined;
}

export class LayerWeights {
  readonly #byName = new Map<string, NamedWeight[]>();
  readonly #byEnding = new Map<string, Ended[]>();
  readonly #layers: ReadonlySet<string>;

  /** @param layers the names and paths of all layers: a weight that bears another layer's name is that one's */
  constructor(weights: readonly NamedWeight[], layers: ReadonlySet<string>) {
    this.#layers = layers;
    for (const weight of weights) {
      const name = weight.name.replace(/:\d+$/, '');
      push(this.#byName, name, weight);
      const segments = name.split('/').slice(-SEGMENTS_MAX);
      const last = segments.at(-1) as string;
      const endings = (layer: readonly string[], scope: string | undefined): void => {
        for (let from = 0; from < layer.length; from++) push(this.#byEnding, [...layer.slice(from), last].join('/'), { weight, layer, scope });
      };
      endings(segments.slice(0, -1), undefined);
      endings(segments.slice(0, -2), segments.at(-2));
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
    const ended = (this.#byEnding.get(`${path.at(-1)}/${name}`) ?? []).filter((each) => this.#isOf(path, each));
    const plain = ended.filter(({ scope }) => scope === undefined);
    const found = [...new Set((plain.length > 0 ? plain : ended).map(({ weight }) => weight))];
    return found.length <= 1 ? found[0] : found;
  }

  /** Whether the longest name of a layer in which the weight's ends is that of the layer at `path`, and its scope is no layer. */
  #isOf(path: readonly string[], { layer, scope }: Ended): boolean {
    if (scope !== undefined && this.#owner([...layer, scope]) !== undefined) return false;
    const owner = this.#owner(layer);
    return owner === undefined || owner === path.at(-1) || `/${path.join('/')}`.endsWith(`/${owner}`);
  }

  #owner(segments: readonly string[]): string | undefined {
    return segments.map((_, from) => segments.slice(from).join('/')).find((ending) => this.#layers.has(ending));
  }
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
