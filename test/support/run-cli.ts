/** The `eis` command as a person runs it. */
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packagePath } from '../../common/package-root.js';

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where the command keeps what it keeps, unless a test names a folder. */
const DATA_DIR = join(tmpdir(), `eis-cli-${process.pid}`);
process.once('exit', () => rmSync(DATA_DIR, { recursive: true, force: true }));

export function runCli(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliResult> {
  return new Promise((resolve) => {
    execFile(process.execPath, [packagePath('dist/cli.js'), ...args], { env: { ...process.env, EIS_DATA_DIR: DATA_DIR, ...env }, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? 1 : 0, stdout, stderr });
    });
  });
}
