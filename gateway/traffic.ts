/** Which model answers a search that names none. */

interface Weighted {
  /** Not negative; relative to the others'. */
  readonly weight: number;
}

/**
 * Chooses one with a probability proportional to its weight; one of weight 0 is never chosen, unless all are 0, which
 * counts as all being equal. Undefined when there is nothing to choose from.
 *
 * @param random uniform in [0, 1)
 */
export function chooseByWeight<C extends Weighted>(choices: readonly C[], random: () => number): C | undefined {
  const total = choices.reduce((sum, { weight }) => sum + weight, 0);
  if (total === 0) return choices[Math.floor(random() * choices.length)];
  const eligible = choices.filter(({ weight }) => weight > 0);
  let rest = random() * total;
  for (const choice of eligible) {
    rest -= choice.weight;
    if (rest < 0) return choice;
  }
  return eligible.at(-1); // rounding may leave a rest of 0
}
