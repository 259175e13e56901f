/**
 * What has come of a file, on disk: its bytes, and beside them which version of the file they are of. Whenever the
 * process ends, the two belong together: the bytes are removed before another version is noted.
 */
import { mkdir, open, readFile, rename, rm, stat, writeFile, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Dispatcher } from 'undici';
import { tryParseJson } from '../../common/read-bounded.js';

type Headers = Dispatcher.ResponseData['headers'];

/** One version of a file at its host, as the host describes it. */
export interface FileVersion {
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  /** For If-Range: undefined where the host gives nothing that tells any two versions apart. */
  readonly ifRange: string | undefined;
  /** Of the whole file. */
  readonly bytes: number | undefined;
  /** Of the whole file, as base64. */
  readonly md5: string | undefined;
}

/** The beginning of a file. */
export interface HeldPart {
  readonly bytes: number;
  readonly version: FileVersion;
}

export function readVersion(headers: Headers): FileVersion {
  const etag = single(headers['etag']);
  const lastModified = single(headers['last-modified']);
  const isStrongDate = Date.parse(single(headers['date']) ?? '') - Date.parse(lastModified ?? '') >= 1_000;
  return {
    etag,
    lastModified,
    ifRange: etag?.startsWith('"') ? etag : isStrongDate ? lastModified : undefined,
    bytes: readLength(single(headers['content-length'])),
    md5: readMd5(headers),
  };
}

/** The version that an answer with part of a file (206) goes on with after `held`; undefined when it does not fit. */
export function continueVersion(held: HeldPart, headers: Headers): FileVersion | undefined {
  const { bytes, version } = held;
  const [from, to, total] = (/^bytes (\d+)-(\d+)\/(\d+)$/i.exec(single(headers['content-range']) ?? '') ?? []).slice(1).map(Number);
  if (from !== bytes || to === undefined || total === undefined || to < from || to >= total) return undefined;
  const { etag, lastModified } = readVersion(headers);
  const isSame = total === (version.bytes ?? total) && etag === version.etag && (lastModified ?? version.lastModified) === version.lastModified;
  return isSame ? { ...version, bytes: total } : undefined;
}

function single(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' ? value : value?.join(', ');
}

function readLength(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** Google's hash is of the object as it is stored: of no use where that is not as it is sent. */
function readMd5(headers: Headers): string | undefined {
  const isStoredAsSent = [headers['content-encoding'], headers['x-goog-stored-content-encoding']].every((encoding) => (single(encoding) ?? 'identity') === 'identity');
  return isStoredAsSent ? /(?:^|,)\s*md5=([A-Za-z0-9+/]+=*)/.exec(single(headers['x-goog-hash']) ?? '')?.[1] : undefined;
}

export class PartialFile {
  readonly #bytesPath: string;
  readonly #versionPath: string;

  /** @param path of the bytes; the version lies beside them */
  constructor(path: string) {
    this.#bytesPath = path;
    this.#versionPath = `${path}.json`;
  }

  get path(): string {
    return this.#bytesPath;
  }

  /** How much is there. */
  async size(): Promise<number> {
    return stat(this.#bytesPath).then(({ size }) => size, () => 0);
  }

  /** What is there, if anything is. */
  async read(): Promise<HeldPart | undefined> {
    const bytes = await this.size();
    const version = bytes > 0 ? tryParseJson(await readFile(this.#versionPath).catch(() => '')) : undefined;
    return version === undefined ? undefined : { bytes, version: version as FileVersion };
  }

  /** Begins anew, with the bytes of this version. */
  async begin(version: FileVersion): Promise<void> {
    await mkdir(dirname(this.#bytesPath), { recursive: true });
    await rm(this.#bytesPath, { force: true });
    await writeFile(this.#versionPath, JSON.stringify(version));
    await writeFile(this.#bytesPath, '', { flag: 'wx' });
  }

  /** To be written at positions, not appended to: whoever still writes the same version then does no harm. */
  async open(): Promise<FileHandle> {
    return open(this.#bytesPath, 'r+');
  }

  async discard(): Promise<void> {
    await rm(this.#bytesPath, { force: true });
    await rm(this.#versionPath, { force: true });
  }

  /** Puts the bytes, which are whole, in their place. */
  async moveTo(path: string): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    await rename(this.#bytesPath, path);
    await rm(this.#versionPath, { force: true });
  }
}
