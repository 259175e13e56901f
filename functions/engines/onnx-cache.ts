/**
 * Keeps optimised ONNX models on the disk, so that the next start of a model neither compiles nor optimises it, nor
 * computes what TF.js makes of it: beside each stands the embedding of the probe image with which it agreed, and that
 * it must give again.
 *
 * A file's name is a hash of all that it depends on: the network, the code that compiles it, onnxruntime, and the
 * processor (onnxruntime arranges weights by what the processor's vectors hold).
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Network } from '../network/network.js';

/** Files of models that were served here; what was used longest ago goes first. */
const KEPT_MAX = 8;
/** The folders whose code makes ONNX of a network. In a bundle it is in one of them, whose files name others by a hash of their contents. */
const CODE = ['../network/', './'];
const CODE_FILES = /^(?!.*\.d\.ts$)[\w-]+\.(js|ts)$/;
/** What a start that was killed left behind. */
const DRAFT_AGE_MAX_MS = 3_600_000;

export interface KeptModel {
  readonly folder: string;
  /** Where it stands, or is to stand. */
  readonly path: string;
  /** What it gave for the probe image; undefined: nothing is kept. */
  readonly embedding: Float32Array | undefined;
  /** A place for what is being made, in the same folder. */
  readonly draft: string;
}

/**
 * Where an optimised model is kept.
 *
 * @param made.version of the model, which stands for its weights
 * @param made.runtime the version of onnxruntime
 * @returns undefined when the folder cannot be used
 */
export async function findKept(folder: string, made: { readonly version: string; readonly network: Network; readonly runtime: string }): Promise<KeptModel | undefined> {
  try {
    await mkdir(folder, { recursive: true });
    const { nodes, output } = made.network;
    const parts = [made.version, nodes, output, made.runtime, process.platform, process.arch, cpus()[0]?.model, await fingerprintCode()];
    const hash = createHash('sha256').update(JSON.stringify(parts, (_key, value: unknown) => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value))).digest('hex').slice(0, 32);
    const path = join(folder, `${hash}.onnx`);
    return { folder, path, embedding: await readEmbedding(path), draft: join(folder, `${hash}.${randomUUID()}.draft`) };
  } catch {
    return undefined;
  }
}

async function readEmbedding(path: string): Promise<Float32Array | undefined> {
  try {
    await stat(path);
    return Float32Array.from(JSON.parse(await readFile(besides(path), 'utf8')) as number[]);
  } catch {
    return undefined;
  }
}

function besides(path: string): string {
  return `${path}.json`;
}

/** Puts a draft in its place. One that cannot be is given up: it is an advantage and no need. */
export async function keep({ folder, path, draft }: KeptModel, embedding: Float32Array): Promise<void> {
  try {
    const file = await open(draft, 'r+');
    await file.sync().finally(() => file.close());
    await rename(draft, path);
    await writeFile(besides(path), JSON.stringify([...embedding]));
    await tidy(folder);
  } catch {
    await rm(draft, { force: true }).catch(() => undefined);
  }
}

/** It is used: others go before it. */
export async function touch({ path }: KeptModel): Promise<void> {
  await utimes(path, new Date(), new Date()).catch(() => undefined);
}

export async function forget({ path }: KeptModel): Promise<void> {
  for (const each of [besides(path), path]) await rm(each, { force: true }).catch(() => undefined);
}

/** Drops drafts that nobody finishes any more, and all but the models used last. */
async function tidy(folder: string): Promise<void> {
  const files = await Promise.all((await readdir(folder)).map(async (name) => ({ name, path: join(folder, name), atMs: (await stat(join(folder, name))).mtimeMs })));
  for (const { name, path, atMs } of files) if (name.endsWith('.draft') && Date.now() - atMs > DRAFT_AGE_MAX_MS) await rm(path, { force: true });
  const models = files.filter(({ name }) => name.endsWith('.onnx')).sort((a, b) => b.atMs - a.atMs);
  for (const { path } of models.slice(KEPT_MAX)) for (const each of [besides(path), path]) await rm(each, { force: true });
}

let fingerprint: Promise<string> | undefined;

/** Of the code between a network and its ONNX file. */
function fingerprintCode(): Promise<string> {
  return (fingerprint ??= hashCode());
}

async function hashCode(): Promise<string> {
  const hash = createHash('sha256');
  for (const folder of CODE) {
    const path = fileURLToPath(new URL(folder, import.meta.url));
    const names = await readdir(path).catch(() => []);
    for (const name of names.filter((each) => CODE_FILES.test(each)).sort()) hash.update(name).update(await readFile(join(path, name)));
  }
  return hash.digest('hex');
}
