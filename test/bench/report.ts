/** What every benchmark says in the end: figures and ratios, on the screen and as one line of JSON. */
import { availableParallelism, cpus } from 'node:os';

export interface BenchReport {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Keys end in their unit. */
  readonly figures: Readonly<Record<string, number>>;
  /** Ours over theirs, from the same run. */
  readonly ratios: Readonly<Record<string, number>>;
}

export function printReport(report: BenchReport, { json }: { readonly json: boolean }): void {
  const { figures, ratios } = report;
  const width = Math.max(...Object.keys({ ...figures, ...ratios }).map((key) => key.length));
  for (const [key, value] of Object.entries({ ...figures, ...ratios })) console.log(`${key.padEnd(width)}  ${formatNumber(value)}`);
  if (!json) return;
  const machine = { cpu: cpus()[0]?.model ?? 'unknown', cores: availableParallelism(), node: process.version };
  console.log(JSON.stringify({ name: report.name, options: report.options, machine, figures: mapValues(figures, round), ratios: mapValues(ratios, round) }));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

function formatNumber(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toPrecision(3);
}

function round(value: number): number {
  return Number(value.toPrecision(5));
}

function mapValues(values: Readonly<Record<string, number>>, change: (value: number) => number): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, change(value)]));
}
