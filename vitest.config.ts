import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Tests that take minutes, in folders of their own: `npm run test:faults`, `npm run test:cluster`. */
const OWN_COMMANDS = ['faults', 'cluster'];
/**
 * Whole processes, a browser, a broker, real weights: `npm run test:system`, beside the sources that they are of like all
 * others. Everything else is `npm test`, which is to be done within three minutes.
 */
const SYSTEM = 'test/**/*.system.test.ts';
const SUITE = process.env['EIS_TEST_SUITE'];

/** What takes longest: begun first, so that none is left to run alone in the end. */
const LONG = ['/test/page/page.', '/test/integration/local.', '/test/k8s/deploy', '/test/cli/models', '/keras-h5-loader', '/hnsw-index', '/test/functions/pressure', '/amqp-queue', '/catch-up', '/test/cli/evaluate-command', '/test/integration/', '/test/page/'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => (LONG.findIndex((part) => moduleId.includes(part)) + LONG.length + 1) % (LONG.length + 1);
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

/** Changes what holds for a whole process (which images sharp reads), or depends on it: not among the tests that share one. */
const ALONE = ['test/functions/image.test.ts', 'test/evaluation/alterations.test.ts'];

const exclude = [...configDefaults.exclude, SYSTEM, ...OWN_COMMANDS.map((suite) => `test/${suite}/**`)];

/**
 * Tests of the default suite share processes, so that what they import is loaded once a process instead of once a file, which was a third of
 * the time. They leave nothing behind, as any order of them shows (`--sequence.shuffle.files`).
 */
const DEFAULT = [
  { extends: true as const, test: { name: 'shared', include: ['test/**/*.test.ts'], exclude: [...exclude, ...ALONE], isolate: false } },
  { extends: true as const, test: { name: 'alone', include: ALONE, isolate: true } },
];

export default defineConfig({
  test: {
    ...(SUITE === undefined ? { projects: DEFAULT } : { include: [SUITE === 'system' ? SYSTEM : `test/${SUITE}/**/*.test.ts`] }),
    // Worker threads and child processes run compiled code, so the sources are compiled once before the tests.
    globalSetup: ['test/support/build.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    // One more than a small machine has cores: tests that wait for a clock or a peer leave theirs to others.
    maxWorkers: SUITE === undefined ? 3 : 2,
    sequence: { sequencer: LongestFirst },
  },
});
