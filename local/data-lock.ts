/** One start for one data folder: two would rotate each other's logs and work off each other's queue. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EisError } from '../common/errors.js';
import { hasEnded, thisProcess, type ProcessIdentity } from '../common/process-identity.js';

/**
 * Takes the folder (made when it is missing) for this process, until it ends or `release` is called.
 *
 * @throws EisError EIS_ENVIRONMENT_INVALID when another start has it, or it cannot be written
 */
export function lockDataFolder(folder: string): { release(): void } {
  const file = join(folder, 'start.lock');
  const identity = JSON.stringify(thisProcess());
  try {
    mkdirSync(folder, { recursive: true });
    const holder = readHolder(file);
    if (holder && !hasEnded(holder)) throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'EIS_DATA_DIR', detail: `${folder} is in use by another start (pid ${holder.pid} on ${holder.host}). Stop that, or choose another folder. If it is certain that none runs, remove ${file}.` });
    writeFileSync(file, identity);
  } catch (error) {
    if (error instanceof EisError) throw error;
    throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'EIS_DATA_DIR', detail: `${folder} cannot be used: ${(error as Error).message}.` }, { cause: error });
  }
  return { release: () => rmSync(file, { force: true }) };
}

function readHolder(file: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity;
  } catch {
    return undefined;
  }
}
