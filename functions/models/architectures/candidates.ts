/** Every form of every known network, to compare weights with. */
import { ARCHITECTURES, architectureNames, describeArchitecture, type ArchitectureName } from './architectures.js';
import type { WeightedLayer } from './weighted-layer.js';

/** A network of Keras at one width, with or without its classifier. */
export interface Candidate {
  readonly name: ArchitectureName;
  readonly alpha: number;
  readonly top: boolean;
  readonly title: string;
  readonly weighted: readonly WeightedLayer[];
}

/** @param classes of those with a classifier */
export function* listCandidates(classes: number): Generator<Candidate, void> {
  for (const name of architectureNames) {
    const { title, alphas } = ARCHITECTURES[name];
    for (const alpha of alphas) {
      for (const top of [false, true]) yield { name, alpha, top, title: `${title}${alpha === 1 ? '' : ` ${alpha}`} of Keras`, weighted: describeArchitecture(name, { alpha, top, classes }).weighted };
    }
  }
}
