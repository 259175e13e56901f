/**
 * What `eis ingest` does: sends images to the gateway, or puts them into the bucket and sends their URLs, and waits until
 * each has an outcome.
 */
import type { Bucket } from '../common/bucket/bucket.js';
import { EisError } from '../common/errors.js';
import { DEFAULT_LIMITS } from '../common/limits.js';
import { SUBMISSION_ID, type LedgerAnswer, type LedgerState } from '../common/wire.js';
import { wait } from './backoff.js';
import { DEFAULT_PATIENCE, GatewayClient, type Patience } from './gateway-client.js';
import { newSubmissionId } from './submission-id.js';
import { uploadFound } from './upload-bucket.js';
import { Sender, type RejectedSource } from './upload-send.js';
import { findSources } from './upload-walk.js';

const POLL_MIN_MS = 100;
const POLL_MAX_MS = 1_000;
const LEDGER_PAGE = '1000';

export interface IngestProgress {
  /** Images that were accepted. */
  readonly sent: number;
  /** Outcomes that are known, and that there will be: one for each image and model. */
  readonly settled: number;
  readonly expected: number;
  /** Files that were put into the bucket from here, while that goes on. */
  readonly uploaded?: number;
}

export interface IngestSummary {
  readonly submission: string;
  /** Images that were accepted. An image given twice under one name counts once. */
  readonly sent: number;
  /** Outcomes, one for each image and model; none when they were not waited for. */
  readonly stored: number;
  readonly duplicates: number;
  readonly rejected: readonly RejectedSource[];
  /** Files in folders that are no images by their name. */
  readonly skipped: number;
}

export interface IngestOptions {
  /** Paths of files and folders, URLs, gs:// prefixes, and "-" for URLs from stdin, one a line. */
  readonly sources: readonly string[];
  readonly gatewayUrl: string;
  /** Of the deployment, where files are put from here. By default their bytes are sent to the gateway. */
  readonly bucket?: Pick<Bucket, 'put' | 'uri'>;
  /** Whether to wait for the outcomes. */
  readonly wait: boolean;
  /** Continues a submission; by default a new one. */
  readonly submission?: string;
  readonly onProgress?: (progress: IngestProgress) => void;
  readonly signal?: AbortSignal;
  readonly stdin?: AsyncIterable<Uint8Array>;
  readonly imageBytesMax?: number;
  readonly patience?: Patience;
}

/**
 * Ingests images: see `IngestOptions.sources`. What cannot be read or is refused is in `rejected`; the rest goes on.
 *
 * @throws EisError EIS_GATEWAY_UNREACHABLE, or what the gateway answered last, when it cannot serve for a minute (at
 *   first: 5 s); EIS_BUCKET_UNAVAILABLE; the signal's reason. What was accepted by then stays accepted.
 */
export async function ingest(options: IngestOptions): Promise<IngestSummary> {
  const { sources, gatewayUrl, submission = newSubmissionId(), onProgress, signal = new AbortController().signal } = options;
  if (!SUBMISSION_ID.test(submission)) throw new EisError('EIS_BAD_REQUEST', { detail: 'A submission has 1 to 64 letters, digits, "-" or "_".' });
  const client = new GatewayClient({ gatewayUrl, submission, signal, patience: options.patience ?? DEFAULT_PATIENCE });
  const { bucket, imageBytesMax = DEFAULT_LIMITS.imageBytesMax } = options;
  const sender = new Sender({
    client,
    imageBytesMax,
    onProgress: () => onProgress?.({ sent: sender.given.size, settled: 0, expected: sender.given.size }),
  });
  const found = findSources(sources, options.stdin ?? process.stdin);
  const onUploaded = (uploaded: number): void => onProgress?.({ sent: sender.given.size, settled: 0, expected: sender.given.size, uploaded });
  await sender.sendAll(bucket ? uploadFound(found, { bucket, imageBytesMax, signal, onUploaded }) : found);
  const { given, rejected, skipped } = sender;
  const summary = { submission, sent: given.size, skipped };
  if (!options.wait || given.size === 0) return { ...summary, stored: 0, duplicates: 0, rejected };
  const counts = await waitForOutcomes(client, signal, (progress) => onProgress?.({ sent: given.size, ...progress }));
  const refused = [...rejected, ...(await listRefused(client, given))];
  return { ...summary, stored: counts.stored, duplicates: counts.duplicate, rejected: refused };
}

async function waitForOutcomes(client: GatewayClient, signal: AbortSignal, onProgress: (progress: Omit<IngestProgress, 'sent'>) => void): Promise<Record<LedgerState, number>> {
  for (let pollMs = POLL_MIN_MS; ; pollMs = Math.min(POLL_MAX_MS, pollMs * 1.5)) {
    const { counts } = await client.ledger({ limit: '1' });
    const expected = Object.values(counts).reduce((sum, count) => sum + count, 0);
    onProgress({ settled: expected - counts.accepted, expected });
    if (counts.accepted === 0) return counts;
    await wait(pollMs, signal);
  }
}

async function listRefused(client: GatewayClient, given: ReadonlyMap<string, string>): Promise<RejectedSource[]> {
  const refused: RejectedSource[] = [];
  for (const state of ['rejected', 'dead']) {
    let after: string | null = null;
    do {
      const page: LedgerAnswer = await client.ledger({ state, limit: LEDGER_PAGE, ...(after === null ? {} : { after }) });
      for (const { source, model, code = '', message = '' } of page.entries) refused.push({ source: given.get(source) ?? source, model, code, message });
      after = page.next;
    } while (after !== null);
  }
  return refused;
}
