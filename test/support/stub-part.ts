/** A stub function or index pod in a process of its own (`stub-part-process.mjs`), so that it does not share the event loop of what measures it. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface StubBehaviour {
  readonly delayMs: number;
  /** Up to so much more, uniformly. */
  readonly jitterMs?: number;
  /** Requests that are worked on at once; others wait. Default: all. */
  readonly servers?: number;
  /** Requests that work or wait; one more is answered 429. Default: all. */
  readonly holdsMax?: number;
}

export class StubPart {
  private constructor(private readonly child: ChildProcess, readonly url: string) {}

  static async start(role: 'function' | 'pod', behaviour: StubBehaviour): Promise<StubPart> {
    const child = fork(fileURLToPath(new URL('stub-part-process.mjs', import.meta.url)), [role]);
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    const part = new StubPart(child, `http://127.0.0.1:${port}`);
    await part.behave(behaviour);
    return part;
  }

  /** @returns how many requests it was sent so far */
  async behave(behaviour: Partial<StubBehaviour> = {}): Promise<number> {
    this.child.send(behaviour);
    const [{ seen }] = (await once(this.child, 'message')) as [{ seen: number }];
    return seen;
  }

  async close(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.disconnect();
    await ended;
  }
}
