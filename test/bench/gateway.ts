/**
 * A gateway over stubs that take a fixed time: what it adds to them, and how many searches it gets through. Every image
 * is another one, so that nothing is remembered or shared, and none is turned away for taking long. Beside it, in the same run and by turns, a forwarder of bare
 * node:http, which makes one call where a gateway makes three.
 *
 * `added_…` is the latency of searches through the gateway less that of the same calls made by the client itself (the
 * function, then both shards at once), at a fixed rate, of the same percentile; medians of the rounds. `forwarder_added_…`
 * is the same of the forwarder: what one hop more costs on this machine.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { Pool } from 'undici';
import { encodeVector } from '../../common/vector.js';
import { percentile, runOpenLoop, type Sent } from '../support/open-loop.js';
import type { RoleProcess } from '../support/role-process.js';
import { STUB_VERSION } from '../support/stub-function.js';
import { postImage, sendByClients, type SendRequest } from './http-load.js';
import { median, printReport } from './report.js';
import { startPart, withScratch, type Scratch } from './scratch.js';
import { createImages } from './stub-images.js';

const MODEL = 'builtin';
const DIM = 1_280;
const SHARDS = ['0', 'f'];
const MANY_CLIENTS = 256;

interface GatewayBenchOptions {
  readonly rate: number;
  readonly clients: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly functionMs: number;
  readonly shardMs: number;
  readonly json: boolean;
}

export function addGatewayBench(program: Command): void {
  program
    .command('gateway')
    .description('a gateway over a function and two shards that are stubs, beside a bare forwarder')
    .option('--rate <n>', 'searches a second where latency is measured', Number, 100)
    .option('--clients <n>', 'searches at once where throughput is measured, beside 256', Number, 16)
    .option('--seconds <n>', 'of each measurement', Number, 5)
    .option('--rounds <n>', 'each measures everything once', Number, 5)
    .option('--function-ms <ms>', 'time that the function takes', Number, 5)
    .option('--shard-ms <ms>', 'time that a shard takes', Number, 2)
    .option('--json', 'end with one line of JSON', false)
    .action(benchGateway);
}

interface Round {
  readonly gateway: readonly Sent<void>[];
  readonly direct: readonly Sent<void>[];
  readonly forwarded: readonly Sent<void>[];
  /** The function's call alone, which is what a forwarded one is beside. */
  readonly embedded: readonly Sent<void>[];
  readonly gatewayPerS: number;
  readonly forwarderPerS: number;
  readonly manyPerS: number;
}

async function benchGateway(options: GatewayBenchOptions): Promise<void> {
  await withScratch(async (scratch) => {
    const system = await startSystem(options, scratch);
    const rounds: Round[] = [];
    await measure(options, system); // warms everything up
    for (let i = 0; i < options.rounds; i++) {
      const round = await measure(options, system);
      rounds.push(round);
      console.log(`round ${i + 1}: added ${addedMs(round, 0.5).toFixed(2)} ms p50, ${addedMs(round, 0.99).toFixed(2)} p99; ${round.gatewayPerS.toFixed(0)}/s, forwarder ${round.forwarderPerS.toFixed(0)}/s, ${MANY_CLIENTS} clients ${round.manyPerS.toFixed(0)}/s`);
    }
    report(options, rounds, system.gateway.peakRssMb);
  });
}

function addedMs({ gateway, direct }: Round, share: number): number {
  return percentile(gateway, share) - percentile(direct, share);
}

function report({ json, ...options }: GatewayBenchOptions, rounds: readonly Round[], rssMb: number): void {
  const middle = (of: (round: Round) => number): number => median(rounds.map(of));
  printReport(
    {
      name: 'gateway',
      options,
      figures: {
        added_p50_ms: middle((round) => addedMs(round, 0.5)),
        added_p99_ms: middle((round) => addedMs(round, 0.99)),
        p50_ms: middle(({ gateway }) => percentile(gateway, 0.5)),
        p99_ms: middle(({ gateway }) => percentile(gateway, 0.99)),
        [`rps_${options.clients}`]: middle(({ gatewayPerS }) => gatewayPerS),
        [`rps_${MANY_CLIENTS}`]: middle(({ manyPerS }) => manyPerS),
        forwarder_rps: middle(({ forwarderPerS }) => forwarderPerS),
        forwarder_added_p50_ms: middle(({ forwarded, embedded }) => percentile(forwarded, 0.5) - percentile(embedded, 0.5)),
        rss_mb: rssMb,
      },
      ratios: { rps_over_forwarder: middle(({ gatewayPerS, forwarderPerS }) => gatewayPerS / forwarderPerS) },
    },
    { json },
  );
}

