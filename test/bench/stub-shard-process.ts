/** An index shard that searches nothing: ten hits after a fixed time. Its options come as JSON in EIS_STUB. */
import { createServer } from 'node:http';
import type { IndexAnswer } from '../../common/wire.js';
import { STUB_VERSION } from '../support/stub-function.js';

interface StubShardOptions {
  /** Time that a search takes. */
  readonly delayMs: number;
  /** The first digit of its ids. */
  readonly digit: string;
}

const { delayMs, digit } = JSON.parse(process.env['EIS_STUB'] ?? '{}') as StubShardOptions;
const HITS = 10;

const answer: IndexAnswer = {
  model_version: STUB_VERSION,
  hits: Array.from({ length: HITS }, (_, n) => {
    const url = `https://images.example.com/photographs/${digit}/${n}.jpg`;
    return { id: digit + String(n).padStart(63, '0'), score: 1 - n / 100, url, urls: [url], width: 640, height: 480, phash: '0123456789abcdef' };
  }),
  vectors: 10_000,
  freshness_s: 0.1,
};
const body = JSON.stringify(answer);

createServer((request, response) => {
  request.resume();
  request.once('end', () => {
    const send = (): void => void response.writeHead(200, { 'content-type': 'application/json' }).end(request.url === '/readyz' ? '{"status":"ready"}' : body);
    if (request.method === 'POST') setTimeout(send, delayMs);
    else send();
  });
}).listen(Number(process.env['PORT']), '127.0.0.1');
