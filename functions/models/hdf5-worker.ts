/**
 * A thread that reads one HDF5 file: it says what is in it, then gives the datasets that it is asked for. It ends with
 * its file, and whatever a damaged file did to the library or its memory ends with it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Hdf5Fault, type Hdf5Contents, type Hdf5Source, type Hdf5Values } from './hdf5-contents.js';
import { openReader } from './hdf5-reader.js';

export interface Hdf5WorkerData {
  readonly source: Hdf5Source;
}

/** To the thread: the datasets that are wanted, by their paths. */
export interface Hdf5Request {
  readonly paths: readonly string[];
}

/** From the thread. */
export type Hdf5Answer =
  | { readonly kind: 'contents'; readonly contents: Hdf5Contents }
  | { readonly kind: 'values'; readonly values: Hdf5Values }
  /** It goes on. */
  | { readonly kind: 'progress' }
  | { readonly kind: 'fault'; readonly detail: string };

const PROGRESS_MS = 200;

const port = parentPort;
if (port) {
  const answer = (value: Hdf5Answer): void => port.postMessage(value);
  const refuse = (thrown: unknown): void => answer({ kind: 'fault', detail: thrown instanceof Hdf5Fault ? thrown.message : `it is damaged (${(thrown as Error).message.split('\n')[0]}). Fetch or save it again.` });
  let saidMs = 0;
  const onProgress = (): void => {
    const now = performance.now();
    if (now - saidMs < PROGRESS_MS) return;
    saidMs = now;
    answer({ kind: 'progress' });
  };
  try {
    const reader = await openReader((workerData as Hdf5WorkerData).source, onProgress);
    port.on('message', ({ paths }: Hdf5Request) => {
      try {
        for (const path of paths) answer({ kind: 'values', values: reader.read(path) });
      } catch (thrown) {
        refuse(thrown);
      }
    });
    answer({ kind: 'contents', contents: reader.contents });
  } catch (thrown) {
    refuse(thrown);
  }
}
