/** What `eis dedupe` says to a person. */
import { displaySource } from './display.js';
import type { DedupeReport, UnchangedReport } from './dedupe-run.js';
import { MARGINS_MIN } from '../dedupe/calibration.js';
import { MARGIN_MAX } from '../dedupe/surroundings.js';
import { wrap } from './layout.js';

/** Groups that are told of on a terminal. */
const GROUPS_TOLD = 10;

/** @param width of the terminal; undefined: lines of any length */
export function describeDedupe(report: DedupeReport | UnchangedReport, width: number | undefined): string[] {
  if ('unchanged' in report) return [`${report.model}: no image came and no group lost one since the last run; its groups stand.`];
  const { groups, urls } = report;
  const told = groups.slice(0, GROUPS_TOLD);
  return [
    ...wrap(`${report.model}: ${describeFindings(report)} ${describeWork(report)} ${describeScale(report)} ${describeOutcome(report)}`, width),
    ...told.map(({ canonical, members }) => `  ${String(members.length).padStart(String(told[0]?.members.length).length)} images  ${canonical}  ${displaySource(urls[canonical] ?? canonical, '')}`.trimEnd()),
    ...(groups.length > GROUPS_TOLD ? [`  … and ${count(groups.length - GROUPS_TOLD, 'more group', 'more groups')}; --json has all.`] : []),
  ];
}

function describeFindings({ groups, pictures }: DedupeReport): string {
  if (groups.length === 0) return `no near-duplicates among ${count(pictures, 'image')}.`;
  const copies = groups.reduce((sum, { members }) => sum + members.length - 1, 0);
  return `${count(groups.length, 'group')} with ${count(copies, 'copy', 'copies')} among ${count(pictures, 'image')}.`;
}

function describeWork({ isFull, judged, compared, seconds }: DedupeReport): string {
  return `${isFull ? 'All were judged' : `${count(judged, 'image')} that came since, or lost the others of a group, ${judged === 1 ? 'was' : 'were'} judged`}: ${count(compared, 'pair')} in ${seconds.toFixed(1)} s.`;
}

/** By what pairs were taken for copies: what was calibrated, or why nothing was. */
function describeScale({ calibration }: DedupeReport): string {
  if (!calibration) return `Fewer than ${MARGINS_MIN} pairs of neighbours stand out from their surroundings, too few to calibrate by: only what the perceptual hash finds alike was taken for copies.`;
  if ((calibration.thresholds.at(-1) as number) > MARGIN_MAX) return 'Of what the perceptual hash does not find alike, there are too few copies to tell them from what is only similar: none of it was taken for copies.';
  return `Calibrated from ${count(calibration.margins, 'pair')} of neighbours.`;
}

function describeOutcome({ applied, changes }: DedupeReport): string {
  if (changes === 0) return 'The groups in the store are these already.';
  return applied ? `${count(changes, 'image has', 'images have')} another group than before.` : `${count(changes, 'image', 'images')} would have another group than now: --apply writes it.`;
}

function count(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}
