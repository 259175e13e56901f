/**
 * Sends damaged images and requests to a local system: `npm run fuzz -- [--seed N] [--cases N]`, or one case of a run again:
 * `--seed N --case N`. The seed, chosen at random unless it is named, is printed first. Cases follow from the seed and
 * from the photos that are beside the project (EIS_TEST_DATA).
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { seed: { type: 'string' }, cases: { type: 'string', default: '5000' }, case: { type: 'string' } } });
const seed = values.seed ?? String(Math.floor(Math.random() * 2 ** 32));
for (const [name, value] of Object.entries({ ...values, seed })) {
  if (/^\d{1,10}$/.test(value)) continue;
  console.error(`--${name} ${value}: it must be a whole number.`);
  process.exit(1);
}
console.log(`Seed ${seed}. To send one case of this run again: npm run fuzz -- --seed ${seed} --case N`);
const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url));
const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/fuzz/fuzz.test.ts', '--disable-console-intercept'], {
  stdio: 'inherit',
  env: { ...process.env, EIS_FUZZ_SEED: seed, EIS_FUZZ_CASES: values.cases, ...(values.case === undefined ? {} : { EIS_FUZZ_CASE: values.case }) },
});
process.exit(status ?? 1);
