/**
 * Keeps a set of processes running: starts them, restarts the ones that end, stops them all. A process is forked with
 * an IPC channel, which closes when this process dies, even by SIGKILL: that is how its children know to end.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { EisError, toEisError } from '../common/errors.js';
import { localUrl, type ProcessSpec } from './processes.js';

const RESTART_MIN_MS = 200;
const RESTART_MAX_MS = 10_000;
/** After running this long a process has proven itself: its next restart is quick again. */
const PROVEN_MS = 30_000;
/** A process that ends this often before it was ever ready has a fault that restarting does not mend. */
const FAILED_STARTS_MAX = 3;
const READY_POLL_MS = 50;
const ERROR_LINES_KEPT = 20;

export interface SupervisorOptions {
  /** Where each process has its log and, while it runs, a file with its pid. */
  readonly logFolder: string;
  /** How long a process may take to end by itself before it is killed. */
  readonly killAfterMs: number;
  /** Told of what a person should know: a process ended and is started again. */
  readonly onNotice: (notice: string) => void;
}

/** A process that cannot be started; `lines` is the end of what it said to a person. */
export class ProcessFailure extends Error {
  constructor(readonly spec: ProcessSpec, readonly lines: readonly string[]) {
    super(`${spec.name} cannot be started.`);
    this.name = 'ProcessFailure';
  }
}

/** What a person is told of an error of starting. */
export function explainFailure(error: unknown): EisError {
  if (!(error instanceof ProcessFailure)) return toEisError(error);
  return new EisError('EIS_NOT_READY', { detail: `${error.message}\n${error.lines.map((line) => `  ${line}`).join('\n')}` }, { cause: error });
}

class Supervised {
  #child: ChildProcess | undefined;
  #startedAt = 0;
  #restartMs = RESTART_MIN_MS;
  #failedStarts = 0;
  #wasReady = false;
  #stopping = false;
  readonly #abort = new AbortController();
  readonly #logFile: string;
  readonly #pidFile: string;
  failure: ProcessFailure | undefined;

