/**
 * `kill -9` of each process in turn, the supervisor included, during an ingest: nothing that was accepted is lost and
 * nothing has two outcomes. With the 240 photos; in the short run with drawn pictures.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LedgerAnswer } from '../../common/wire.js';
import type { IngestSummary } from '../../ingest/upload.js';
import { drawImages } from '../support/drawn-images.js';
import { startLocalStack, type LocalStack } from '../support/local-stack.js';
import { runCli } from '../support/run-cli.js';
import { missingTestData, testDataPath } from '../support/test-data.js';

const FULL = process.env['EIS_TEST_FAULTS'] === 'full';
const reason = FULL ? missingTestData('images') : undefined;
const VICTIMS = ['worker-builtin', 'function-builtin', 'wrapper', 'gateway', 'index-builtin-0-2', 'index-builtin-1-2', 'worker-builtin', 'supervisor', 'function-builtin', 'worker-builtin'];

describe.skipIf(reason !== undefined)(`an ingest during which every process is killed in turn${reason ? ` (${reason})` : ''}`, () => {
  let folder: string;
  let images: string;
  let expected: number;
  let stack: LocalStack;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'eis-kill-'));
    images = FULL ? testDataPath('images') : join(folder, 'images');
    expected = FULL ? 240 : (await drawImages(images, 100)).length;
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    stack = await startLocalStack({ folder, args: ['--images', empty] });
  }, 120_000);

  afterAll(async () => {
    await stack.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function kill(victim: string): Promise<void> {
    if (victim === 'supervisor') {
      process.kill(stack.pid, 'SIGKILL');
      await stack.ended;
      stack = await startLocalStack({ folder, basePort: stack.basePort, args: ['--images', join(folder, 'empty')] });
      return;
    }
    const pid = stack.pidOf(victim);
    if (pid !== undefined) process.kill(pid, 'SIGKILL');
  }

  it('stores every image once and gives every source exactly one outcome', async () => {
    let isRunning = true;
    const ingesting = runCli(['ingest', images, '--gateway', stack.url, '--json']).finally(() => (isRunning = false));
    await expect.poll(async () => ((await (await fetch(`${stack.url}/images?limit=1`)).json()) as LedgerAnswer).entries.length, { timeout: 20_000, interval: 25 }).toBe(1); // it has begun: the command has seen the gateway
    const killed: string[] = [];
    for (const victim of VICTIMS) {
      if (!isRunning) break;
      await kill(victim);
      killed.push(victim);
      await sleep(FULL ? 900 : 350);
    }
    const { code, stdout, stderr } = await ingesting;
    const summary = JSON.parse(stdout || '{}') as IngestSummary;
    expect({ ...summary, code, stderr, killed: killed.length }).toMatchObject({ sent: expected, stored: expected, duplicates: 0, rejected: [], code: 0 });
    expect(killed).toContain('worker-builtin');
    const ledger = (await (await fetch(`${stack.url}/images?submission=${summary.submission}&limit=1000`)).json()) as LedgerAnswer;
    expect(new Set(ledger.entries.map(({ source }) => source)).size).toBe(expected);
    expect(ledger.counts).toEqual({ accepted: 0, stored: expected, duplicate: 0, rejected: 0, dead: 0 });
    await expect.poll(async () => {
      const { models } = (await (await fetch(`${stack.url}/models`)).json()) as { models: { vectors: number }[] };
      return models[0]?.vectors;
    }, { timeout: 10_000 }).toBe(expected);
  }, 240_000);
});
