/**
 * Locks between processes, as files that are made exclusively and hold who made them. The lock of a process that has
 * ended is removed by whoever finds it. Where that cannot be known, as of processes on another host (containers that
 * share a volume), they live by their heartbeat, the file's mtime: they are taken for dead when that stands still while
 * it is watched, so that clocks that differ do no harm.
 */
import { randomUUID } from 'node:crypto';
import { open, readFile, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { hasEnded, thisProcess, type ProcessIdentity } from '../../common/process-identity.js';
import { tryParseJson } from '../../common/read-bounded.js';

export interface LockTiming {
  readonly heartbeatMs: number;
  /** How long a heartbeat must stand still for its process to be taken for dead. */
  readonly deadAfterMs: number;
}

export interface Lock {
  /** Aborted when the lock turns out to be somebody else's: this process was taken for dead. */
  readonly lost: AbortSignal;
  /** Asked before what must not be done by two. */
  isHeld(): Promise<boolean>;
  release(): Promise<void>;
}

type Holder = ProcessIdentity & { readonly token: string };

interface Sight {
  readonly token: string;
  /** Undefined when the file makes no sense: it is being written, or its process ended while it was, or it is junk. */
  readonly holder: Holder | undefined;
  readonly mtimeMs: number;
}

export const LOCK_TIMING: LockTiming = { heartbeatMs: 10_000, deadAfterMs: 60_000 };
/** No two clocks differ by that much: so old a heartbeat need not be watched. */
const CLOCKS_DIFFER_MAX_MS = 3_600_000;

export class Locker {
  readonly #timing: LockTiming;
  /** Heartbeats under watch, by path: what was seen, and since when, on this process's own clock. */
  readonly #watched = new Map<string, { readonly beat: string; readonly sinceMs: number }>();

  constructor(timing: LockTiming) {
    this.#timing = timing;
  }

  /** Takes a lock; undefined while somebody else has it. To be asked again, with the same `Locker`, until it is given. */
  async tryLock(path: string): Promise<Lock | undefined> {
    const token = randomUUID();
    if (await create(path, token)) return this.#hold(path, token);
    const seen = await look(path);
    return seen && this.#isDead(path, seen) && (await this.#remove(path, seen)) ? this.tryLock(path) : undefined;
  }

  #isDead(path: string, { token, holder, mtimeMs }: Sight): boolean {
    if (holder && hasEnded(holder)) return true;
    if (holder?.host === hostname() && holder.startTicks !== undefined) return false;
    if (Date.now() - mtimeMs > CLOCKS_DIFFER_MAX_MS) return true;
    const beat = `${token} ${mtimeMs}`;
    const watched = this.#watched.get(path);
    if (watched?.beat === beat) return performance.now() - watched.sinceMs > this.#timing.deadAfterMs;
    this.#watched.set(path, { beat, sinceMs: performance.now() });
    return false;
  }

  /**
   * Removes a dead lock. Only who has the lock named after it may do so, and looks again once it has: two that found the
   * same dead lock would otherwise remove, one after the other, the dead one and the one that was made in its place.
   */
  async #remove(path: string, dead: Sight): Promise<boolean> {
    const right = await this.tryLock(`${path}.${dead.token.slice(0, 8)}`);
    if (!right) return false;
    try {
      const seen = await look(path);
      if (seen?.token === dead.token && seen.mtimeMs === dead.mtimeMs) await rm(path, { force: true });
      return true;
    } finally {
      await right.release();
    }
  }

  #hold(path: string, token: string): Lock {
    const lost = new AbortController();
    const isHeld = async (): Promise<boolean> => {
      const held = (await look(path))?.token === token;
      if (!held) lost.abort(new Error(`The lock ${path} was taken by another process.`));
      return held;
    };
    const beat = async (): Promise<void> => {
      if (await isHeld()) await utimes(path, new Date(), new Date());
    };
    const timer = setInterval(() => void beat().catch(() => undefined), this.#timing.heartbeatMs).unref();
    return {
      lost: lost.signal,
      isHeld,
      async release() {
        clearInterval(timer);
        if ((await look(path))?.token === token) await rm(path, { force: true });
      },
    };
  }
}

async function create(path: string, token: string): Promise<boolean> {
  try {
    const handle = await open(path, 'wx');
    try {
      await handle.writeFile(JSON.stringify({ ...thisProcess(), token } satisfies Holder));
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await handle.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Whether a process can have written this. Another pid, or a token that is no part of a file's name, would be waited for for ever. */
function isHolder(value: unknown): value is Holder {
  const { pid, host, startTicks, token } = (value ?? {}) as Readonly<Record<string, unknown>>;
  const isProcess = Number.isInteger(pid) && (pid as number) > 0 && (pid as number) < 2 ** 31;
  return isProcess && typeof host === 'string' && (startTicks === undefined || Number.isInteger(startTicks)) && typeof token === 'string' && /^[\w-]+$/.test(token);
}

/** What stands in a lock's place; undefined when nothing does. */
async function look(path: string): Promise<Sight | undefined> {
  try {
    const [text, { mtimeMs, ino }] = [await readFile(path, 'utf8'), await stat(path)];
    const holder = tryParseJson(text);
    return isHolder(holder) ? { token: holder.token, holder, mtimeMs } : { token: `torn${ino}`, holder: undefined, mtimeMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
