/** Where a person's browser can open an image of the index. */
import { contentOf, publicObjectUrl } from '../common/cloud-storage.js';

/**
 * The first of an image's sources that a browser can open: `http(s)` as it is, `gs://bucket/object` at Google's public
 * address, what was sent as bytes (`eis://<sha256>`, `gs://…/ab/<sha256>`) at the gateway's own `/images/<sha256>`, as the
 * bucket need not be public. An image with no such source
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
  const content = contentOf(url);
  if (content) return `/images/${content.sha256}`;
  const [, bucket, object] = /^gs:\/\/([a-z0-9][a-z0-9._-]+)\/(.+)$/s.exec(url) ?? [];
  if (bucket !== undefined && object !== undefined) return publicObjectUrl(bucket, object);
  return undefined;
}
