/**
 * How a pod speaks with the API of its cluster: with the token and the certificate authority that are mounted into it. Both
 * are replaced while it runs (a token lives for an hour), so they are read anew for every call.
 */
import { readFile } from 'node:fs/promises';
import { Agent, request, type Dispatcher } from 'undici';
import { EisError } from '../common/errors.js';
import { readResponse, tryParseJson } from '../common/read-bounded.js';

export interface ClusterAccessOptions {
  /** Of the API; over http:// (`kubectl proxy`) no token is sent. */
  readonly url: string;
  readonly tokenFile: string;
  readonly caFile: string;
}

export interface ClusterCall {
  readonly method: 'GET' | 'PATCH';
  readonly path: string;
  /** Sent as a JSON merge patch (RFC 7386). */
  readonly patch?: object;
  readonly signal: AbortSignal;
}

export interface ClusterAnswer {
  readonly statusCode: number;
  readonly body: unknown;
}

export interface ClusterAccess {
  /** @throws EisError EIS_CLUSTER_API when it cannot be asked; the signal's reason */
  call(call: ClusterCall): Promise<ClusterAnswer>;
  close(): Promise<void>;
}

const ANSWER_BYTES_MAX = 1024 * 1024;

export function openClusterAccess({ url, tokenFile, caFile }: ClusterAccessOptions): ClusterAccess {
  const isSecret = url.startsWith('https:');
  const agents = new Agents();
  return {
    async call({ method, path, patch, signal }) {
      const [token, ca] = isSecret ? await Promise.all([readMounted(tokenFile), readMounted(caFile)]) : [];
      const headers = { accept: 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }), ...(patch && { 'content-type': 'application/merge-patch+json' }) };
      try {
        const { statusCode, body } = await request(`${url}${path}`, { method, headers, signal, dispatcher: agents.of(ca), ...(patch && { body: JSON.stringify(patch) }) });
        const bytes = await readResponse(body, ANSWER_BYTES_MAX);
        if (!bytes) throw new Error(`more than ${ANSWER_BYTES_MAX} bytes`);
        return { statusCode, body: tryParseJson(bytes) };
      } catch (cause) {
        if (signal.aborted) throw signal.reason;
        throw new EisError('EIS_CLUSTER_API', { detail: `${url} does not answer (${(cause as Error).message}).` }, { cause });
      }
    },
    close: () => agents.close(),
  };
}

async function readMounted(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (cause) {
    throw new EisError('EIS_CLUSTER_API', { detail: `${file} cannot be read, which a pod with a service account has. From elsewhere, run "kubectl proxy" and name its address with --api.` }, { cause });
  }
}

/** Connections under one certificate authority; another one begins others. */
class Agents {
  #current: { readonly ca: string | undefined; readonly agent: Agent } | undefined;

  of(ca: string | undefined): Dispatcher {
    if (this.#current?.ca !== ca) void this.close();
    return (this.#current ??= { ca, agent: new Agent({ connect: ca === undefined ? {} : { ca } }) }).agent;
  }

  async close(): Promise<void> {
    const last = this.#current;
    this.#current = undefined;
    await last?.agent.close();
  }
}
