/** The weights of a loaded model, by name. */
import type { LoadedModel } from '../../../functions/models/model.js';
import type { Weight } from '../../../functions/network/network.js';

/** In the order in which the network uses them. */
export function weightsIn({ network }: LoadedModel): (Weight & { readonly name: string })[] {
  return [...network.weights].map(([name, weight]) => ({ name, ...weight }));
}
