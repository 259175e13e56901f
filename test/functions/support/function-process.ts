/** The function as production runs it: functions-framework in a process of its own, on the compiled module. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compiledUrl, packagePath } from '../../../common/package-root.js';
import { freePort } from '../../support/free-ports.js';

export interface FunctionProcess {
  readonly url: string;
  readonly port: number;
  readonly child: ChildProcess;
  /** What it wrote to stdout and stderr so far. */
  readonly output: () => string;
  /** The most memory it ever held, in MB; undefined where the system does not tell. */
  readonly peakMemoryMb: () => number | undefined;
  readonly stop: () => Promise<void>;
}

/**
 * Starts without waiting until it is ready.
 *
 * @param bundle the folder of a bundle, whose packages are installed, in place of the repository's function
 */
export async function spawnFunction(environment: Record<string, string> = {}, bundle?: string): Promise<FunctionProcess> {
  const port = await freePort();
  const source = bundle ?? fileURLToPath(compiledUrl('functions/index.ts'));
  const child = fork(join(bundle ?? packagePath(), 'node_modules/@google-cloud/functions-framework/build/src/main.js'), ['--target=embed', `--source=${source}`], {
    cwd: bundle,
    env: { PATH: process.env['PATH'], NODE_ENV: 'production', PORT: String(port), HOST: '127.0.0.1', MODEL: 'builtin', EIS_CONFIG: packagePath('config.json'), LOG_LEVEL: 'info', ...environment },
    execArgv: [],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += String(chunk)));
  const exited = once(child, 'exit');
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    child,
    output: () => output,
    peakMemoryMb: () => readPeakMemory(child.pid as number),
    stop: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

export async function startFunction(environment: Record<string, string> = {}, bundle?: string): Promise<FunctionProcess> {
  const started = await spawnFunction(environment, bundle);
  for (;;) {
    if (started.child.exitCode !== null) throw new Error(`The function ended with ${started.child.exitCode}:\n${started.output()}`);
    const ready = await fetch(`${started.url}/ready`).then(({ ok }) => ok, () => false);
    if (ready) return started;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function readPeakMemory(pid: number): number | undefined {
  const file = `/proc/${pid}/status`;
  const kilobytes = existsSync(file) ? /VmHWM:\s+(\d+)/.exec(readFileSync(file, 'utf8'))?.[1] : undefined;
  return kilobytes === undefined ? undefined : Number(kilobytes) / 1024;
}
