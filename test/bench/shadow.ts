/**
 * What shadow traffic costs the searches that are waited for: three gateways over the same stubs, of which one has a second
 * model answer a share of its searches as well. They take turns at a fixed rate, in an order that moves on with each round; what the two
 * without it differ by says how much of a difference is noise. Every image is another one.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { Pool } from 'undici';
import { percentile, runOpenLoop, type Sent } from '../support/open-loop.js';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import type { RoleProcess } from '../support/role-process.js';
import { postImage, type SendRequest } from './http-load.js';
import { printReport } from './report.js';
import { startPart, withScratch, type Scratch } from './scratch.js';
import { createImages } from './stub-images.js';

/** The gateways: two without shadow traffic, one with. */
const TURNS = ['plain', 'shadowed', 'other'] as const;
type Turn = (typeof TURNS)[number];
const MODELS = ['live', 'next'] as const;
const DIM = 1_280;
const SHARDS = ['0', 'f'];

interface ShadowBenchOptions {
  readonly rate: number;
  readonly share: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly functionMs: number;
  readonly shardMs: number;
  readonly json: boolean;
}

export function addShadowBench(program: Command): void {
  program
    .command('shadow')
    .description('searches through a gateway with shadow traffic, and through one without, by turns')
    .option('--rate <n>', 'searches a second', Number, 100)
    .option('--share <share>', 'of them that the second model answers as well', Number, 0.1)
    .option('--seconds <n>', 'of each turn; short ones share what else the machine does', Number, 2)
    .option('--rounds <n>', 'of a turn of each', Number, 25)
    .option('--function-ms <ms>', 'time that a function takes', Number, 20)
    .option('--shard-ms <ms>', 'time that a shard takes', Number, 5)
    .option('--json', 'end with one line of JSON', false)
    .action(benchShadow);
}

type Sends = Readonly<Record<Turn, readonly Sent<void>[]>>;

async function benchShadow(options: ShadowBenchOptions): Promise<void> {
  await withScratch(async (scratch) => {
    const system = await startSystem(options, scratch);
    const turn = (send: SendRequest, seconds = options.seconds): Promise<Sent<void>[]> => runOpenLoop({ perS: options.rate, forMs: seconds * 1000, send });
    for (const name of TURNS) await turn(system.searches[name], 2); // warms everything up
    const sent: Record<Turn, Sent<void>[]> = { plain: [], shadowed: [], other: [] };
    for (let i = 0; i < options.rounds; i++) {
      const order = TURNS.map((_, k) => TURNS[(i + k) % TURNS.length] as Turn);
      for (const name of order) sent[name].push(...(await turn(system.searches[name])));
    }
    report(options, sent, await system.counts());
  });
}

interface Counts {
  readonly answered: number;
  readonly dropped: number;
}

function report({ json, ...options }: ShadowBenchOptions, sent: Sends, { answered, dropped }: Counts): void {
  const plain = [...sent.plain, ...sent.other];
  const noise = (share: number): number => Math.abs(percentile(sent.plain, share) - percentile(sent.other, share));
  const added = (share: number): number => percentile(sent.shadowed, share) - percentile(plain, share);
  printReport(
    {
      name: 'shadow',
      options,
      figures: {
        p50_without_ms: percentile(plain, 0.5), p50_with_ms: percentile(sent.shadowed, 0.5), p50_added_ms: added(0.5), p50_noise_ms: noise(0.5),
        p99_without_ms: percentile(plain, 0.99), p99_with_ms: percentile(sent.shadowed, 0.99), p99_added_ms: added(0.99), p99_noise_ms: noise(0.99),
        shadow_searches: answered, shadow_dropped: dropped,
      },
      ratios: { p99_with_over_without: percentile(sent.shadowed, 0.99) / percentile(plain, 0.99) },
    },
    { json },
  );
}

interface System {
  /** A search through each gateway. */
  readonly searches: Readonly<Record<Turn, SendRequest>>;
  readonly counts: () => Promise<Counts>;
}

async function startSystem({ functionMs, shardMs, share }: ShadowBenchOptions, scratch: Scratch): Promise<System> {
  const urls: Record<string, string> = {};
  for (const model of MODELS) {
    const fn = await startPart(scratch, { name: `function-${model}`, entry: 'stub-function-process', env: { EIS_STUB: JSON.stringify({ model, dim: DIM, delayMs: functionMs }) } });
    const shards = await Promise.all(SHARDS.map((digit) => startPart(scratch, { name: `shard-${model}-${digit}`, entry: 'stub-shard-process', env: { EIS_STUB: JSON.stringify({ delayMs: shardMs, digit }) } })));
    Object.assign(urls, { [`FUNCTION_URL_${model.toUpperCase()}`]: fn.url, [`INDEX_URLS_${model.toUpperCase()}`]: shards.map(({ url }) => url).join(';') });
  }
  const startGateway = (name: string, shadow: object): Promise<RoleProcess> => {
    const file = join(scratch.folder, `${name}.json`);
    const services = [{ name: 'indexing', models: MODELS.map((model) => ({ name: model, num_indexes: SHARDS.length })) }, { name: 'serving', models: [{ name: MODELS[0], ...shadow }] }];
    writeFileSync(file, JSON.stringify({ models: MODELS.map((model) => ({ name: model })), services }));
    const env = { ...urls, EIS_CONFIG: file, WRAPPER_URL: 'http://127.0.0.1:9', LOG_LEVEL: 'warn', EIS_LOOP_DELAY_MAX_MS: '10000', EIS_INDEX_TIMEOUT_MS: '10000', EIS_FUNCTION_QUEUE_TIME_MAX_MS: '10000' };
    return startPart(scratch, { name, entry: 'gateway/main.ts', env });
  };
  const [plain, shadowed, other] = [await startGateway('plain', {}), await startGateway('shadowed', { shadow: { model: MODELS[1], share } }), await startGateway('other', {})];
  const image = createImages();
  const searchBy = ({ url }: RoleProcess): SendRequest => {
    const pool = new Pool(url, { connections: 256 });
    scratch.closing.push(() => pool.destroy());
    return async () => void (await postImage(pool, '/search?top=10', image()));
  };
  return {
    searches: { plain: searchBy(plain), shadowed: searchBy(shadowed), other: searchBy(other) },
    async counts() {
      const samples = parsePrometheus(await (await fetch(`${shadowed.url}/metrics`)).text());
      return { answered: sumOf(samples, 'eis_shadow_searches_total'), dropped: sumOf(samples, 'eis_shadow_dropped_total') };
    },
  };
}
