/**
 * Searches of one shard with a filter beside the same searches without one, in turns, in one process: filters that half, a
 * hundredth and a ten-thousandth of the images match, by equality, range and set, several names together, half of the images
 * that are all unlike the query, and another filter in each search. By one client and by many. `first_ms` is a filter's first
 * search; what is remembered of it then is used by the others. Vectors are `ClusteredVectors`, metadata is drawn from a seed.
 *
 * `metadata_bytes_per_image` is what the process holds more, garbage collected, than one of the same images without metadata.
 */
import { Option, type Command } from 'commander';
import { INDEX_ALGORITHMS } from '../../common/config-schema.js';
import type { IndexAlgorithm } from '../../common/config.js';
import { INDEX_NODE_FLAGS } from '../../common/node-flags.js';
import { measureInProcess } from './embed.js';
import type { FilterMeasured, FilterTask, FilterVariant } from './filter-process.js';
import { printReport } from './report.js';

interface FilterBenchOptions {
  readonly images: number;
  readonly dim: number;
  readonly algorithm: IndexAlgorithm;
  readonly clients: number;
  readonly searches: number;
  readonly json: boolean;
}

export function addFilterBench(program: Command): void {
  program
    .command('filter')
    .description('searches of a shard with filters on metadata, beside those without')
    .option('--images <n>', 'images', Number, 100_000)
    .option('--dim <n>', 'numbers of a vector', Number, 256)
    .addOption(new Option('--algorithm <name>', 'the index').choices(INDEX_ALGORITHMS).default('brute'))
    .option('--clients <n>', 'searches at once, beside one at a time', Number, 8)
    .option('--searches <n>', 'measured searches of each kind', Number, 100)
    .option('--json', 'end with one line of JSON', false)
    .action(benchFilter);
}

async function benchFilter({ json, ...options }: FilterBenchOptions): Promise<void> {
  const bare = await measure({ ...options, hasMetadata: false, searches: 0 });
  const { variants, ...rest } = await measure({ ...options, hasMetadata: true });
  for (const variant of variants) console.log(describe(variant));
  const figures = variants.flatMap(({ name, firstMs, firstCpuMs, p50Ms, cpuMs, p50ManyMs, p99ManyMs, loopDelayP99Ms, loopDelayP99PlainMs }): [string, number][] => [
    [`${name}_first_ms`, firstMs], [`${name}_first_cpu_ms`, firstCpuMs], [`${name}_p50_ms`, p50Ms], [`${name}_cpu_ms`, cpuMs], [`${name}_p50_many_ms`, p50ManyMs],
    [`${name}_p99_many_ms`, p99ManyMs], [`${name}_loop_delay_p99_ms`, loopDelayP99Ms], [`${name}_loop_delay_none_p99_ms`, loopDelayP99PlainMs],
  ]);
  const ratios = variants.flatMap(({ name, p50Ms, p50PlainMs, cpuMs, cpuPlainMs, p50ManyMs, p50ManyPlainMs }): [string, number][] => [
    [`${name}_over_none`, p50Ms / p50PlainMs], [`${name}_cpu_over_none`, cpuMs / cpuPlainMs], [`${name}_over_none_many`, p50ManyMs / p50ManyPlainMs],
  ]);
  printReport({
    name: 'filter',
    options,
    figures: { ...Object.fromEntries(figures), load_s: rest.loadS, bytes_per_image: rest.bytesPerImage, metadata_bytes_per_image: rest.bytesPerImage - bare.bytesPerImage, metadata_json_bytes: rest.jsonBytes },
    ratios: Object.fromEntries(ratios),
  }, { json });
}

function measure(task: FilterTask): Promise<FilterMeasured> {
  return measureInProcess<FilterMeasured>('filter-process', task, INDEX_NODE_FLAGS);
}

function describe({ name, matching, firstMs, firstCpuMs, p50Ms, p50PlainMs, cpuMs, cpuPlainMs, p50ManyMs, p50ManyPlainMs, loopDelayP99Ms, loopDelayP99PlainMs }: FilterVariant): string {
  const ms = (value: number): string => value.toFixed(1);
  return `${name}, of ${matching} matching: first ${ms(firstMs)} ms (CPU ${ms(firstCpuMs)}), then ${ms(p50Ms)} (without a filter ${ms(p50PlainMs)}), CPU ${ms(cpuMs)} (${ms(cpuPlainMs)}); by many clients ${ms(p50ManyMs)} (${ms(p50ManyPlainMs)}), event loop late by ${ms(loopDelayP99Ms)} (${ms(loopDelayP99PlainMs)})`;
}
