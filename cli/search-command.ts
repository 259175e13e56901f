/** `eis search`: the images most like one of a file or a URL, as a table. */
import { readFile } from 'node:fs/promises';
import { request } from 'undici';
import { contentOf } from '../common/cloud-storage.js';
import { EisError, relayError } from '../common/errors.js';
import { tryParseJson } from '../common/read-bounded.js';
import type { SearchAnswer } from '../common/wire.js';

export interface SearchCommandOptions {
  readonly gateway: string;
  readonly top: string;
  readonly model?: string;
  readonly json: boolean;
}

export async function searchCommand(image: string, { gateway, top, model, json }: SearchCommandOptions): Promise<number> {
  const query = new URLSearchParams({ top, ...(model === undefined ? {} : { model }) });
  const isUrl = /^(https?|gs):\/\//.test(image);
  const body = isUrl ? JSON.stringify({ url: image }) : await readImage(image);
  const { statusCode, body: answer } = await request(`${gateway}/search?${query.toString()}`, {
    method: 'POST', body, headers: { 'content-type': isUrl ? 'application/json' : 'application/octet-stream' },
  }).catch((cause: unknown) => {
    throw new EisError('EIS_GATEWAY_UNREACHABLE', { url: gateway }, { cause });
  });
  const text = await answer.text();
  if (statusCode !== 200) throw toAnswerError(text, gateway);
  process.stdout.write(json ? `${text}\n` : `${describeAnswer(JSON.parse(text) as SearchAnswer)}\n`);
  return 0;
}

async function readImage(file: string): Promise<Buffer> {
  return readFile(file).catch((cause: NodeJS.ErrnoException) => {
    throw new EisError('EIS_SOURCE_UNREADABLE', { source: file, detail: cause.code === 'ENOENT' ? 'there is no such file.' : cause.message }, { cause });
  });
}

function toAnswerError(text: string, gateway: string): EisError {
  return relayError(tryParseJson(text)) ?? new EisError('EIS_GATEWAY_UNREACHABLE', { url: gateway }); // what answers there is not ours
}

function describeAnswer({ model, results, shards, index, timings_ms: timings }: SearchAnswer): string {
  const rows = results.map(({ score, urls, url, id }, i) => `${String(i + 1).padStart(4)}  ${score.toFixed(4)}  ${displayName(urls[0] ?? url, id)}`);
  const missing = shards.failed.map(({ shard, code }) => `${shard} (${code})`).join(', ');
  return [
    ...(rows.length > 0 ? ['   #  score   image', ...rows] : ['Nothing is indexed yet.']),
    `${model}: ${index.vectors} images searched in ${Math.round(timings.total)} ms (embedding ${Math.round(timings.embed)} ms)`,
    ...(missing === '' ? [] : [`This is not all: shards missing from the answer: ${missing}`]),
  ].join('\n');
}

/** The name that a file was ingested under, or its URL. */
function displayName(source: string, id: string): string {
  const content = contentOf(source);
  if (!content) return source;
  return content.name === undefined || content.name === '' ? id : decodeURIComponent(content.name);
}
