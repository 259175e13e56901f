/** `eis search`: the images most like one of a file or a URL, as a table. */
import { readFile } from 'node:fs/promises';
import { EisError } from '../common/errors.js';
import type { SearchAnswer } from '../common/wire.js';
import { askGateway } from './ask-gateway.js';
import { displaySource } from './display.js';
import type { GatewayAddress } from './gateway-option.js';

export interface SearchCommandOptions {
  readonly gateway: GatewayAddress;
  readonly top: string;
  readonly model?: string;
  readonly json: boolean;
}

export async function searchCommand(image: string, { gateway, top, model, json }: SearchCommandOptions): Promise<number> {
  const query = new URLSearchParams({ top, ...(model === undefined ? {} : { model }) });
  const body = /^(https?|gs):\/\//.test(image) ? { type: 'application/json', content: JSON.stringify({ url: image }) } : { type: 'application/octet-stream', content: await readImage(image) };
  const answer = await askGateway<SearchAnswer>({ gateway, path: `/search?${query.toString()}`, method: 'POST', body });
  process.stdout.write(json ? `${JSON.stringify(answer)}\n` : `${describeAnswer(answer)}\n`);
  return 0;
}

async function readImage(file: string): Promise<Buffer> {
  return readFile(file).catch((cause: NodeJS.ErrnoException) => {
    throw new EisError('EIS_SOURCE_UNREADABLE', { source: file, detail: cause.code === 'ENOENT' ? 'there is no such file.' : cause.message }, { cause });
  });
}

function describeAnswer({ model, results, shards, index, timings_ms: timings }: SearchAnswer): string {
  const rows = results.map(({ score, urls, url, id }, i) => `${String(i + 1).padStart(4)}  ${score.toFixed(4)}  ${displaySource(urls[0] ?? url, id)}`);
  const missing = shards.failed.map(({ shard, code }) => `${shard} (${code})`).join(', ');
  return [
    ...(rows.length > 0 ? ['   #  score   image', ...rows] : ['Nothing is indexed yet.']),
    `${model}: ${index.vectors} images searched in ${Math.round(timings.total)} ms (embedding ${Math.round(timings.embed)} ms)`,
    ...(missing === '' ? [] : [`This is not all: shards missing from the answer: ${missing}`]),
  ].join('\n');
}
