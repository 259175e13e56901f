/**
 * Keeps optimised ONNX models on the disk, so that the next start of a model neither compiles nor optimises it, nor
 * compares it with TF.js again: what stands here under its name did agree.
 *
 * A file's name is a hash of all that it depends on: the model, the code that compiled it, onnxruntime, and the
 * processor (onnxruntime arranges weights by what the processor's vectors hold).
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Files of models that were served here; what was used longest ago goes first. */
const KEPT_MAX = 8;
/** The folders whose code makes what is kept. */
const CODE = ['../network/', './'];
const CODE_FILES = /^(?!.*\.d\.ts$)(onnx-|prepare|[a-z-]+)[a-z-]*\.(js|ts)$/;

export interface KeptModel {
  /** Where it stands, or is to stand. */
  readonly path: string;
  readonly isKept: boolean;
  /** A place for what is being made, in the same folder. */
  readonly draft: string;
}

/**
 * Where an optimised model is kept.
 *
 * @param version of the model
 * @param runtime the version of onnxruntime
 * @returns undefined when the folder cannot be written to
 */
export async function findKept(folder: string, version: string, runtime: string): Promise<KeptModel | undefined> {
  try {
    await mkdir(folder, { recursive: true });
    const hash = createHash('sha256').update(JSON.stringify([version, runtime, process.arch, cpus()[0]?.model, await fingerprintCode()])).digest('hex').slice(0, 32);
    const path = join(folder, `${hash}.onnx`);
    const isKept = await stat(path).then(() => true, () => false);
    return { path, isKept, draft: join(folder, `${hash}.${randomUUID()}.draft`) };
  } catch {
    return undefined;
  }
}

/** Puts a draft in its place. One that cannot be is given up: it is an advantage and no need. */
export async function keep({ path, draft }: KeptModel, folder: string): Promise<void> {
  try {
    await rename(draft, path);
    await forgetOldest(folder);
  } catch {
    await rm(draft, { force: true }).catch(() => undefined);
  }
}

async function forgetOldest(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.onnx'));
  const used = await Promise.all(names.map(async (name) => ({ path: join(folder, name), atMs: (await stat(join(folder, name))).mtimeMs })));
  used.sort((a, b) => b.atMs - a.atMs);
  for (const { path } of used.slice(KEPT_MAX)) await rm(path, { force: true });
}

let fingerprint: Promise<string> | undefined;

/** Of the code between a loaded model and its ONNX file. */
function fingerprintCode(): Promise<string> {
  return (fingerprint ??= hashCode());
}

async function hashCode(): Promise<string> {
  const hash = createHash('sha256');
  for (const folder of CODE) {
    const path = fileURLToPath(new URL(folder, import.meta.url));
    for (const name of (await readdir(path)).filter((each) => CODE_FILES.test(each)).sort()) hash.update(name).update(await readFile(join(path, name)));
  }
  return hash.digest('hex');
}
