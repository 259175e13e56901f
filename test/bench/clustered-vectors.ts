/**
 * Vectors that lie as image features do, from a seed: clusters in a latent space of few dimensions, seen through one
 * random layer with ReLU. With W (dim × 32) and 1,000 centres drawn from N(0, 1) by seed 1:
 *
 *     z = a centre, drawn evenly, + 0.5 · N(0, I₃₂)      x = max(0, W·z)      vector = float32(x) / |float32(x)|
 *
 * Noise of full rank would be wrong: in 1,280 dimensions all members of a cluster would be equally far from each other.
 * Like this, of 8,000 vectors of 1,280 some 15 (at most 37 in 30 queries) are as good as the tenth best hit as far as
 * int8 codes can tell; of 34,400 features of real photos it is some 15. N(0, 1) is Box and Muller's transform of mulberry32.
 */
import { normalise } from '../../common/vector.js';
import { SeededRandom } from '../support/seeded-random.js';

const SEED = 1;
const LATENT = 32;
const CENTRES = 1_000;
const SPREAD = 0.5;

export class ClusteredVectors {
  readonly #dim: number;
  readonly #weights: Float64Array;
  readonly #centres: Float64Array;

  constructor(dim: number) {
    const gaussian = new Gaussian(new SeededRandom(SEED));
    this.#dim = dim;
    this.#weights = Float64Array.from({ length: dim * LATENT }, () => gaussian.next());
    this.#centres = Float64Array.from({ length: CENTRES * LATENT }, () => gaussian.next());
  }

  /** Vectors of the distribution without end, the same ones for the same seed. */
  *draw(seed: number): Generator<Float32Array> {
    const random = new SeededRandom(seed);
    const gaussian = new Gaussian(random);
    const latent = new Float64Array(LATENT);
    for (;;) {
      const centre = random.between(0, CENTRES - 1) * LATENT;
      for (let i = 0; i < LATENT; i++) latent[i] = (this.#centres[centre + i] as number) + SPREAD * gaussian.next();
      yield normalise(this.#activate(latent));
    }
  }

  #activate(latent: Float64Array): Float32Array {
    const features = new Float32Array(this.#dim);
    for (let d = 0; d < this.#dim; d++) {
      let sum = 0;
      for (let i = 0, w = d * LATENT; i < LATENT; i++, w++) sum += (this.#weights[w] as number) * (latent[i] as number);
      features[d] = Math.max(0, sum);
    }
    return features;
  }
}

class Gaussian {
  readonly #random: SeededRandom;
  #spare: number | undefined;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  next(): number {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare !== undefined) return spare;
    const radius = Math.sqrt(-2 * Math.log(1 - this.#random.next()));
    const angle = 2 * Math.PI * this.#random.next();
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
}
