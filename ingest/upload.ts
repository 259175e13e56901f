/**
 * What `eis ingest` does: sends images to the gateway, or puts them into the bucket and sends their URLs, and waits until
 * each has an outcome.
 */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Bucket } from '../common/bucket/bucket.js';
import { EisError } from '../common/errors.js';
import { DEFAULT_LIMITS } from '../common/limits.js';
import { SUBMISSION_ID, type LedgerAnswer, type LedgerState } from '../common/wire.js';
import { wait } from '../common/backoff.js';
import { DEFAULT_PATIENCE, GatewayClient, type Patience } from './gateway-client.js';
import { newSubmissionId } from './submission-id.js';
import { uploadFound } from './upload-bucket.js';
import { MetadataTable, withMetadata } from './upload-metadata.js';
import { Sender, type RejectedSource } from './upload-send.js';
import { UploadJournal } from './upload-journal.js';
import { findSources, imageIdentity, isPath, type Found } from './upload-walk.js';

const POLL_MIN_MS = 100;
const POLL_MAX_MS = 1_000;
/** Waits are this much longer than the answers. */
const ANSWER_SHARE = 5;
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
  /** Names in the file of metadata that no image had; only where there is such a file. */
  readonly unmatched?: number;
}

export interface IngestOptions {
  /** Paths of files and folders, URLs, gs:// prefixes, and "-" for URLs from stdin, one a line. */
  readonly sources: readonly string[];
  readonly gatewayUrl: string;
  /** That the gateway asks for. */
  readonly apiKey?: string | undefined;
  /** Of the deployment, where files are put from here. By default their bytes are sent to the gateway. */
  readonly bucket?: Pick<Bucket, 'put' | 'uri'>;
  /** A file with the metadata of images, by their names. */
  readonly metadataFile?: string;
  /** Whether the metadata of `photo.jpg` is read from `photo.jpg.json`, where that is. */
  readonly hasSidecars?: boolean;
  /** Whether to wait for the outcomes. */
  readonly wait: boolean;
  /** Continues a submission; by default a new one, or that of the same command when it was interrupted. */
  readonly submission?: string;
  /** Where it is kept what was sent, so that the same command goes on after an interruption; default: nowhere. */
  readonly journalFolder?: string;
  /** Called when it goes on with what was interrupted. */
  readonly onResume?: (resumed: { readonly submission: string; readonly sent: number }) => void;
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
 *   first: 5 s); EIS_BUCKET_UNAVAILABLE; EIS_SOURCE_UNREADABLE and EIS_METADATA_INVALID of the file of metadata; the signal's reason. What was accepted by then stays accepted.
 */
export async function ingest(options: IngestOptions): Promise<IngestSummary> {
  const { submission } = options;
  if (submission !== undefined && !SUBMISSION_ID.test(submission)) throw new EisError('EIS_BAD_REQUEST', { detail: 'A submission has 1 to 64 letters, digits, "-" or "_".' });
  const table = options.metadataFile === undefined ? undefined : await MetadataTable.read(options.metadataFile);
  try {
    const summary = await ingestWith(options, table);
    return table ? { ...summary, unmatched: await table.unmatched() } : summary;
  } finally {
    await table?.close();
  }
}

async function ingestWith(options: IngestOptions, table: MetadataTable | undefined): Promise<IngestSummary> {
  const journal = await openJournal(options);
  try {
    const summary = await send(options, journal, table);
    await journal.finish();
    return summary;
  } catch (error) {
    await journal.close();
    throw error;
  }
}

/** The journal of this command. One whose images the gateway does not know, because its store was made anew, is not gone on with. */
async function openJournal(options: IngestOptions): Promise<UploadJournal> {
  const { sources, gatewayUrl, submission, journalFolder, metadataFile, hasSidecars = false } = options;
  // Other metadata makes another command: what was sent before it is to be sent again.
  const metadata = metadataFile === undefined ? [] : [resolve(metadataFile), String((await stat(metadataFile)).mtimeMs)];
  const command = [gatewayUrl, submission ?? '', ...sources.map((source) => (isPath(source) ? resolve(source) : source)), ...metadata, ...(hasSidecars ? ['sidecars'] : [])];
  // What comes from standard input is another thing each time.
  const folder = sources.includes('-') && submission === undefined ? undefined : journalFolder;
  const open = (): Promise<UploadJournal> => UploadJournal.open({ folder, command, submission: submission ?? newSubmissionId() });
  const journal = await open();
  if (journal.size === 0) return journal;
  try {
    const { counts } = await createClient(options, journal).ledger({ limit: '1' });
    if (sum(counts) >= journal.size) {
      options.onResume?.({ submission: journal.submission, sent: journal.size });
      return journal;
    }
  } catch (error) {
    await journal.close();
    throw error;
  }
  await journal.finish();
  return open();
}

