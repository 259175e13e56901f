/**
 * An index of vectors: filling it, searching it by one client and by many, what it finds, its memory, and what it does to
 * the event loop; beside usearch's exact float32 search and hnswlib on the same vectors. Vectors are clustered and drawn
 * from a seed (`clustered-vectors.ts` has the formula), or rows of a file. Each variant runs in fresh processes, by turns,
 * and a ratio is the median of those within a round, because a machine's speed changes from one minute to the next.
 *
 * `bytes_per_vector` is anonymous memory (RssAnon, and RssShmem where threads share it so), garbage collected, after the
 * first search, less that of the same index with one vector and its threads started; the peak is read after every slice
 * of 256 vectors that was put in, and after that search, garbage and all. `load_s` is the time inside `upsert` alone,
 * `settled_s` that with what goes on in the background afterwards.
 * Latencies without a number of clients in their name are those of one client.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Option, type Command } from 'commander';
import { grantedCpus } from '../../common/granted-cpus.js';
import { INDEX_ALGORITHMS } from '../../common/config-schema.js';
import { HNSWLIB_INSTALL, importHnswlib } from './hnswlib.js';
import { copyData, vectorsToHold, writeClusteredData } from './index-data.js';
import { describeOwn, ownFigures, reportComparison, reportGrowth, type SizeRuns } from './index-report.js';
import { TOP, type IndexBenchOptions, type IndexTask } from './index-task.js';
import { buildHnswlib, findReference, measureHnswlib, measureOwn, measureUsearch, recallOf } from './index-variants.js';

const VECTORS = 100_000;
const GROWTH = [1, 2, 4, 8];
/** Of stored vectors: building hnswlib's graph of 100,000 vectors of 1,280 takes minutes, on one thread. */
const HNSWLIB_NUMBERS_MAX = 200_000_000;

export function addIndexBench(program: Command): void {
  program
    .command('index')
    .description(`an index is filled and searched, beside usearch (exact, float32) and hnswlib-node where that is installed (it takes a C++ compiler: ${HNSWLIB_INSTALL})`)
    .option('--vectors <n>', `vectors; default: ${VECTORS.toLocaleString('en')}, or with --file what it holds less the queries`, Number)
    .option('--dim <n>', 'numbers of a vector', Number, 1_280)
    .addOption(new Option('--algorithm <name>', 'the index').choices(INDEX_ALGORITHMS).default('brute'))
    .option('--clients <n>', 'searches at once, beside one at a time; usearch is given as many queries in a call', Number, 16)
    .option('--searches <n>', 'measured searches in a process', Number, 200)
    .option('--rounds <n>', 'processes of each variant, by turns', Number, 3)
    .option('--file <vectors.f32>', 'takes vectors and queries from there (float32, little-endian, --dim numbers each), normalised, instead of drawing them')
    .option('--grow', 'our index alone, of as many vectors, twice, 4 and 8 times as many', false)
    .option('--hnswlib', `hnswlib-node also where its building takes long: over ${HNSWLIB_NUMBERS_MAX / 1e6} million numbers in all vectors`, false)
    .option('--json', 'end with one line of JSON', false)
    .action(benchIndex);
}

async function benchIndex(options: IndexBenchOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'eis-bench-'));
  try {
    const growth = options.grow ? GROWTH : [1];
    const vectors = chooseVectors(options, growth.at(-1) as number);
    const sizes = await prepare(options, { folder, sizes: growth.map((times) => times * vectors) });
    const graphFile = options.grow ? undefined : await prepareHnswlib(sizes[0] as SizeRuns, { folder, isWanted: options.hnswlib });
    for (let round = 1; round <= options.rounds; round++) {
      for (const size of sizes) await runRound(size, { round, options, folder, graphFile });
    }
    const reported = { ...options, vectors };
    if (options.grow) reportGrowth(reported, sizes);
    else reportComparison(reported, sizes[0] as SizeRuns);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** How many vectors the smallest index holds. */
function chooseVectors({ vectors, dim, file }: IndexBenchOptions, growth: number): number {
  const most = file === undefined ? Infinity : vectorsToHold(file, dim);
  const chosen = vectors ?? (file === undefined ? VECTORS : Math.floor(most / growth));
  if (!(chosen >= TOP)) throw new Error(`--vectors ${chosen}: the index has to hold ${TOP} vectors or more.`);
  if (chosen * growth > most) throw new Error(`${file} can fill an index of ${most} vectors, beside the queries; ${chosen * growth} are asked for.`);
  return chosen;
}

async function prepare({ dim, file, searches, clients }: IndexBenchOptions, { folder, sizes }: { readonly folder: string; readonly sizes: readonly number[] }): Promise<SizeRuns[]> {
  const most = sizes.at(-1) as number;
  const data = file === undefined ? writeClusteredData(most, { dim, folder }) : copyData(resolve(file), most, { dim, folder });
  const threads = grantedCpus();
  const prepared: SizeRuns[] = [];
  for (const vectors of sizes) {
    const task: IndexTask = { ...data, vectors, threads, searches, clients };
    prepared.push({ task, reference: await findReference(task, threads), own: [], usearch: [], hnswlib: [], hnswlibBuildS: undefined });
  }
  return prepared;
}

/** The file of hnswlib's graph; undefined: it is left out. */
async function prepareHnswlib(size: SizeRuns, { folder, isWanted }: { readonly folder: string; readonly isWanted: boolean }): Promise<string | undefined> {
  const { task } = size;
  if (!(await importHnswlib())) {
    console.log(`hnswlib-node is not installed: left out. ${HNSWLIB_INSTALL}`);
    return undefined;
  }
  if (!isWanted && task.vectors * task.dim > HNSWLIB_NUMBERS_MAX) {
    console.log('hnswlib-node is left out: building its graph takes long. --hnswlib builds it.');
    return undefined;
  }
  const graphFile = join(folder, 'hnswlib.graph');
  size.hnswlibBuildS = (await buildHnswlib(task, graphFile)).buildS;
  console.log(`hnswlib-node: built in ${size.hnswlibBuildS.toFixed(1)} s`);
  return graphFile;
}

interface RoundParts {
  readonly round: number;
  readonly options: IndexBenchOptions;
  readonly folder: string;
  readonly graphFile: string | undefined;
}

async function runRound(size: SizeRuns, { round, options: { algorithm, grow, clients }, folder, graphFile }: RoundParts): Promise<void> {
  const { task, reference } = size;
  const own = await measureOwn(task, { algorithm, folder });
  size.own.push(own);
  console.log(`round ${round}, ${algorithm}, ${task.vectors} vectors: ${describeOwn(ownFigures(own, { task, reference }))}`);
  if (grow) return;
  const usearch = await measureUsearch(task);
  size.usearch.push(usearch);
  console.log(`round ${round}, usearch float32: ${describe(usearch)}, ${usearch.qpsMany.toFixed(1)}/s in batches of ${clients}, recall ${recallOf(usearch, reference).toFixed(4)}`);
  if (graphFile === undefined) return;
  const hnswlib = await measureHnswlib(task, graphFile);
  size.hnswlib.push(hnswlib);
  console.log(`round ${round}, hnswlib: ${describe(hnswlib)}, recall ${recallOf(hnswlib, reference).toFixed(4)}`);
}

function describe({ p50Ms, p99Ms, qpsOne }: { readonly p50Ms: number; readonly p99Ms: number; readonly qpsOne: number }): string {
  return `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms, ${qpsOne.toFixed(1)}/s`;
}
