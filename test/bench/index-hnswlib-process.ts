/** The yardstick of approximate search in a process of its own: hnswlib's graph, built once and read from its file by those that search. */
import { idOf } from '../indexer/vectors.js';
import { readSlices } from './f32-file.js';
import { importHnswlib } from './hnswlib.js';
import { describeTimed, readQueries, timeSearches, TOP, type IndexMeasured, type IndexTask } from './index-task.js';

export interface HnswlibTask extends IndexTask {
  readonly step: 'build' | 'search';
  readonly graphFile: string;
}

export interface HnswlibBuilt {
  readonly buildS: number;
}

const M = 16;
const EF_CONSTRUCTION = 128;
const EF = 64;
const SEED = 1;
const SLICE_ROWS = 256;

const task = JSON.parse(process.argv[2] as string) as HnswlibTask;
const hnswlib = await importHnswlib();
if (!hnswlib) throw new Error('hnswlib-node is not installed.');
const graph = new hnswlib.HierarchicalNSW('ip', task.dim);
console.log(JSON.stringify(task.step === 'build' ? build(task) : await measure(task)));
process.exit();

function build({ vectorsFile, dim, vectors, graphFile }: HnswlibTask): HnswlibBuilt {
  const startedAt = performance.now();
  graph.initIndex(vectors, M, EF_CONSTRUCTION, SEED);
  for (const slice of readSlices(vectorsFile, { dim, count: vectors, sliceRows: SLICE_ROWS })) {
    slice.vectors.forEach((vector, i) => graph.addPoint(Array.from(vector), slice.first + i));
  }
  const buildS = (performance.now() - startedAt) / 1000;
  graph.writeIndexSync(graphFile);
  return { buildS };
}

async function measure({ graphFile, searches, ...task }: HnswlibTask): Promise<IndexMeasured> {
  graph.readIndexSync(graphFile);
  graph.setEf(EF);
  const queries = readQueries(task).map((query) => Array.from(query));
  const search = (i: number): number[] => graph.searchKnn(queries[i % queries.length] as number[], TOP).neighbors;
  const found = queries.map((_, i) => search(i).map(idOf));
  return { ...describeTimed(await timeSearches(search, { searches, clients: 1 })), found };
}
