/** What a benchmark starts and writes, which is gone when it has ended. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RoleProcess } from '../support/role-process.js';

export interface Scratch {
  readonly folder: string;
  /** What ends the parts that were started, oldest first. */
  readonly closing: (() => Promise<unknown>)[];
}

/** Whatever comes of the work, its parts are ended, the latest first, and then its folder is removed. */
export async function withScratch<Result>(work: (scratch: Scratch) => Promise<Result>): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'eis-bench-'));
  const closing: Scratch['closing'] = [async () => rmSync(folder, { recursive: true, force: true })];
  try {
    return await work({ folder, closing });
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

export interface Part {
  /** Of its log. */
  readonly name: string;
  /** The entry point of a role (`gateway/main.ts`), or a stand-in of this folder (`stub-function-process`). */
  readonly entry: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Starts a part in a process of its own. */
export async function startPart({ folder, closing }: Scratch, { name, entry, env }: Part): Promise<RoleProcess> {
  const place = entry.endsWith('main.ts') ? { entry, readyPath: '/readyz' } : { entry: fileURLToPath(new URL(`${entry}.js`, import.meta.url)), readyPath: '/' };
  const part = await RoleProcess.start({ ...place, env, logFile: join(folder, `${name}.log`) });
  closing.push(() => part.stop());
  return part;
}
