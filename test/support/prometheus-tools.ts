/** A Prometheus of this machine, and its promtool. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from './free-ports.js';

const named = process.env['EIS_TEST_PROMETHEUS'];
const server = named ?? '/usr/bin/prometheus';
const START_TIMEOUT_MS = 30_000;

/** Why there is none, or undefined. Where EIS_TEST_PROMETHEUS names one it must be there. */
export const PROMETHEUS_MISSING: string | undefined = named === undefined && !existsSync(server) ? `there is no ${server} (apt-get install prometheus, or name one with EIS_TEST_PROMETHEUS)` : undefined;

/** What promtool says; rejects, with that, when it finds fault. */
export async function promtool(...args: string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(join(dirname(server), 'promtool'), args).catch((error: Error & { stdout?: string; stderr?: string }) => {
    throw new Error(`promtool ${args.join(' ')}:\n${error.stdout}${error.stderr}`, { cause: error });
  });
  return stdout + stderr;
}

export interface RunningPrometheus {
  /** The `data` of an answer of its API. @throws Error with what it answered else */
  api<T>(path: string, query?: Readonly<Record<string, string>>): Promise<T>;
  stop(): Promise<void>;
}

/** @param folder holds `prometheus.yml`, and what it keeps */
export async function startPrometheus(folder: string): Promise<RunningPrometheus> {
  const port = await freePort();
  const child = spawn(server, [`--config.file=${join(folder, 'prometheus.yml')}`, `--storage.tsdb.path=${join(folder, 'tsdb')}`, `--web.listen-address=127.0.0.1:${port}`], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
  const url = `http://127.0.0.1:${port}`;
  const deadlineAt = performance.now() + START_TIMEOUT_MS;
  while (!(await fetch(`${url}/-/ready`).then(({ ok }) => ok, () => false))) {
    if (child.exitCode !== null || performance.now() > deadlineAt) {
      child.kill('SIGKILL');
      throw new Error(`Prometheus does not start:\n${said}`);
    }
    await sleep(50);
  }
  return {
    async api<T>(path: string, query: Readonly<Record<string, string>> = {}) {
      const answer = (await (await fetch(`${url}/api/v1/${path}?${new URLSearchParams(query).toString()}`)).json()) as { status: string; data: T; error?: string };
      if (answer.status !== 'success') throw new Error(`${path} ${JSON.stringify(query)}: ${answer.error}`);
      return answer.data;
    },
    async stop() {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}
