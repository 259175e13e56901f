/**
 * Damaged images, forms and JSON, sent to a whole local system: no process dies, nothing hangs, nobody answers 5xx, memory
 * does not grow. 300 cases of a fixed seed, or what `npm run fuzz` asks for.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startLocalStack, type LocalStack } from '../support/local-stack.js';
import { makeCase } from './cases.js';
import { findFault } from './judge.js';
import { describeReport, growthPerThousand, runFuzz, sendCase, type FuzzTargets } from './runner.js';
import { makeSamples, type Sample } from './samples.js';

const read = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise);
const SEED = read('EIS_FUZZ_SEED', 1);
const CASES = read('EIS_FUZZ_CASES', 300);
/** The only case to send. */
const ONLY = process.env['EIS_FUZZ_CASE'];
const PROCESSES = ['function-builtin', 'gateway', 'wrapper', 'worker-builtin'];
const MEMORY_MB_MAX = 900;
/** Judged over runs that are longer than it takes V8 and the allocator to settle. */
const GROWTH_MB_MAX = 30;
const GROWTH_CASES_MIN = 4_000;

let folder: string;
let stack: LocalStack;
let targets: FuzzTargets;
let samples: Sample[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eis-fuzz-'));
  mkdirSync(join(folder, 'empty'));
  samples = await makeSamples();
  // No URL that a mutation makes is fetched: none names this port.
  stack = await startLocalStack({ folder, args: ['--images', join(folder, 'empty')], env: { EIS_FETCH_PORTS: '1', LOG_LEVEL: 'warn' } });
  targets = { functionUrl: `http://127.0.0.1:${stack.basePort + 10}`, gatewayUrl: stack.url, processes: Object.fromEntries(PROCESSES.map((name) => [name, stack.pidOf(name)!])) };
}, 120_000);
afterAll(async () => {
  await stack.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('damaged requests', () => {
  it.skipIf(ONLY !== undefined)(`are all answered as they should be (${CASES}, seed ${SEED})`, { timeout: 60_000 + CASES * 200 }, async () => {
    const report = await runFuzz(targets, { seed: SEED, cases: CASES, samples });
    if (process.env['EIS_FUZZ_CASES'] !== undefined) console.log(describeReport(report));
    expect(report.faults, `Send one again: npm run fuzz -- --seed ${SEED} --case ${report.faults[0]?.number}`).toEqual([]);
    expect(Object.keys(report.outcomes).filter((outcome) => /image 200/.test(outcome)).length).toBe(2);
    for (const [name, memory] of Object.entries(report.memory)) {
      expect(Math.max(...memory.map(({ mb }) => mb)), name).toBeLessThan(MEMORY_MB_MAX);
      if (CASES >= GROWTH_CASES_MIN) expect(growthPerThousand(memory), name).toBeLessThan(GROWTH_MB_MAX);
    }
    expect(stack.output()).not.toContain('starting it again');
    for (const [name, pid] of Object.entries(targets.processes)) expect(stack.pidOf(name), name).toBe(pid);
    const whole = { ...makeCase(SEED, 0, samples), kind: 'search-image' as const, path: '/search', contentType: 'image/png', body: samples.find(({ name }) => name === 'png')!.bytes };
    expect((await sendCase(targets, whole)).status).toBe(200);
  });

  it.runIf(ONLY !== undefined)(`case ${ONLY} of seed ${SEED}`, async () => {
    const { body, ...rest } = makeCase(SEED, Number(ONLY), samples);
    const file = join(tmpdir(), `eis-fuzz-${SEED}-${ONLY}.bin`);
    writeFileSync(file, body);
    const answer = await sendCase(targets, { body, ...rest });
    console.log({ ...rest, body: file }, answer);
    expect(findFault(rest.kind, answer)).toBeUndefined();
  });
});
