// A function or an index pod that computes nothing, in a process of its own, told by its parent how to behave:
// { delayMs, jitterMs, servers, holdsMax }. It takes delayMs and up to jitterMs more for each request; `servers` at once
// work, the others wait in line; beyond `holdsMax` that wait or work it answers 429. It says to its parent
// where it listens, and how many requests it has been sent, whenever it is told something.
import { Buffer } from 'node:buffer';
import { createServer } from 'node:http';
import { setTimeout } from 'node:timers';

const VERSION = 'f'.repeat(64);
const DIM = 8;
const [role] = process.argv.slice(2);
let behaviour = { delayMs: 5, jitterMs: 0, servers: Infinity, holdsMax: Infinity };
let working = 0;
let seen = 0;
const waiting = [];

function begin(answer) {
  working++;
  setTimeout(() => {
    working--;
    answer();
    if (waiting.length > 0 && working < (behaviour.servers ?? Infinity)) begin(waiting.shift());
  }, behaviour.delayMs + Math.random() * (behaviour.jitterMs ?? 0));
}

const json = (response, status, value) => void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));

function embed(response) {
  response.writeHead(200, {
    'content-type': 'application/octet-stream', 'x-eis-model': 'm', 'x-eis-model-version': VERSION, 'x-eis-dim': String(DIM), 'x-eis-sha256': 'a'.repeat(64),
    'x-eis-phash': 'b'.repeat(16), 'x-eis-width': '10', 'x-eis-height': '20', 'x-eis-format': 'jpeg', 'x-eis-timings-ms': '{"fetch":0,"decode":1,"infer":2}',
  });
  response.end(Buffer.from(new Float32Array([1, 0, 0, 0, 0, 0, 0, 0]).buffer));
}

const hits = [{ id: '0'.repeat(64), score: 0.5, url: 'https://example.com/a.jpg', urls: ['https://example.com/a.jpg'], width: 1, height: 1, phash: '0'.repeat(16) }];
const search = (response) => json(response, 200, { model_version: VERSION, hits, vectors: 1, freshness_s: 0.1 });

const server = createServer((request, response) => {
  request.resume();
  request.once('end', () => {
    if (request.method === 'GET') return json(response, 200, request.url.endsWith('/stats') ? { model: 'm', model_version: VERSION, shard: '0/1', algorithm: 'brute', dim: DIM, vectors: 1, freshness_s: 0.1, loaded_at: null, memory_bytes: 1 } : { status: 'ready', model: 'm', model_version: VERSION, dim: DIM });
    seen++;
    if (working + waiting.length >= (behaviour.holdsMax ?? Infinity)) return json(response.setHeader('retry-after', '1'), 429, { statusCode: 429, code: 'EIS_OVERLOADED', error: 'Too Many Requests', message: 'This stub is full.' });
    const answer = () => (role === 'function' ? embed(response) : search(response));
    if (working < (behaviour.servers ?? Infinity)) begin(answer);
    else waiting.push(answer);
  });
}).listen(0, '127.0.0.1', () => process.send({ port: server.address().port, seen }));
server.keepAliveTimeout = 60_000;

process.on('message', (told) => {
  behaviour = { ...behaviour, ...told };
  process.send({ port: server.address().port, seen });
});
process.once('disconnect', () => process.exit());
