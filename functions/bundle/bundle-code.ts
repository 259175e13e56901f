/** Puts the code of the function into few files, without what only other roles use. */
import { join } from 'node:path';
import type * as esbuild from 'esbuild';
import { EisError } from '../../common/errors.js';
import { packagePath } from '../../common/package-root.js';

/** What Node loads by itself: the function, and its threads. */
const ENTRIES = ['functions/index.js', 'functions/engines/inference-worker.js', 'functions/engines/reference-worker.js', 'functions/models/hdf5-worker.js'];

/** Where a bundle has the function. */
export const MAIN = `dist/${ENTRIES[0] as string}`;

/** Packages that were written for `require` ask for Node's own modules by it. */
const REQUIRE = "import { createRequire as createBundleRequire } from 'node:module';\nconst require = createBundleRequire(import.meta.url);";

/**
 * Bundles the compiled code below `dist/`, as it lies there: threads and the package's files are found as from there.
 *
 * @param external packages that are not taken in, because they are installed beside the code
 * @throws EisError EIS_BUNDLE when esbuild is not installed, or finds something wrong
 */
export async function bundleCode(folder: string, external: readonly string[]): Promise<void> {
  const { build } = await loadEsbuild();
  const sources = packagePath('dist');
  await build({
    absWorkingDir: sources, entryPoints: ENTRIES, outbase: '.', outdir: join(folder, 'dist'), chunkNames: 'chunks/[name]-[hash]',
    bundle: true, splitting: true, format: 'esm', platform: 'node', target: 'node20', external: external.flatMap((name) => [name, `${name}/*`]), banner: { js: REQUIRE }, logLevel: 'silent',
  }).catch((cause: unknown) => {
    throw new EisError('EIS_BUNDLE', { detail: `${(cause as Error).message.split('\n').slice(0, 3).join(' ')} Run "npm run build" first; bundles are made of what it compiles.` }, { cause });
  });
}

async function loadEsbuild(): Promise<typeof esbuild> {
  try {
    return await import('esbuild');
  } catch (cause) {
    throw new EisError('EIS_BUNDLE', { detail: 'esbuild is not installed. It comes with the packages for development: run "npm ci" in the clone.' }, { cause });
  }
}
