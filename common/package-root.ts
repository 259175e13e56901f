/** Where the package lies, whether this runs compiled (from dist/) or from source (in tests). */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

function findPackageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) {
    const parent = dirname(directory);
    if (parent === directory) throw new Error(`No package.json above ${fileURLToPath(import.meta.url)}.`);
    directory = parent;
  }
  return directory;
}

const PACKAGE_ROOT = findPackageRoot();

/** The absolute path of a file that ships with the package, named relative to its root: `models/builtin`. */
export function packagePath(...segments: string[]): string {
  return join(PACKAGE_ROOT, ...segments);
}

/**
 * The compiled module of a source file, for what Node must load by itself: worker threads and child processes. They
 * run compiled code even in tests, because production has no TypeScript loader.
 *
 * @param source path of the TypeScript file relative to the package root, e.g. `indexer/scan-worker.ts`
 */
export function compiledUrl(source: string): URL {
  return pathToFileURL(packagePath('dist', source.replace(/\.ts$/, '.js')));
}

/** The version of this package. */
export function packageVersion(): string {
  return (JSON.parse(readFileSync(packagePath('package.json'), 'utf8')) as { version: string }).version;
}