function createClient({ gatewayUrl, apiKey, signal = new AbortController().signal, patience = DEFAULT_PATIENCE }: IngestOptions, { submission }: UploadJournal): GatewayClient {
  return new GatewayClient({ gatewayUrl, apiKey, submission, signal, patience });
}

/** What was found, but for the images that were confirmed before. */
async function* unsent(found: AsyncIterable<Found>, { journal, signal }: { readonly journal: UploadJournal; readonly signal: AbortSignal }): AsyncGenerator<Found> {
  for await (const one of found) {
    signal.throwIfAborted();
    const isImage = one.kind === 'file' || one.kind === 'url';
    if (!isImage || !journal.has(imageIdentity(one))) yield one;
  }
}

async function send(options: IngestOptions, journal: UploadJournal, table: MetadataTable | undefined): Promise<IngestSummary> {
  const { sources, hasSidecars = false, onProgress, bucket, imageBytesMax = DEFAULT_LIMITS.imageBytesMax, signal = new AbortController().signal } = options;
  const report = (uploaded?: number): void => onProgress?.({ sent: journal.size, settled: 0, expected: journal.size, ...(uploaded === undefined ? {} : { uploaded }) });
  const client = createClient(options, journal);
  const sender = new Sender({ client, journal, imageBytesMax, onProgress: () => report() });
  const described = withMetadata(findSources(sources, options.stdin ?? process.stdin), { table, hasSidecars });
  const found = unsent(described, { journal, signal });
  await sender.sendAll(bucket ? uploadFound(found, { bucket, imageBytesMax, signal, onUploaded: report }) : found);
  const { rejected, skipped } = sender;
  const summary = { submission: journal.submission, sent: journal.size, skipped };
  if (!options.wait || journal.size === 0) return { ...summary, stored: 0, duplicates: 0, rejected };
  const counts = await waitForOutcomes(client, signal, (progress) => onProgress?.({ sent: journal.size, ...progress }));
  const refused = [...rejected, ...(await listRefused(client, journal))];
  return { ...summary, stored: counts.stored, duplicates: counts.duplicate, rejected: refused };
}

/** Resolves when every image of the submission has an outcome, with how many have which. */
export async function waitForOutcomes(client: GatewayClient, signal: AbortSignal, onProgress: (progress: Omit<IngestProgress, 'sent'>) => void): Promise<Record<LedgerState, number>> {
  for (let pollMs = POLL_MIN_MS; ; pollMs = Math.min(POLL_MAX_MS, pollMs * 1.5)) {
    const askedAt = performance.now();
    const { counts } = await client.ledger({ limit: '1' });
    const tookMs = performance.now() - askedAt; // long for many images: asking must not become the store's work
    const expected = sum(counts);
    onProgress({ settled: expected - counts.accepted, expected });
    if (counts.accepted === 0) return counts;
    await wait(Math.max(pollMs, tookMs * ANSWER_SHARE), signal);
  }
}

async function listRefused(client: GatewayClient, journal: UploadJournal): Promise<RejectedSource[]> {
  const refused: RejectedSource[] = [];
  for (const state of ['rejected', 'dead']) {
    let after: string | null = null;
    do {
      const page: LedgerAnswer = await client.ledger({ state, limit: LEDGER_PAGE, ...(after === null ? {} : { after }) });
      for (const { source, model, code = '', message = '' } of page.entries) refused.push({ source: journal.givenOf(source) ?? source, model, code, message });
      after = page.next;
    } while (after !== null);
  }
  return refused;
}

function sum(counts: Record<LedgerState, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
