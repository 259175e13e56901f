import { readdirSync } from 'node:fs';
import { getPriority } from 'node:os';
import { describe, expect, it } from 'vitest';
import { Worker } from 'node:worker_threads';
import { compiledUrl } from '../../../common/package-root.js';

describe.runIf(process.platform === 'linux')('standBack', () => {
  it('lets the other threads of the process go first, and takes the threads along that are started later', async () => {
    const before = niceThreads();
    const worker = new Worker(`
      import(${JSON.stringify(compiledUrl('functions/engines/thread-priority.ts').href)}).then(({ standBack }) => {
        standBack(7);
        new (require('node:worker_threads').Worker)('setInterval(() => undefined, 1000); require("node:worker_threads").parentPort.postMessage(0)', { eval: true }).once('message', () => require('node:worker_threads').parentPort.postMessage(0));
      });`, { eval: true });
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    expect(niceThreads().filter((id) => !before.includes(id)).length).toBeGreaterThanOrEqual(2);
    expect(getPriority(process.pid)).not.toBe(7);
    await worker.terminate();
  });
});

function niceThreads(): string[] {
  return readdirSync('/proc/self/task').filter((id) => getPriority(Number(id)) === 7);
}
