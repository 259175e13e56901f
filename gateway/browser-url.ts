/** Where a person's browser can open an image of the index. */
import { publicObjectUrl } from '../common/cloud-storage.js';

/**
 * The first of an image's sources that a browser can open: `http(s)` as it is, `gs://bucket/object` at Google's public
 * address, `eis://<sha256>` (the folder bucket) at the gateway's own `/images/<sha256>`. An image with no such source
 * is named by its id, at the gateway.
 */
export function browserUrl(id: string, urls: readonly string[]): string {
  for (const url of urls) {
    const opened = toBrowserUrl(url);
    if (opened !== undefined) return opened;
  }
  return `/images/${id}`;
}

function toBrowserUrl(url: string): string | undefined {
  if (/^https?:\/\//i.test(url)) return url;
  const [, sha256] = /^eis:\/\/([0-9a-f]{64})(?:#|$)/.exec(url) ?? [];
  if (sha256 !== undefined) return `/images/${sha256}`;
  const [, bucket, object] = /^gs:\/\/([a-z0-9][a-z0-9._-]+)\/(.+)$/s.exec(url) ?? [];
  if (bucket !== undefined && object !== undefined) return publicObjectUrl(bucket, object);
  return undefined;
}
