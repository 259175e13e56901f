/** The cases of a run. Each follows from the seed and its own number alone, so that one can be sent again without the others. */
import { multipartOf } from '../support/raw-http.js';
import { SeededRandom } from '../support/seeded-random.js';
import { mutate } from './mutations.js';
import type { Sample } from './samples.js';

/** What is sent to whom, and what is damaged in it. */
export type CaseKind = 'function-image' | 'search-image' | 'search-form' | 'search-json' | 'images-form' | 'images-json';

export interface FuzzCase {
  readonly number: number;
  readonly kind: CaseKind;
  readonly description: string;
  readonly path: string;
  readonly contentType: string;
  readonly body: Buffer;
}

const MULTIPART = 'multipart/form-data; boundary=X';
const FILE = 'Content-Disposition: form-data; name="image"; filename="a.jpg"\r\nContent-Type: image/jpeg';
/** Of a hundred cases. */
const SHARES: readonly (readonly [CaseKind, number])[] = [['function-image', 50], ['search-image', 15], ['search-form', 12], ['search-json', 8], ['images-form', 8], ['images-json', 7]];
const JSON_BODIES = ['{"url":"http://93.184.216.34/a.jpg"}', '{"id":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}', '{"urls":["http://93.184.216.34/a.jpg","gs://bucket/a"]}', '"http://93.184.216.34/a.jpg"\n{"url":"gs://bucket/b"}\n', '[[[{"url":null}]],1e999,"\\ud800\\u0000"]', '{"__proto__":{"url":"x"},"constructor":1,"url":{"url":""}}'].map((text) => Buffer.from(text));

export function makeCase(seed: number, number: number, samples: readonly Sample[]): FuzzCase {
  const random = new SeededRandom((seed + Math.imul(number + 1, 0x9e37_79b1)) >>> 0);
  const draw = <T>(items: readonly T[]): T => items[random.between(0, items.length - 1)] as T;
  const [sample, other] = [draw(samples), draw(samples)];
  const kind = drawKind(random.between(0, 99));
  const made = (bytes: Buffer, otherBytes: Buffer): Pick<FuzzCase, 'description' | 'body'> => {
    const mutated = mutate({ bytes, other: otherBytes, random });
    return { description: mutated.mutations.join(', '), body: mutated.bytes };
  };
  const json = (types: readonly string[]): Omit<FuzzCase, 'number' | 'kind' | 'path'> => ({ ...made(draw(JSON_BODIES), draw(JSON_BODIES)), contentType: draw(types) });
  const form = (): Omit<FuzzCase, 'number' | 'kind' | 'path'> => {
    const whole = multipartOf([FILE, sample.bytes], ...(random.next() < 0.5 ? [[FILE.replace('image"', 'note"'), other.bytes] as [string, Buffer]] : []));
    return { ...made(whole, draw([other.bytes, whole])), contentType: mutateType(random, MULTIPART) };
  };
  const image = (): Omit<FuzzCase, 'number' | 'kind' | 'path'> => {
    const { description, body } = made(sample.bytes, other.bytes);
    return { description: `${sample.name}: ${description}`, body, contentType: draw(['image/jpeg', 'application/octet-stream']) };
  };
  switch (kind) {
    case 'function-image':
      return { number, kind, path: '/', ...image() };
    case 'search-image':
      return { number, kind, path: '/search?top=3', ...image() };
    case 'search-form':
      return { number, kind, path: '/search?top=3', ...form() };
    case 'search-json':
      return { number, kind, path: '/search', ...json(['application/json']) };
    case 'images-form':
      return { number, kind, path: '/images', ...form() };
    case 'images-json':
      return { number, kind, path: '/images', ...json(['application/json', 'application/x-ndjson']) };
  }
}

function drawKind(share: number): CaseKind {
  let end = 0;
  return (SHARES.find(([, shares]) => share < (end += shares)) ?? SHARES[0]!)[0];
}

/** Every fourth Content-Type is damaged, too, as far as a client can send it. */
function mutateType(random: SeededRandom, type: string): string {
  if (random.next() < 0.75) return type;
  const { bytes } = mutate({ bytes: Buffer.from(type), other: Buffer.from('; charset="utf-8"; boundary=""; boundary*0=a'), random });
  return bytes.toString('latin1').replace(/[^ -~]/g, '').trim() || 'x/y';
}
