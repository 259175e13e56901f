/** `eis backfill`: fills a model with every stored image that it has not embedded, and waits until it has. */
import ora from 'ora';
import { EisError, relayError } from '../common/errors.js';
import type { LedgerState } from '../common/wire.js';
import type { BackfillLine } from '../common/wire-queues.js';
import { DEFAULT_PATIENCE, GatewayClient } from '../ingest/gateway-client.js';
import { readLines } from '../ingest/read-lines.js';
import { waitForOutcomes } from '../ingest/upload.js';
import { openGateway } from './ask-gateway.js';
import type { GatewayAddress } from './gateway-option.js';
import { drawBar } from './layout.js';

export interface BackfillCommandOptions {
  readonly gateway: GatewayAddress;
  readonly submission?: string;
  readonly wait: boolean;
  readonly json: boolean;
}

const LINE_CHARACTERS_MAX = 16 * 1024;
const AGAIN = 'What was put into the queue stays there; the same command again goes on from here.';

/** @returns the exit code: 0 only when every image has been embedded, or that was not waited for */
export async function backfillCommand(model: string, options: BackfillCommandOptions): Promise<number> {
  const { gateway, wait, json } = options;
  const spinner = ora({ text: 'Looking for what is missing…', isSilent: json, stream: process.stderr, discardStdin: false }).start();
  const interrupted = new AbortController();
  process.once('SIGINT', () => interrupted.abort(new Error('interrupted')));
  const { signal } = interrupted;
  try {
    const last = await fillQueue(model, options, { signal, onLine: (line) => (spinner.text = describeFilling(line)) });
    const { submission, published, known } = last;
    const client = new GatewayClient({ gatewayUrl: gateway.url, apiKey: gateway.apiKey, submission, signal, patience: DEFAULT_PATIENCE });
    const counts = wait && published + known > 0 ? await waitForOutcomes(client, signal, ({ settled, expected }) => (spinner.text = `${drawBar(settled / expected)} ${settled} of ${expected} done`)) : undefined;
    spinner.stop();
    process.stdout.write(json ? `${JSON.stringify({ model, submission, published, known, ...(counts ? { counts } : {}) })}\n` : `${describeEnd(model, last, counts)}\n`);
    return counts && counts.rejected + counts.dead > 0 ? 1 : 0;
  } catch (error) {
    spinner.stop();
    if (!signal.aborted) throw error;
    process.stderr.write(`Interrupted. ${AGAIN}\n`);
    return 130;
  }
}

/** @throws EisError what the gateway answered, or what went wrong on the way */
async function fillQueue(model: string, { gateway, submission }: BackfillCommandOptions, { signal, onLine }: { readonly signal: AbortSignal; readonly onLine: (line: BackfillLine) => void }): Promise<BackfillLine> {
  const query = submission === undefined ? '' : `?${new URLSearchParams({ submission }).toString()}`;
  const body = await openGateway({ gateway, path: `/queues/${encodeURIComponent(model)}/backfill${query}`, method: 'POST', signal, isLong: true });
  let last: BackfillLine | undefined;
  try {
    for await (const text of readLines(body, LINE_CHARACTERS_MAX)) {
      last = JSON.parse(text) as BackfillLine;
      onLine(last);
    }
  } catch (cause) {
    throw cutOff(cause);
  }
  if (last?.done) return last;
  throw relayError(last?.error) ?? cutOff();
}

function cutOff(cause?: unknown): EisError {
  return new EisError('EIS_NOT_READY', { detail: `The answer was cut off before its end. ${AGAIN}` }, { cause });
}

function describeFilling({ share, published }: BackfillLine): string {
  return `${drawBar(share)} ${published} images put into the queue`;
}

function describeEnd(model: string, line: BackfillLine, counts: Record<LedgerState, number> | undefined): string {
  const searched = line.searched ? '' : `\nThe model was changed: this is its new version, and its former one is searched until "npm start" has switched to it (on one machine; in a cluster, nothing does that yet).`;
  return `${describeFilled(model, line, counts)}${searched}`;
}

function describeFilled(model: string, { submission, published, known }: BackfillLine, counts: Record<LedgerState, number> | undefined): string {
  if (published + known === 0) return `${model} has every stored image.`;
  const before = known === 0 ? '' : `, ${known} had been before`;
  if (!counts) return `${published} images put into the queue of ${model}${before}; not waited for. (submission ${submission})`;
  const refused = counts.rejected + counts.dead;
  return `${model}: ${counts.stored + counts.duplicate} images embedded${refused > 0 ? `, ${refused} not: "eis status --rejected --submission ${submission}" says why` : ''}. (submission ${submission})`;
}
