/** A plan as a person reads it. */
import type { Config } from '../common/config.js';
import type { Change } from '../k8s/changes.js';
import type { Range } from '../k8s/costs.js';
import type { Plan } from '../k8s/plan.js';
import { alignColumns, wrap } from './layout.js';

const SIGNS = { added: '+', changed: '~', removed: '-' } as const satisfies Record<Change['change'], string>;

/** @param width of the terminal; undefined: sentences are not broken */
export function describePlan({ changes, costs, total, peakPods, meaning, warnings }: Plan, { file, platform }: Config, width: number | undefined): string[] {
  const list = (title: string, sentences: readonly string[]): string[] => (sentences.length === 0 ? [] : ['', title, ...sentences.flatMap((sentence) => wrap(sentence, width === undefined ? undefined : width - 4).map((line, i) => (i === 0 ? `  - ${line}` : `    ${line}`)))]);
  const header = `${file}, in the namespace ${platform.namespace}: ${changes.length > 0 ? `${describeCount(changes)}.` : meaning.length > 0 ? 'no object changes.' : 'nothing changes.'}`;
  if (changes.length === 0) return [header, ...list('What it means', meaning), ...list('Take note', warnings)];
  return [
    header,
    ...list('What it means', meaning),
    ...list('Take note', warnings),
    '',
    'Pods, and the CPUs and memory that they ask for',
    ...alignColumns(
      [
        ...costs.map(({ service, before, after }) => [`  ${service}`, arrow(before.pods, after.pods), arrow(before.cpu, after.cpu), `${arrow(before.memory, after.memory, formatMemory)}`]),
        ['  all', `${arrow(total.before.pods, total.after.pods)}${platform.quota.pods === undefined ? '' : ` of ${platform.quota.pods}`}`, arrow(total.before.cpu, total.after.cpu), arrow(total.before.memory, total.after.memory, formatMemory)],
      ],
    ),
    `  While it is applied, up to ${peakPods} pods at once, beside those that are ending.`,
    '',
    'Objects',
    ...changes.map((change) => `  ${describeChange(change)}`),
    ...changes.flatMap(({ diff }) => (diff === undefined ? [] : ['', ...diff.split('\n')])),
  ];
}

function describeCount(changes: readonly Change[]): string {
  return (['added', 'changed', 'removed'] as const).map((kind) => [kind, changes.filter(({ change }) => change === kind).length] as const).filter(([, count]) => count > 0).map(([kind, count]) => `${count} object(s) ${kind}`).join(', ');
}

function describeChange({ change, kind, name, before, effect }: Change): string {
  return `${SIGNS[change]} ${kind} ${before === undefined ? name : `${before} → ${name}`}${effect === undefined ? '' : `: ${effect}`}`;
}

function arrow(before: Range, after: Range, format: (value: number) => string = (value) => String(+value.toFixed(2))): string {
  const text = ({ min, max }: Range): string => (min === max ? format(min) : `${format(min)}-${format(max)}`);
  return text(before) === text(after) ? text(after) : `${text(before)} → ${text(after)}`;
}

function formatMemory(mebibytes: number): string {
  return mebibytes < 1024 ? `${mebibytes} MiB` : `${+(mebibytes / 1024).toFixed(1)} GiB`;
}
