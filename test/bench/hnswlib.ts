/**
 * hnswlib-node, as far as the bench needs it. It is no dependency, because installing it takes a C++ compiler. It is built
 * for any processor of its kind (SSE on x86-64); CXXFLAGS=-march=native before the command gives it this machine's.
 */

export interface HnswlibGraph {
  initIndex(elementsMax: number, m: number, efConstruction: number, seed: number): void;
  addPoint(point: number[], label: number): void;
  setEf(ef: number): void;
  searchKnn(query: number[], count: number): { readonly neighbors: number[] };
  writeIndexSync(file: string): void;
  readIndexSync(file: string): void;
}

export interface Hnswlib {
  readonly HierarchicalNSW: new (space: 'ip', dim: number) => HnswlibGraph;
}

export const HNSWLIB_INSTALL = 'npm install --no-save hnswlib-node@3';
/** Typed as any name, so that the compiler does not look for it. */
const PACKAGE: string = 'hnswlib-node';

/** Undefined where it is not installed. */
export async function importHnswlib(): Promise<Hnswlib | undefined> {
  try {
    return ((await import(PACKAGE)) as { readonly default: Hnswlib }).default;
  } catch {
    return undefined;
  }
}
