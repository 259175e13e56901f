/**
 * How good one ranking is, by the figures of information retrieval. Relevance is yes or no, a ranking has every id at most
 * once, and `k` is 1 or more. All figures go from 0 to 1, and higher is better.
 */

/** The answer to one query, and what would have been right. */
export interface Judged {
  /** Best first; of a search for the `k` best it may be no longer than that. */
  readonly ranked: readonly string[];
  /** Not empty: a query to which nothing is right says nothing of a model. */
  readonly relevant: ReadonlySet<string>;
}

/** How much of what is relevant stands among the first k. With more relevant images than k it cannot reach 1. */
export function recallAt(k: number, { ranked, relevant }: Judged): number {
  return countRelevant(k, { ranked, relevant }) / relevant.size;
}

/** 1 when anything relevant stands among the first k, else 0: what papers on metric learning call Recall@k. */
export function hitAt(k: number, judged: Judged): number {
  return countRelevant(k, judged) > 0 ? 1 : 0;
}

/**
 * Average precision of the first k: the precision at each relevant place, summed up, over as many as could stand there. Its
 * mean over queries is mAP@k as T. Weyand et al., "Google Landmarks Dataset v2" (CVPR 2020), define it.
 */
export function averagePrecisionAt(k: number, { ranked, relevant }: Judged): number {
  let found = 0;
  let sum = 0;
  for (let i = 0; i < Math.min(k, ranked.length); i++) {
    if (relevant.has(ranked[i] as string)) sum += ++found / (i + 1);
  }
  return sum / Math.min(k, relevant.size);
}

/**
 * Normalised discounted cumulative gain of the first k (K. Järvelin and J. Kekäläinen, 2002): a relevant image at place i,
 * counted from 1, is worth 1 / log2(i + 1), over what the best ranking would be worth.
 */
export function ndcgAt(k: number, { ranked, relevant }: Judged): number {
  let gain = 0;
  for (let i = 0; i < Math.min(k, ranked.length); i++) if (relevant.has(ranked[i] as string)) gain += discount(i);
  let best = 0;
  for (let i = 0; i < Math.min(k, relevant.size); i++) best += discount(i);
  return gain / best;
}

function countRelevant(k: number, { ranked, relevant }: Judged): number {
  return ranked.slice(0, k).filter((id) => relevant.has(id)).length;
}

function discount(place: number): number {
  return 1 / Math.log2(place + 2);
}
