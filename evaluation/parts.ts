/** The parts of an evaluation as a person reads them: by alteration, or by class or group. */
import { alterationTitle } from './alterations.js';
import type { Evaluation, JudgedRun } from './evaluation.js';

export interface RankedPart {
  readonly title: string;
  readonly queries: number;
  /** Of each run: of altered copies the recall of the first place, of classes and groups the average precision. */
  readonly figures: readonly number[];
}

/** The hardest for the first run first. */
export function rankParts({ mode, runs, places }: Evaluation): RankedPart[] {
  const figure = ({ parts }: JudgedRun, part: string): number => (mode === 'altered' ? parts.get(part)?.recall.get(places[0]) : parts.get(part)?.map) ?? 0;
  const ranked = [...(runs[0] as JudgedRun).parts].map(([part, { queries }]) => ({ title: mode === 'altered' ? alterationTitle(part) : part, queries, figures: runs.map((run) => figure(run, part)) }));
  return ranked.sort((a, b) => (a.figures[0] as number) - (b.figures[0] as number));
}
