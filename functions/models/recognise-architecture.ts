/** What a file of weights alone needs: somebody who knows, from the names and shapes of its weights, which network they are of. */
import type { Preprocess } from '../../common/config.js';
import type { LayerJson } from './model.js';

export interface WeightedLayer {
  readonly name: string;
  /** Named `kernel`, `bias`, `gamma`, …; of a nested model's layer as `layer/kernel`. */
  readonly weights: readonly { readonly name: string; readonly shape: readonly number[] }[];
}

export interface RecognisedArchitecture {
  /** What it is, in words: `VGG16 of Keras`. */
  readonly title: string;
  readonly topology: LayerJson;
  /** What it was trained with. */
  readonly preprocess: Preprocess;
  /** From the file's `layer/weight` to the name that the topology has for it, `layer/kernel`. */
  readonly weightNames: ReadonlyMap<string, string>;
}

/** The network that weights are of; undefined: none that is known. */
export type RecogniseArchitecture = (layers: readonly WeightedLayer[]) => RecognisedArchitecture | undefined;
