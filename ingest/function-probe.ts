/** Asks a function whether it is ready. */
import { request } from 'undici';

const PROBE_TIMEOUT_MS = 2_000;

/**
 * True when `GET /ready` is answered with anything but a server's failure: a function that does not know the path is
 * there all the same.
 *
 * @param url of the function
 */
export async function probeFunction(url: string): Promise<boolean> {
  try {
    const { statusCode, body } = await request(new URL('/ready', url), { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
    await body.dump();
    return statusCode < 500 && statusCode !== 429;
  } catch {
    return false;
  }
}
