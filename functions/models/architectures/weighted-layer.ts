/** Layers by their weights: what files hold, what networks have. */
import type { LayerJson } from '../model.js';

export interface WeightSlot {
  /** `kernel`, `bias`, `gamma`, … */
  readonly name: string;
  readonly shape: readonly number[];
}

/** A layer with the weights that it has, in Keras's order. */
export interface WeightedLayer {
  readonly name: string;
  readonly weights: readonly WeightSlot[];
}

/** A layer as it is written: what feeds it stands apart, to sort by. */
export interface WrittenLayer extends WeightedLayer {
  readonly json: LayerJson;
  readonly inputs: readonly string[];
}
