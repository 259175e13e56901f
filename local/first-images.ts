/** What a fresh installation is filled with: the folder that was named, or, when there is nothing yet, the sample gallery. */
import { existsSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import { openStore } from '../common/store/open-store.js';
import { isEmpty } from '../common/store/store.js';

/** Stands in the gallery's folder once every picture of it has its outcome. */
const COMPLETE = '.complete';

export interface FirstImagesParts {
  readonly config: Config;
  readonly environment: Environment;
  /** Draws the gallery into a folder. */
  readonly draw: (folder: string) => Promise<number>;
  /** Ingests a folder and waits for every outcome. */
  readonly ingest: (folder: string) => Promise<void>;
}

/**
 * Draws and ingests the sample gallery when no model has an image yet, or when that was interrupted.
 *
 * @returns whether it did
 */
export async function ingestGalleryIfEmpty({ config, environment, draw, ingest }: FirstImagesParts): Promise<boolean> {
  const folder = galleryFolder(environment);
  const interrupted = existsSync(folder) && !existsSync(join(folder, COMPLETE));
  if (!interrupted && !(await isStoreEmpty(config, environment))) return false;
  await draw(folder);
  await ingest(folder);
  await writeFile(join(folder, COMPLETE), '');
  return true;
}

/** Drops the drawn pictures, ingested or not: who brings images of their own wants no interrupted gallery continued among them. */
export function forgetGallery(environment: Environment): void {
  rmSync(galleryFolder(environment), { recursive: true, force: true });
}

function galleryFolder({ dataDir }: Environment): string {
  return join(dataDir, 'gallery');
}

async function isStoreEmpty(config: Config, environment: Environment): Promise<boolean> {
  const store = await openStore(environment);
  try {
    for (const { name } of config.models) {
      const live = await store.liveVersion(name);
      if (live && !(await isEmpty(store.collection(name, live)))) return false;
    }
    return true;
  } finally {
    await store.close();
  }
}
