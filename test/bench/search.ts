/**
 * The real thing, end to end on this machine: photos are posted to a gateway, the function embeds them, two index shards
 * are searched. Every search is of other bytes (a photo with a counter behind its end), so that no embedding is
 * remembered. The index is filled with drawn vectors of the model's size; the clients take their part of the same CPUs.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { Pool } from 'undici';
import { parseEnvironment } from '../../common/environment.js';
import { askFunctionVersion } from '../../common/function-version.js';
import { openStore } from '../../common/store/open-store.js';
import type { LiveVersion } from '../../common/store/store.js';
import type { SearchAnswer } from '../../common/wire.js';
import { startFunction } from '../functions/support/function-process.js';
import { percentile } from '../support/open-loop.js';
import type { RoleProcess } from '../support/role-process.js';
import { testDataPath } from '../support/test-data.js';
import { fillStore } from './draw-images.js';
import { postImage, sendByClients, type Answered } from './http-load.js';
import { median, printReport } from './report.js';
import { startPart, withScratch, type Scratch } from './scratch.js';

const MODEL = 'searched';

interface SearchBenchOptions {
  readonly vectors: number;
  readonly shards: number;
  readonly model: string;
  readonly clients: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly photos: string;
  readonly json: boolean;
}

export function addSearchBench(program: Command): void {
  program
    .command('search')
    .description('photos through a gateway, a function and index shards')
    .option('--vectors <n>', 'in the index', Number, 10_000)
    .option('--shards <n>', 'of the index', Number, 2)
    .option('--model <folder>', 'of the function', testDataPath('models', 'teachable-machine'))
    .option('--clients <n>', 'searches at once where throughput is measured', Number, 16)
    .option('--seconds <n>', 'of each measurement', Number, 5)
    .option('--rounds <n>', 'of which the median counts', Number, 5)
    .option('--photos <folder>', 'what is posted', testDataPath('images'))
    .option('--json', 'end with one line of JSON', false)
    .action(benchSearch);
}

interface Round {
  readonly answered: readonly Answered[];
  readonly perS: number;
}

async function benchSearch(all: SearchBenchOptions): Promise<void> {
  const { json, ...options } = all;
  await withScratch(async (scratch) => {
    const gateway = await startSystem(all, scratch);
    const pool = new Pool(gateway.url, { connections: options.clients });
    scratch.closing.push(() => pool.destroy());
    const image = createPhotos(resolve(options.photos));
    const search = async (): Promise<void> => {
      const { results, partial } = JSON.parse((await postImage(pool, '/search?top=10', image())).toString()) as SearchAnswer;
      if (results.length < 10 || partial) throw new Error('A search was not answered whole.');
    };
    await sendByClients(search, { clients: 2, forMs: 2_000 });
    const rounds: Round[] = [];
    for (let i = 0; i < options.rounds; i++) {
      const { answered } = await sendByClients(search, { clients: 1, forMs: options.seconds * 1000 });
      const { perS } = await sendByClients(search, { clients: options.clients, forMs: options.seconds * 1000 });
      rounds.push({ answered, perS });
      console.log(`round ${i + 1}: ${percentile(answered, 0.5).toFixed(1)} ms p50, ${percentile(answered, 0.99).toFixed(1)} p99; ${options.clients} clients ${perS.toFixed(0)}/s`);
    }
    const middle = (of: (round: Round) => number): number => median(rounds.map(of));
    printReport({ name: 'search', options, figures: { p50_ms: middle(({ answered }) => percentile(answered, 0.5)), p99_ms: middle(({ answered }) => percentile(answered, 0.99)), rps: middle(({ perS }) => perS) }, ratios: {} }, { json });
  });
}

async function startSystem({ vectors, shards: count, model }: SearchBenchOptions, scratch: Scratch): Promise<RoleProcess> {
  const { folder, closing } = scratch;
  const configFile = join(folder, 'config.json');
  writeFileSync(configFile, JSON.stringify({ models: [{ name: MODEL, model_url: resolve(model) }], services: [{ name: 'indexing', models: [{ name: MODEL, num_indexes: count }] }] }));
  const env = { EIS_CONFIG: configFile, EIS_DATA_DIR: join(folder, 'data'), MODEL, LOG_LEVEL: 'warn' };
  const fn = await startFunction(env);
  closing.push(() => fn.stop());
  const live = await askFunctionVersion(fn.url);
  if (!live) throw new Error('The function does not say which version of its model it runs.');
  await fill(env, { vectors, live });
  const shards = await Promise.all(Array.from({ length: count }, (_, i) => startPart(scratch, { name: `index-${i}`, entry: 'indexer/main.ts', env: { ...env, SHARD: `${i}/${count}` } })));
  const urls = { FUNCTION_URL_SEARCHED: fn.url, INDEX_URLS_SEARCHED: shards.map(({ url }) => url).join(';'), WRAPPER_URL: 'http://127.0.0.1:9', EIS_FUNCTION_QUEUE_TIME_MAX_MS: '10000' }; // nobody is turned away
  return startPart(scratch, { name: 'gateway', entry: 'gateway/main.ts', env: { ...env, ...urls } });
}

async function fill(env: Record<string, string>, { vectors, live }: { readonly vectors: number; readonly live: LiveVersion }): Promise<void> {
  const store = await openStore(parseEnvironment(env));
  await fillStore(store, { model: MODEL, live, images: vectors });
  await store.close();
}

/** Each call gives other bytes. */
function createPhotos(folder: string): () => Buffer {
  const photos = readdirSync(folder).filter((name) => name.endsWith('.jpg')).map((name) => readFileSync(join(folder, name)));
  let n = 0;
  return () => Buffer.concat([photos[n % photos.length] as Buffer, Buffer.from(String(n++))]);
}
