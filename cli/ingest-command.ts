/** `eis ingest`: sends images, shows how far it is, says what became of them. */
import ora from 'ora';
import type { Bucket } from '../common/bucket/bucket.js';
import { ingest, type IngestProgress, type IngestSummary } from '../ingest/upload.js';
import type { GatewayAddress } from './gateway-option.js';
import { drawBar } from './layout.js';

export interface IngestCommandOptions {
  readonly gateway: GatewayAddress;
  readonly wait: boolean;
  readonly json: boolean;
  /** A larger file is rejected without being sent. */
  readonly imageBytesMax: number;
  /** Of the deployment, where it is one that files can be put into from here. */
  readonly bucket: Bucket | undefined;
  readonly submission?: string;
  /** A file with the metadata of images, by their names. */
  readonly metadata?: string;
  /** Whether the metadata of `photo.jpg` is read from `photo.jpg.json`. */
  readonly sidecars: boolean;
  /** Where it is kept what was sent, for the same command after an interruption. */
  readonly journalFolder: string;
}

const REJECTED_SHOWN = 20;

/** @returns the exit code: 0 only when nothing was rejected */
export async function ingestCommand(sources: readonly string[], { gateway, wait, json, submission, metadata, sidecars, imageBytesMax, bucket, journalFolder }: IngestCommandOptions): Promise<number> {
  const spinner = ora({ text: 'Sending…', isSilent: json, stream: process.stderr, discardStdin: false }).start();
  const interrupted = new AbortController();
  const interrupt = (): void => {
    interrupted.abort(new Error('interrupted'));
    process.stdin.destroy();
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  try {
    const summary = await ingest({
      sources, gatewayUrl: gateway.url, apiKey: gateway.apiKey, wait, imageBytesMax, journalFolder, hasSidecars: sidecars, signal: interrupted.signal,
      ...(submission === undefined ? {} : { submission }),
      ...(metadata === undefined ? {} : { metadataFile: metadata }),
      ...(bucket === undefined ? {} : { bucket }),
      onResume: ({ submission: resumed, sent }) => {
        spinner.stop();
        process.stderr.write(`Going on with submission ${resumed}: ${sent} images were sent before.\n`);
        spinner.start();
      },
      onProgress: (progress) => {
        spinner.text = describeProgress(progress);
      },
    });
    spinner.stop();
    process.stdout.write(json ? `${JSON.stringify(summary)}\n` : `${describeSummary(summary, wait)}\n`);
    return summary.rejected.length === 0 ? 0 : 1;
  } catch (error) {
    spinner.stop();
    if (!interrupted.signal.aborted) throw error;
    process.stderr.write('Interrupted. What was sent stays accepted; the same command again goes on from here.\n');
    return 130;
  }
}

function describeProgress({ sent, settled, expected, uploaded }: IngestProgress): string {
  if (uploaded !== undefined) return `${uploaded} uploaded to the bucket, ${sent} sent`;
  return `${drawBar(expected === 0 ? 0 : settled / expected)} ${sent} sent, ${settled} of ${expected} done`;
}

function describeSummary({ submission, sent, stored, duplicates, rejected, skipped, unmatched = 0 }: IngestSummary, waited: boolean): string {
  const outcome = waited ? `${stored} stored, ${duplicates} known already, ${rejected.length} rejected` : `not waited for; ${rejected.length} rejected so far`;
  const lines = [`${sent} sent: ${outcome}${skipped > 0 ? `; ${skipped} other files skipped` : ''}. (submission ${submission})`];
  if (unmatched > 0) lines.push(`  ${unmatched} names in the file of metadata are of no image that was found.`);
  for (const { source, model, message } of rejected.slice(0, REJECTED_SHOWN)) lines.push(`  ${source} (${model}): ${message}`);
  if (rejected.length > REJECTED_SHOWN) lines.push(`  … and ${rejected.length - REJECTED_SHOWN} more; --json lists all.`);
  return lines.join('\n');
}
