/** Memory of a process of this machine, as Linux tells it (proc_pid_status(5)). */
import { readFileSync } from 'node:fs';

/** `VmHWM`: the most that was ever resident; `VmRSS`: resident now; `RssAnon`, `RssShmem`: of that, of no file, or shared by threads. */
type Measure = 'VmHWM' | 'VmRSS' | 'RssAnon' | 'RssShmem';

/** The sum of what is asked for, in MB; 0 once the process has ended. */
export function readMemoryMb(pid: number | undefined, ...measures: readonly Measure[]): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const kilobytes = measures.map((measure) => Number(new RegExp(`${measure}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0));
    return kilobytes.reduce((sum, each) => sum + each, 0) / 1024;
  } catch {
    return 0;
  }
}
