import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Whole systems, which take longest: begun first, so that none is left to run alone in the end. */
const LONG = ['/test/page/', '/test/integration/', '/test/functions/pressure', '/test/cli/', '/test/ingest/queue/amqp'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => (LONG.findIndex((part) => moduleId.includes(part)) + LONG.length + 1) % (LONG.length + 1);
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Those that break things take minutes, and have a command of their own: npm run test:faults.
    exclude: [...configDefaults.exclude, ...(process.env['EIS_TEST_FAULTS'] === undefined ? ['test/faults/**'] : [])],
    // Worker threads and child processes run compiled code, so the sources are compiled once before the tests.
    globalSetup: ['test/support/build.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
  },
});
