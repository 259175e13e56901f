/** The function that embeds the images of an evaluation: one that runs somewhere, or the model's own, started for it. */
import { join } from 'node:path';
import { backoffMs, wait } from '../common/backoff.js';
import type { Config } from '../common/config.js';
import { unlessAborted } from '../common/deadline.js';
import { createEmbedClient, type EmbedClient } from '../common/embed-client.js';
import type { Environment } from '../common/environment.js';
import { isEisError, type EisError } from '../common/errors.js';
import type { Embedding } from '../common/wire.js';
import { findFreePort } from '../local/ports.js';
import { localUrl, planProcesses, type ProcessSpec } from '../local/processes.js';
import { explainFailure, Supervisor } from '../local/supervisor.js';

export interface FunctionPlace {
  readonly config: Config;
  readonly environment: Environment;
  /** For the log of a function that is started. */
  readonly scratch: string;
  /** Where one runs; undefined: it is started. */
  readonly url: string | undefined;
  readonly signal: AbortSignal;
}

export interface RunningFunction {
  /**
   * The embedding of an image, after other attempts where the function has no time or is being started again.
   *
   * @throws EisError what the function says of the image (a status below 500, but 429), or of itself after some attempts
   */
  embed(bytes: Uint8Array): Promise<Embedding>;
  close(): Promise<void>;
}

/** Calls under way at once. */
export const EMBEDS_IN_FLIGHT = 4;

const ATTEMPTS_MAX = 6;
const BACKOFF = { baseMs: 200, capMs: 5_000 };
const KILL_AFTER_MS = 4_200;

/** @throws EisError EIS_NOT_READY when the function cannot be started; the signal's reason */
export async function openFunction(model: string, place: FunctionPlace): Promise<RunningFunction> {
  const { environment, signal, url } = place;
  const started = url === undefined ? await startFunction(model, place) : undefined;
  const client = createEmbedClient({ model, url: url ?? (started as StartedFunction).url, timeoutMs: environment.limits.functionTimeoutMs, connections: EMBEDS_IN_FLIGHT });
  return {
    embed: (bytes) => embedPatiently(client, bytes, signal),
    async close() {
      await client.close();
      await started?.stop();
    },
  };
}

interface StartedFunction {
  readonly url: string;
  stop(): Promise<void>;
}

/** Through the entry point that `npm start` uses, on a port that is free. */
async function startFunction(model: string, { config, environment, scratch, signal }: FunctionPlace): Promise<StartedFunction> {
  const port = await findFreePort();
  const planned = planProcesses(config, environment).find((spec) => spec.role === 'function' && spec.model === model) as ProcessSpec;
  const supervisor = new Supervisor([{ ...planned, port, env: { ...planned.env, PORT: String(port) } }], { logFolder: join(scratch, 'logs'), killAfterMs: KILL_AFTER_MS, onNotice: (notice) => console.error(notice) });
  supervisor.start();
  try {
    await unlessAborted(supervisor.ready(), signal);
  } catch (error) {
    await supervisor.stop();
    signal.throwIfAborted();
    throw explainFailure(error);
  }
  return { url: localUrl(port), stop: () => supervisor.stop() };
}

async function embedPatiently(client: EmbedClient, bytes: Uint8Array, signal: AbortSignal): Promise<Embedding> {
  for (let failures = 1; ; failures++) {
    try {
      return await client.embed({ bytes }, { signal });
    } catch (error) {
      if (signal.aborted || !isEisError(error) || isOfImage(error) || failures >= ATTEMPTS_MAX) throw error;
      await wait(backoffMs(BACKOFF, failures, error.retryAfterS), signal);
    }
  }
}

/** Whether an error says something of the image, rather than of who was asked. */
export function isOfImage({ statusCode }: EisError): boolean {
  return statusCode >= 400 && statusCode < 500 && statusCode !== 429;
}
