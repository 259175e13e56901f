/** Says where weights differ from those of the known network that they resemble. */
import { ARCHITECTURES } from './architectures.js';
import type { Candidate } from './candidates.js';
import { haveSameShapes, isChosen, keysOf, pairByName } from './pair-layers.js';
import type { WeightedLayer } from './weighted-layer.js';

/** Of the layers of both that must be alike for weights to be taken for those of a network. */
const LIKENESS_MIN = 0.6;

/** @returns undefined when they resemble none */
export function describeMismatch(stored: readonly WeightedLayer[], candidates: readonly Candidate[]): string | undefined {
  const [nearest] = candidates.map((candidate) => ({ candidate, ...compare(stored, candidate) })).sort((a, b) => b.likeness - a.likeness || b.fitting - a.fitting);
  if (!nearest || nearest.likeness < LIKENESS_MIN) return undefined;
  const { candidate } = nearest;
  const { alphas } = ARCHITECTURES[candidate.name];
  const widths = alphas.length > 1 ? ` Known are its widths ${alphas.join(', ')}.` : '';
  return `its layers are those of ${candidate.title}, but ${firstDifference(stored, candidate)}.${widths} Save the whole model in Keras: model.save('model.h5'); then set "model_url" to that file.`;
}

/** How much of both is alike. A name that somebody chose is so whatever its weights; one by a counter only with weights of the same shapes. */
function compare(stored: readonly WeightedLayer[], { weighted, top }: Candidate): { readonly likeness: number; readonly fitting: number } {
  const pairing = pairByName(stored, weighted, { top });
  const keys = keysOf(stored, { top });
  const fitting = stored.filter((layer, i) => haveSameShapes(layer, pairing[i])).length;
  const alike = stored.filter((layer, i) => pairing[i] && (isChosen(keys[i] as string) || haveSameShapes(layer, pairing[i]))).length;
  return { likeness: alike / Math.max(stored.length, weighted.length), fitting };
}

function firstDifference(stored: readonly WeightedLayer[], { weighted, top }: Candidate): string {
  const pairing = pairByName(stored, weighted, { top });
  const missing = weighted.find((layer) => !pairing.includes(layer));
  const surplus = stored.find((_layer, i) => !pairing[i]);
  const [other, same] = stored.flatMap((layer, i) => (pairing[i] && !haveSameShapes(layer, pairing[i]) ? [layer, pairing[i]] : []));
  if (missing && stored.length < weighted.length) return `it has no weights for the layer ${JSON.stringify(missing.name)}`;
  if (surplus && stored.length > weighted.length) return `it has weights for one more, ${JSON.stringify(surplus.name)}`;
  if (other && same) return `the weights of its layer ${JSON.stringify(other.name)} are of the shapes ${shapesOf(other)} and not ${shapesOf(same)}`;
  return `its layer ${JSON.stringify(surplus?.name)} is none of that network`;
}

function shapesOf({ weights }: WeightedLayer): string {
  return weights.map(({ shape }) => JSON.stringify(shape)).join(' ');
}
