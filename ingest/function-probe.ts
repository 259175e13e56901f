/** Asks a function whether it is ready, and which version of its model it runs. */
import { askFunctionReady, askFunctionVersion } from '../common/function-version.js';
import type { LiveVersion } from '../common/store/store.js';

/**
 * True when `GET /ready` is answered with anything but a server's failure or a closed door: a function that does not know
 * the path is there all the same.
 *
 * @param url of the function
 */
export async function probeFunction(url: string): Promise<boolean> {
  try {
    const { statusCode, body } = await askFunctionReady(url);
    await body.dump();
    return statusCode < 500 && ![401, 403, 429].includes(statusCode);
  } catch {
    return false;
  }
}

/** How long an answer about the version is believed: a function that is deployed anew is noticed within this time. */
const VERSION_AGE_MAX_MS = 2_000;

/**
 * Tells the version that a function embeds with, asking it now and then (`GET /ready`). Undefined while it does not
 * answer, or does not say; callers then embed, and learn the version from the embedding.
 *
 * @param url of the function
 */
export function createVersionProbe(url: string): () => Promise<LiveVersion | undefined> {
  let askedAt = -Infinity;
  let answer: Promise<LiveVersion | undefined> = Promise.resolve(undefined);
  return () => {
    if (performance.now() - askedAt > VERSION_AGE_MAX_MS) {
      askedAt = performance.now();
      answer = askFunctionVersion(url).catch(() => undefined);
    }
    return answer;
  };
}
