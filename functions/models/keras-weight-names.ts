/**
 * What a weight in a Keras file is: a variable of a layer of the topology. Keras named weights differently over the
 * years; here each gets the name that TF.js has for it, `layer/variable`, so that a model has the version that it has as
 * a model.json of tensorflowjs_converter, which keeps these names.
 */
import type { LayerJson } from './model.js';
import { isContainer, listLayers, type PlacedLayer } from './topology.js';

/** As Keras 1 named them. `running_std` held a variance all the same. */
const OLD_VARIABLES: Readonly<Record<string, string>> = { W: 'kernel', b: 'bias', running_mean: 'moving_mean', running_std: 'moving_variance' };
const VARIABLES = ['depthwise_kernel', 'pointwise_kernel', 'kernel', 'bias', 'gamma', 'beta', 'moving_mean', 'moving_variance', 'running_mean', 'running_std', 'alpha', 'mean', 'variance', 'count', 'W', 'b'] as const;
const KNOWN = new RegExp(`^(?:.*?_)??(${VARIABLES.join('|')})(?:_\\d+)?$`);
const EXACT = new RegExp(`^(${VARIABLES.join('|')})(?:_\\d+)?$`);

/**
 * The variable that a weight is: `kernel` for `conv1/kernel:0`, `conv1/kernel_1:0`, and for `conv1_W:0` or
 * `conv1_W_1:0` of Keras 1; of a name that says nothing, its last part.
 */
export function variableOf(weightName: string): string {
  const plain = withoutOutput(weightName);
  const last = plain.slice(plain.lastIndexOf('/') + 1);
  const variable = (plain.includes('/') ? EXACT : KNOWN).exec(last)?.[1] ?? last;
  return OLD_VARIABLES[variable] ?? variable;
}

/** The scopes in front of a weight's name: `["inner", "conv"]` of `inner/conv/kernel:0`. */
export function scopesOf(weightName: string): readonly string[] {
  return withoutOutput(weightName).split('/').slice(0, -1);
}

/** TensorFlow numbers outputs behind a colon. */
function withoutOutput(name: string): string {
  return name.replace(/:\d+$/, '');
}

/** The names that the weights of a topology's layers have; made once for a topology. */
export class WeightNames {
  readonly #layers: readonly PlacedLayer[];
  readonly #below = new Map<string, PlacedLayer[]>();
  readonly #ambiguous: ReadonlySet<string>;

  constructor(topology: LayerJson) {
    this.#layers = listLayers(topology).filter(({ layer }) => !isContainer(layer));
    const seen = new Set<string>();
    const ambiguous = new Set<string>();
    for (const placed of this.#layers) {
      const [top, name] = [placed.path[0] as string, nameOf(placed)];
      this.#below.set(top, [...(this.#below.get(top) ?? []), placed]);
      (seen.has(name) ? ambiguous : seen).add(name);
    }
    this.#ambiguous = ambiguous;
  }

  get layers(): readonly PlacedLayer[] {
    return this.#layers;
  }

  /** `layer/kernel`; `outer/layer/kernel` where layers of that name lie in several models. */
  of(placed: PlacedLayer, variable: string): string {
    const name = nameOf(placed);
    return `${this.#ambiguous.has(name) ? placed.path.join('/') : name}/${variable}`;
  }

  /**
   * The name of a weight that a file keeps under a layer of its model, or under a model nested in it; undefined when it
   * belongs to no layer.
   *
   * @param group the name of that layer or nested model
   * @param weightName as the file has it: `conv/kernel:0`, `inner/conv/kernel:0`
   */
  resolve(group: string, weightName: string): string | undefined {
    const below = this.#below.get(group) ?? [];
    const owner = below.length === 1 && below[0]?.path.length === 1 ? below[0] : findOwner(below, scopesOf(weightName));
    if (!owner) return undefined;
    const variable = variableOf(weightName);
    // Keras 3 calls it `kernel`.
    return this.of(owner, owner.layer.class_name === 'DepthwiseConv2D' && variable === 'kernel' ? 'depthwise_kernel' : variable);
  }
}

function nameOf({ path }: PlacedLayer): string {
  return path.at(-1) as string;
}

/** The layer of a nested model that the scopes of a weight's name end in; a number that was added to make it unique is no part of it. */
function findOwner(layers: readonly PlacedLayer[], scopes: readonly string[]): PlacedLayer | undefined {
  for (const strip of [(name: string) => name, (name: string) => name.replace(/_\d+$/, '')]) {
    for (let from = 0; from < scopes.length; from++) {
      const wanted = strip(scopes.slice(from).join('/'));
      const found = layers.filter((placed) => nameOf(placed) === wanted);
      const nearest = found.length > 1 ? found.filter(({ path }) => path.slice(1, -1).every((outer) => scopes.includes(outer))) : found;
      if (nearest.length === 1) return nearest[0];
    }
  }
  return undefined;
}
