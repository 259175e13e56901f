/** Removes what earlier downloads left behind and nobody will come back for. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Locker } from './download-lock.js';

/** Of an earlier release, which named them at random and could not go on with them. It gave up after ten minutes. */
const OLD_STYLE = { name: /^[0-9a-f]{32}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.part$/, ageMs: 15 * 60_000 };
const UNFINISHED = { name: /^([0-9a-f]{32})\.part$/, ageMs: 7 * 24 * 3_600_000 };
const LOCK = { name: /^[0-9a-f]{32}\.lock(\.[0-9a-z]{1,8})*$/, ageMs: UNFINISHED.ageMs };

/**
 * Removes unfinished downloads that nobody went on with for seven days, and those of earlier releases.
 *
 * @param options.except the key of the model that is about to be downloaded
 */
export async function removeLeftovers(folder: string, options: { readonly locker: Locker; readonly except: string }): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith(options.except) && !OLD_STYLE.name.test(name)) continue;
    const ageMs = await ageOf(join(folder, name));
    const [, key] = UNFINISHED.name.exec(name) ?? [];
    if (OLD_STYLE.name.test(name) && ageMs > OLD_STYLE.ageMs) await remove(join(folder, name));
    else if (key !== undefined && ageMs > UNFINISHED.ageMs) await removeUnlessLocked(join(folder, name), join(folder, `${key}.lock`), options.locker);
    else if (LOCK.name.test(name) && ageMs > LOCK.ageMs) await remove(join(folder, name));
  }
}

async function ageOf(path: string): Promise<number> {
  return stat(path).then(({ mtimeMs }) => Date.now() - mtimeMs, () => 0);
}

async function removeUnlessLocked(path: string, lockPath: string, locker: Locker): Promise<void> {
  const lock = await locker.tryLock(lockPath);
  if (!lock) return;
  try {
    await remove(path);
  } finally {
    await lock.release();
  }
}

/** What cannot be removed is in nobody's way. */
async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => undefined);
}
