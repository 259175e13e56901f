/** `eis search`: the images most like one or several, and less like others, as a table. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { FormData } from 'undici';
import { EisError } from '../common/errors.js';
import { IMAGE_ID, type SearchAnswer } from '../common/wire.js';
import { askGateway, type GatewayRequest } from './ask-gateway.js';
import { displaySource } from './display.js';
import type { GatewayAddress } from './gateway-option.js';

export interface SearchCommandOptions {
  readonly gateway: GatewayAddress;
  readonly top: string;
  readonly model?: string;
  /** Images that results are to be less like. */
  readonly not: readonly string[];
  /** JSON. */
  readonly filter?: string;
  readonly json: boolean;
}

/** Of an image that results are to be less like: half of what each other image weighs, so that it does not outweigh them. */
const NOT_WEIGHT = -0.5;

type Body = NonNullable<GatewayRequest['body']>;

/** An image as it is sent. */
type Example = { readonly weight: number } & ({ readonly id: string } | { readonly url: string } | { readonly bytes: Buffer; readonly name: string });

/** @param images files, URLs, or ids of stored images */
export async function searchCommand(images: readonly string[], { gateway, top, model, not, filter, json }: SearchCommandOptions): Promise<number> {
  const query = new URLSearchParams({ top, ...(model === undefined ? {} : { model }), ...(filter === undefined ? {} : { filter }) });
  const examples = await Promise.all([...images.map((image) => readExample(image, 1)), ...not.map((image) => readExample(image, NOT_WEIGHT))]);
  const answer = await askGateway<SearchAnswer>({ gateway, path: `/search?${query.toString()}`, method: 'POST', body: toBody(examples) });
  process.stdout.write(json ? `${JSON.stringify(answer)}\n` : `${describeAnswer(answer)}\n`);
  return 0;
}

async function readExample(image: string, weight: number): Promise<Example> {
  if (/^(https?|gs):\/\//.test(image)) return { url: image, weight };
  if (IMAGE_ID.test(image)) return { id: image, weight };
  return { bytes: await readImage(image), name: basename(image), weight };
}

async function readImage(file: string): Promise<Buffer> {
  return readFile(file).catch((cause: NodeJS.ErrnoException) => {
    throw new EisError('EIS_SOURCE_UNREADABLE', { source: file, detail: cause.code === 'ENOENT' ? 'there is no such file.' : cause.message }, { cause });
  });
}

/** One file as its bytes, files among others as a form, all else as JSON. */
function toBody(examples: readonly Example[]): Body {
  const [first] = examples;
  if (examples.length === 1 && first && 'bytes' in first) return { type: 'application/octet-stream', content: first.bytes };
  const named = examples.filter((example) => !('bytes' in example));
  if (named.length === examples.length) return { type: 'application/json', content: JSON.stringify({ images: named }) };
  const form = new FormData();
  for (const example of examples) {
    if (!('bytes' in example)) continue;
    form.append('weight', String(example.weight));
    form.append('image', new Blob([new Uint8Array(example.bytes)]), example.name);
  }
  if (named.length > 0) form.append('images', JSON.stringify(named));
  return { content: form };
}

function describeAnswer({ model, results, shards, index, timings_ms: timings }: SearchAnswer): string {
  const rows = results.map(({ score, urls, url, id, duplicates }, i) => `${String(i + 1).padStart(4)}  ${score.toFixed(4)}  ${displaySource(urls[0] ?? url, id)}${duplicates ? `  +${duplicates.count} alike` : ''}`);
  const missing = shards.failed.map(({ shard, code }) => `${shard} (${code})`).join(', ');
  return [
    ...(rows.length > 0 ? ['   #  score   image', ...rows] : [index.vectors === 0 ? 'Nothing is indexed yet.' : 'No other image matches.']),
    `${model}: ${index.vectors} images searched in ${Math.round(timings.total)} ms (embedding ${Math.round(timings.embed)} ms)`,
    ...(missing === '' ? [] : [`This is not all: shards missing from the answer: ${missing}`]),
  ].join('\n');
}
