/** Compiles the sources before the tests: worker threads and child processes load what stands in dist/. */
import { execFileSync } from 'node:child_process';
import { packagePath } from '../../common/package-root.js';

export function setup(): void {
  execFileSync(process.execPath, [packagePath('node_modules/typescript/bin/tsc'), '-b'], { cwd: packagePath(), stdio: 'inherit' });
}