interface System {
  readonly gateway: RoleProcess;
  /** One search, made by the gateway, by the client itself, and the function's call alone, and that by the forwarder. */
  readonly search: SendRequest;
  readonly direct: SendRequest;
  readonly embed: SendRequest;
  readonly forward: SendRequest;
}

async function startSystem({ functionMs, shardMs }: GatewayBenchOptions, scratch: Scratch): Promise<System> {
  const fn = await startPart(scratch, { name: 'function', entry: 'stub-function-process', env: { EIS_STUB: JSON.stringify({ model: MODEL, dim: DIM, delayMs: functionMs }) } });
  const shards = await Promise.all(SHARDS.map((digit) => startPart(scratch, { name: `shard-${digit}`, entry: 'stub-shard-process', env: { EIS_STUB: JSON.stringify({ delayMs: shardMs, digit }) } })));
  const forwarder = await startPart(scratch, { name: 'forwarder', entry: 'forwarder-process', env: { EIS_FORWARD_TO: fn.url } });
  const configFile = join(scratch.folder, 'config.json');
  writeFileSync(configFile, JSON.stringify({ models: [{ name: MODEL }], services: [{ name: 'indexing', models: [{ name: MODEL, num_indexes: SHARDS.length }] }] }));
  const env = { EIS_CONFIG: configFile, FUNCTION_URL_BUILTIN: fn.url, INDEX_URLS_BUILTIN: shards.map(({ url }) => url).join(';'), WRAPPER_URL: 'http://127.0.0.1:9', LOG_LEVEL: 'warn', EIS_FUNCTION_QUEUE_TIME_MAX_MS: '10000', EIS_LOOP_DELAY_MAX_MS: '10000' };
  const gateway = await startPart(scratch, { name: 'gateway', entry: 'gateway/main.ts', env });
  const pools = [gateway, forwarder, fn, ...shards].map(({ url }) => new Pool(url, { connections: MANY_CLIENTS }));
  scratch.closing.push(() => Promise.all(pools.map((pool) => pool.destroy())));
  const [toGateway, toForwarder, toFunction, ...toShards] = pools as [Pool, Pool, Pool, ...Pool[]];
  const image = createImages();
  return {
    gateway,
    search: async () => void (await postImage(toGateway, '/search?top=10', image())),
    embed: async () => void (await postImage(toFunction, '/', image())),
    forward: async () => void (await postImage(toForwarder, '/', image())),
    async direct() {
      const vector = await postImage(toFunction, '/', image());
      await Promise.all(toShards.map((pool) => searchShard(pool, vector)));
    },
  };
}

async function searchShard(pool: Pool, vector: Buffer): Promise<void> {
  const { body } = await pool.request({ method: 'POST', path: '/search?top=10', headers: { 'content-type': 'application/octet-stream', 'x-eis-model-version': STUB_VERSION }, body: encodeVector(new Float32Array(vector.buffer, vector.byteOffset, DIM)) });
  await body.json();
}

async function measure({ rate, clients, seconds }: GatewayBenchOptions, { search, direct, embed, forward }: System): Promise<Round> {
  const forMs = seconds * 1000;
  const directly = await runOpenLoop({ perS: rate, forMs, send: direct });
  const gateway = await runOpenLoop({ perS: rate, forMs, send: search });
  const embedded = await runOpenLoop({ perS: rate, forMs, send: embed });
  const forwarded = await runOpenLoop({ perS: rate, forMs, send: forward });
  const forwarder = await sendByClients(forward, { clients, forMs });
  const busy = await sendByClients(search, { clients, forMs });
  const crowded = await sendByClients(search, { clients: MANY_CLIENTS, forMs });
  return { gateway, direct: directly, forwarded, embedded, gatewayPerS: busy.perS, forwarderPerS: forwarder.perS, manyPerS: crowded.perS };
}
