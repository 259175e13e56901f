/**
 * HDF5 files, read in a thread of their own: damaged ones make the HDF5 library loop for ever, run out of memory or abort,
 * and a thread can be ended whatever it does.
 */
import { Worker } from 'node:worker_threads';
import { compiledUrl } from '../../common/package-root.js';
import type { Hdf5Contents, Hdf5Source, Hdf5Values } from './hdf5-contents.js';
import type { Hdf5Answer, Hdf5Request, Hdf5WorkerData } from './hdf5-worker.js';
import { failModel } from './model.js';

export interface Hdf5File {
  readonly contents: Hdf5Contents;
  /** The numbers of datasets, by their paths, in that order. */
  read(paths: readonly string[]): Promise<Hdf5Values[]>;
}

export interface Hdf5Options {
  /** To be named in errors. */
  readonly file: string;
  /** How long the thread may take for one step: a group, or some megabytes. */
  readonly stallMs?: number;
}

/** A step takes milliseconds; on a disk that does not answer, seconds. */
const STALL_MS = 30_000;
/** Names and texts; the weights lie outside of it. */
const HEAP_MB = 512;

/**
 * Opens an HDF5 file for as long as `use` runs.
 *
 * @throws EisError EIS_MODEL_FILE when it is no HDF5 file, is damaged, announces more than is read, or names other files
 */
export async function withHdf5<T>(source: Hdf5Source, options: Hdf5Options, use: (hdf5: Hdf5File) => Promise<T>): Promise<T> {
  const worker = new Worker(compiledUrl('functions/models/hdf5-worker.ts'), { workerData: { source } satisfies Hdf5WorkerData, stdout: true, stderr: true, resourceLimits: { maxOldGenerationSizeMb: HEAP_MB } });
  const answers = listen(worker, options);
  try {
    const [contents] = (await answers.next(1)) as [Hdf5Contents];
    return await use({
      contents,
      async read(paths) {
        worker.postMessage({ paths } satisfies Hdf5Request);
        return (await answers.next(paths.length)) as Hdf5Values[];
      },
    });
  } finally {
    answers.close();
    await worker.terminate();
  }
}

type Result = Hdf5Contents | Hdf5Values;

interface Answers {
  /** The next results of the thread, so many of them. */
  next(count: number): Promise<Result[]>;
  close(): void;
}

function listen(worker: Worker, { file, stallMs = STALL_MS }: Hdf5Options): Answers {
  const results: Result[] = [];
  let failure: string | undefined;
  let isWaiting = false;
  let wake = (): void => undefined;
  const fail = (detail: string): void => {
    failure ??= detail;
    wake();
  };
  const watchdog = setInterval(() => isWaiting && fail(`it is damaged: reading it came to no end (nothing for ${stallMs / 1_000} s). Fetch or save it again.`), stallMs);
  worker.on('message', (answer: Hdf5Answer) => {
    watchdog.refresh();
    if (answer.kind === 'fault') return fail(answer.detail);
    if (answer.kind === 'contents') results.push(answer.contents);
    if (answer.kind === 'values') results.push(answer.values);
    wake();
  });
  worker.on('error', (error) => fail(`it is damaged, or asks for more memory than there is (${error.message.split('\n')[0]}). Fetch or save it again.`));
  worker.on('exit', () => fail('it is damaged: the thread that read it ended. Fetch or save it again.'));
  return {
    async next(count) {
      watchdog.refresh();
      while (results.length < count) {
        if (failure !== undefined) failModel(file, failure);
        isWaiting = true;
        await new Promise<void>((resolve) => (wake = resolve));
        isWaiting = false;
      }
      return results.splice(0, count);
    },
    close: () => clearInterval(watchdog),
  };
}
