/** The whole system on this machine, started as a person starts it, for tests from outside. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { packagePath } from '../../common/package-root.js';

export interface LocalStack {
  readonly url: string;
  readonly basePort: number;
  readonly dataDir: string;
  readonly pid: number;
  /** What it printed so far. */
  output(): string;
  /** The pid of a running process by its name, e.g. `index-builtin-0-2`. */
  pidOf(name: string): number | undefined;
  /** The names of the running processes. */
  names(): string[];
  /** Ends it as Ctrl-C does; returns how long that took. */
  stop(): Promise<number>;
  /** Resolves when the starting process is gone, however. */
  readonly ended: Promise<void>;
}

export interface LocalStackOptions {
  readonly folder: string;
  readonly args?: readonly string[];
  readonly config?: unknown;
  readonly basePort?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** A base port whose block is free, away from where the system puts outgoing connections. */
export async function freeBasePort(): Promise<number> {
  for (;;) {
    const base = 10_000 + Math.floor(Math.random() * 200) * 100;
    const free = await Promise.all([0, 1, 2, 3, 10, 11, 20, 21, 22].map((offset) => isFree(base + offset)));
    if (free.every(Boolean)) return base;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** Starts it and waits until it says that it runs. */
export async function startLocalStack({ folder, args = [], config, basePort: chosen, env = {} }: LocalStackOptions): Promise<LocalStack> {
  const dataDir = join(folder, 'data');
  mkdirSync(dataDir, { recursive: true });
  const configFile = join(folder, 'config.json');
  writeFileSync(configFile, config === undefined ? readFileSync(packagePath('config.json')) : JSON.stringify(config));
  const basePort = chosen ?? (await freeBasePort());
  const child = spawn(process.execPath, [packagePath('dist/start.js'), ...args], {
    env: { ...process.env, EIS_CONFIG: configFile, EIS_DATA_DIR: dataDir, EIS_BASE_PORT: String(basePort), PORT: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  while (!output.includes('Image search is running')) {
    if (child.exitCode !== null) throw new Error(`It ended with ${child.exitCode}:\n${output}`);
    await sleep(25);
  }
  return describeStack({ child, basePort, dataDir, ended, output: () => output });
}

function describeStack({ child, basePort, dataDir, ended, output }: { child: ChildProcess; basePort: number; dataDir: string; ended: Promise<void>; output: () => string }): LocalStack {
  const logs = join(dataDir, 'logs');
  const pidFiles = (): string[] => readdirSync(logs).filter((name) => name.endsWith('.pid'));
  return {
    url: `http://127.0.0.1:${basePort}`, basePort, dataDir, ended, output,
    pid: child.pid as number,
    names: () => pidFiles().map((name) => name.replace(/\.pid$/, '')),
    pidOf: (name) => (pidFiles().includes(`${name}.pid`) ? Number(readFileSync(join(logs, `${name}.pid`), 'utf8')) : undefined),
    async stop() {
      const startedAt = performance.now();
      child.kill('SIGINT');
      await ended;
      return performance.now() - startedAt;
    },
  };
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
