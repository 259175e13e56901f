/** The vectors and the queries of the `index` bench, written once for all of its processes. */
import { join } from 'node:path';
import { normalise } from '../../common/vector.js';
import { ClusteredVectors } from './clustered-vectors.js';
import { countVectors, F32Writer, readSlices } from './f32-file.js';

/** Distinct queries: those that are timed, and those that recall is counted on. */
export const QUERIES = 64;
const SLICE_ROWS = 256;
const VECTORS_SEED = 2;
const QUERIES_SEED = 3;

export interface IndexData {
  readonly vectorsFile: string;
  readonly queriesFile: string;
  readonly dim: number;
  /** How many vectors the file holds. */
  readonly vectors: number;
}

export interface IndexDataOptions {
  readonly dim: number;
  readonly folder: string;
}

/** Clustered vectors (`clustered-vectors.ts`), and queries of the same distribution that are not among them. */
export function writeClusteredData(vectors: number, { dim, folder }: IndexDataOptions): IndexData {
  const data: IndexData = { ...placeOf(folder), dim, vectors };
  const source = new ClusteredVectors(dim);
  for (const [file, seed, count] of [[data.vectorsFile, VECTORS_SEED, vectors], [data.queriesFile, QUERIES_SEED, QUERIES]] as const) {
    const writer = new F32Writer(file, { dim, sliceRows: SLICE_ROWS });
    const drawn = source.draw(seed);
    for (let i = 0; i < count; i++) writer.write(drawn.next().value as Float32Array);
    writer.close();
  }
  return data;
}

/** How many vectors of a file can be held by the index: the others are queries. */
export function vectorsToHold(file: string, dim: number): number {
  return Math.max(0, countVectors(file, dim) - QUERIES);
}

/** Vectors of a file, normalised. The queries are rows of it, at even distances, that are left out of the index. */
export function copyData(file: string, vectors: number, { dim, folder }: IndexDataOptions): IndexData {
  const data: IndexData = { ...placeOf(folder), dim, vectors };
  const count = countVectors(file, dim);
  const every = Math.floor(count / QUERIES);
  const held = new F32Writer(data.vectorsFile, { dim, sliceRows: SLICE_ROWS });
  const queries = new F32Writer(data.queriesFile, { dim, sliceRows: SLICE_ROWS });
  let [heldRows, queryRows] = [0, 0];
  for (const { first, vectors: rows } of readSlices(file, { dim, count, sliceRows: SLICE_ROWS })) {
    for (const [i, row] of rows.entries()) {
      const isQuery = queryRows < QUERIES && (first + i) % every === every - 1;
      if (isQuery) queryRows++;
      else if (heldRows++ >= vectors) continue;
      (isQuery ? queries : held).write(normalise(row));
    }
  }
  held.close();
  queries.close();
  return data;
}

function placeOf(folder: string): Pick<IndexData, 'vectorsFile' | 'queriesFile'> {
  return { vectorsFile: join(folder, 'vectors.f32'), queriesFile: join(folder, 'queries.f32') };
}