  constructor(readonly spec: ProcessSpec, private readonly options: SupervisorOptions) {
    const file = join(options.logFolder, spec.name.replace(/[^\w.-]+/g, '-'));
    this.#logFile = `${file}.log`;
    if (existsSync(this.#logFile)) renameSync(this.#logFile, `${this.#logFile}.1`);
    this.#pidFile = `${file}.pid`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Output goes into the file itself, not through a pipe: a process whose supervisor was killed can still write its log and end. */
  start(): void {
    this.#startedAt = Date.now();
    const log = openLog(this.#logFile);
    const child = fork(this.spec.module, [...this.spec.args], { execArgv: [...process.execArgv, ...(this.spec.nodeFlags ?? [])], env: { ...process.env, ...this.spec.env }, stdio: ['ignore', log ?? 'ignore', log ?? 'ignore', 'ipc'], detached: true });
    if (log !== undefined) closeSync(log);
    this.#child = child;
    attempt(() => writeFileSync(this.#pidFile, `${child.pid}\n`));
    child.once('error', () => void this.#onExit('it could not be started'));
    child.once('exit', (code, signal) => void this.#onExit(signal ?? `code ${code}`));
  }

  async #onExit(reason: string): Promise<void> {
    this.#child = undefined;
    attempt(() => rmSync(this.#pidFile, { force: true }));
    if (this.#stopping) return;
    if (Date.now() - this.#startedAt > PROVEN_MS) this.#restartMs = RESTART_MIN_MS;
    if (!this.#wasReady && ++this.#failedStarts >= FAILED_STARTS_MAX) {
      this.failure = new ProcessFailure(this.spec, readErrorLines(this.#logFile));
      return;
    }
    if (this.#wasReady) this.options.onNotice(`${this.spec.name} ended (${reason}); starting it again.`);
    await sleep(this.#restartMs, undefined, { signal: this.#abort.signal }).catch(() => undefined);
    this.#restartMs = Math.min(this.#restartMs * 2, RESTART_MAX_MS);
    if (!this.#stopping) this.start();
  }

  /** Resolves when the process says that it can serve. @throws ProcessFailure when it never will */
  async ready(): Promise<void> {
    for (;;) {
      if (this.failure) throw this.failure;
      if (this.#child && (await isReady(this.spec))) {
        this.#wasReady = true;
        return;
      }
      await sleep(READY_POLL_MS, undefined, { signal: this.#abort.signal });
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#abort.abort(new Error('stopping'));
    const child = this.#child;
    if (child) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      const kill = setTimeout(() => child.kill('SIGKILL'), this.options.killAfterMs);
      await ended;
      clearTimeout(kill);
    }
  }
}

/** A log that cannot be opened (its folder gone, the disk full) must not keep a process from running. */
function openLog(file: string): number | undefined {
  return attempt(() => {
    mkdirSync(dirname(file), { recursive: true });
    return openSync(file, 'a');
  });
}

function attempt<T>(operation: () => T): T | undefined {
  try {
    return operation();
  } catch {
    return undefined;
  }
}

/** The end of what a process said to a person: the lines of its log that are no JSON, each once. */
function readErrorLines(logFile: string): string[] {
  const lines = (attempt(() => readFileSync(logFile, 'utf8')) ?? '').split('\n').filter((line) => line.trim() !== '' && !line.startsWith('{'));
  return [...new Set(lines)].slice(-ERROR_LINES_KEPT);
}

async function isReady({ port, readyPath }: ProcessSpec): Promise<boolean> {
  try {
    const { statusCode, body } = await request(`${localUrl(port)}${readyPath}`, { headersTimeout: 2_000, bodyTimeout: 2_000 });
    await body.dump();
    return statusCode === 200;
  } catch {
    return false;
  }
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #processes = new Map<string, Supervised>();
  #isStopped = false;

  constructor(specs: readonly ProcessSpec[], options: SupervisorOptions) {
    mkdirSync(options.logFolder, { recursive: true });
    this.#options = options;
    for (const spec of specs) this.#processes.set(spec.name, new Supervised(spec, options));
  }

  start(): void {
    for (const supervised of this.#processes.values()) supervised.start();
  }

  /** Resolves when every process can serve. @throws ProcessFailure of the first that cannot be started */
  async ready(): Promise<void> {
    await Promise.all([...this.#processes.values()].map((supervised) => supervised.ready()));
  }

  /** Starts more processes; resolves when they can serve. @throws ProcessFailure of the first that cannot be started */
  async add(specs: readonly ProcessSpec[]): Promise<void> {
    if (this.#isStopped) return;
    const added = specs.filter(({ name }) => !this.#processes.has(name)).map((spec) => new Supervised(spec, this.#options));
    for (const supervised of added) {
      this.#processes.set(supervised.spec.name, supervised);
      supervised.start();
    }
    await Promise.all(added.map((supervised) => supervised.ready()));
  }

  /** Ends processes, which are not started again. Names that are not known are left out. */
  async remove(names: readonly string[]): Promise<void> {
    const removed = names.flatMap((name) => this.#processes.get(name) ?? []);
    for (const name of names) this.#processes.delete(name);
    await Promise.all(removed.map((supervised) => supervised.stop()));
  }

  /** Ends a process, and starts it with what its files say now. @throws ProcessFailure when it cannot be started any more */
  async restart(name: string): Promise<void> {
    const spec = this.#processes.get(name)?.spec;
    if (!spec) return;
    await this.remove([name]);
    await this.add([spec]);
  }

  /** Ends every process, by SIGKILL the ones that do not end by themselves in time. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all([...this.#processes.values()].map((supervised) => supervised.stop()));
  }

  /** The running processes' ids by name. */
  pids(): ReadonlyMap<string, number> {
    return new Map([...this.#processes.values()].flatMap(({ spec, pid }) => (pid === undefined ? [] : [[spec.name, pid] as const])));
  }
}
