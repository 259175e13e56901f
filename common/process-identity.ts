/** Tells whether a process of this machine still runs, also when its pid was given to another one meanwhile. */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

export interface ProcessIdentity {
  readonly pid: number;
  readonly host: string;
  /** When the process started, in the kernel's own ticks; undefined where there is no /proc. */
  readonly startTicks: number | undefined;
}

export function thisProcess(): ProcessIdentity {
  return { pid: process.pid, host: hostname(), startTicks: readProcess(process.pid)?.startTicks };
}

/**
 * Whether a process is known to have ended. False also when it cannot be known: it ran on another host (containers
 * that share a volume have each their own pids).
 */
export function hasEnded({ pid, host, startTicks }: ProcessIdentity): boolean {
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return true;
  }
  const running = readProcess(pid);
  if (!running || startTicks === undefined) return false;
  return running.startTicks !== startTicks || running.isZombie;
}

/** `/proc/<pid>/stat` (proc_pid_stat(5)): the command stands in parentheses and may hold any character. */
function readProcess(pid: number): { startTicks: number; isZombie: boolean } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { startTicks: Number(fields[19]), isZombie: fields[0] === 'Z' || fields[0] === 'X' };
  } catch {
    return undefined;
  }
}
