import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Tests that take minutes, in folders of their own: `npm run test:faults`, `npm run test:cluster`. */
const OWN_COMMANDS = ['faults', 'cluster'];
const SUITE = process.env['EIS_TEST_SUITE'];

/** Whole systems, which take longest: begun first, so that none is left to run alone in the end. */
const LONG = ['/test/page/', '/test/integration/', '/test/functions/pressure', '/test/cli/', '/test/ingest/queue/amqp', '/test/k8s/deploy'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => (LONG.findIndex((part) => moduleId.includes(part)) + LONG.length + 1) % (LONG.length + 1);
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    include: [SUITE === undefined ? 'test/**/*.test.ts' : `test/${SUITE}/**/*.test.ts`],
    exclude: [...configDefaults.exclude, ...(SUITE === undefined ? OWN_COMMANDS.map((suite) => `test/${suite}/**`) : [])],
    // Worker threads and child processes run compiled code, so the sources are compiled once before the tests.
    globalSetup: ['test/support/build.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
  },
});
