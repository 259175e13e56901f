/**
 * Runs the tests that break things: `npm run test:faults -- [--seed N] [--short] [name…]`. The seed, chosen at random
 * unless it is named, decides what breaks when; it is printed first, so that a run can be repeated.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { seed: { type: 'string' }, short: { type: 'boolean', default: false } } });
const seed = values.seed ?? String(Math.floor(Math.random() * 2 ** 32));
if (!/^\d{1,10}$/.test(seed)) {
  console.error(`--seed ${seed}: it must be a whole number.`);
  process.exit(1);
}
const again = ['npm run test:faults --', `--seed ${seed}`, ...(values.short ? ['--short'] : []), ...positionals].join(' ');
console.log(`Seed ${seed}. To repeat this run: ${again}`);
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
const files = positionals.length > 0 ? positionals : ['test/faults/'];
const { status } = spawnSync(process.execPath, [vitest, 'run', '--no-file-parallelism', ...files], {
  stdio: 'inherit',
  env: { ...process.env, EIS_TEST_SUITE: 'faults', EIS_TEST_FAULTS: values.short ? 'short' : 'full', EIS_TEST_SEED: seed },
});
if (status !== 0) console.error(`To repeat this run: ${again}`);
process.exit(status ?? 1);
