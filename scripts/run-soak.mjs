/**
 * Mixed load on a local system: `npm run test:soak -- [--minutes N] [--seed N]`. Prints memory and open files of each
 * process, and fails when they grow. The seed decides which requests are damaged in which way.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '30' }, seed: { type: 'string' } } });
const seed = values.seed ?? String(Math.floor(Math.random() * 2 ** 32));
for (const [name, value, pattern] of [['minutes', values.minutes, /^\d{1,4}(\.\d{1,2})?$/], ['seed', seed, /^\d{1,10}$/]]) {
  if (pattern.test(value)) continue;
  console.error(`--${name} ${value}: it must be a number.`);
  process.exit(1);
}
console.log(`Seed ${seed}, ${values.minutes} minutes.`);
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/faults/soak.test.ts', '--disable-console-intercept'], {
  stdio: 'inherit',
  env: { ...process.env, EIS_TEST_SUITE: 'faults', EIS_SOAK_MINUTES: values.minutes, EIS_TEST_SEED: seed },
});
process.exit(status ?? 1);
