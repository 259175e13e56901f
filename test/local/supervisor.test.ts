import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ProcessSpec } from '../../local/processes.js';
import { ProcessFailure, Supervisor } from '../../local/supervisor.js';
import { freePort } from '../support/free-ports.js';
import { tempFolder } from '../support/temp-folder.js';

const SERVER = `
import { createServer } from 'node:http';
console.log('hello from stdout');
createServer((_, response) => response.end('ok')).listen(Number(process.env.PORT), '127.0.0.1');
process.on('disconnect', () => process.exit(0));
`;

async function prepare(code: string): Promise<{ supervisor: Supervisor; notices: string[]; logFolder: string; spec: ProcessSpec }> {
  const folder = tempFolder();
  const logFolder = join(folder, 'logs');
  mkdirSync(logFolder);
  const module = join(folder, 'process.mjs');
  writeFileSync(module, code);
  const port = await freePort();
  const spec: ProcessSpec = { role: 'worker', name: 'role a/b', module, args: [], port, env: { PORT: String(port) }, readyPath: '/' };
  const notices: string[] = [];
  const supervisor = new Supervisor([spec], { logFolder, killAfterMs: 300, onNotice: (notice) => notices.push(notice) });
  onTestFinished(() => supervisor.stop());
  return { supervisor, notices, logFolder, spec };
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('Supervisor', () => {
  it('starts a process, waits until it serves, and ends it', async () => {
    const { supervisor, logFolder } = await prepare(SERVER);
    supervisor.start();
    await supervisor.ready();
    const pid = supervisor.pids().get('role a/b') as number;
    expect(isAlive(pid)).toBe(true);
    await supervisor.stop();
    expect(isAlive(pid)).toBe(false);
    expect(readFileSync(join(logFolder, 'role-a-b.log'), 'utf8')).toContain('hello from stdout');
  });

  it('starts a process again that was killed, and says so', async () => {
    const { supervisor, notices } = await prepare(SERVER);
    supervisor.start();
    await supervisor.ready();
    const pid = supervisor.pids().get('role a/b') as number;
    process.kill(pid, 'SIGKILL');
    while (supervisor.pids().get('role a/b') === pid || supervisor.pids().size === 0) await sleep(10);
    await supervisor.ready();
    expect(supervisor.pids().get('role a/b')).not.toBe(pid);
    expect(notices).toEqual(['role a/b ended (SIGKILL); starting it again.']);
  });

  it('does so even when the folder of its logs is gone', async () => {
    const { supervisor, logFolder } = await prepare(SERVER);
    supervisor.start();
    await supervisor.ready();
    const pid = supervisor.pids().get('role a/b') as number;
    rmSync(logFolder, { recursive: true });
    process.kill(pid, 'SIGKILL');
    while (supervisor.pids().get('role a/b') === pid || supervisor.pids().size === 0) await sleep(10);
    await supervisor.ready();
    expect(existsSync(join(logFolder, 'role-a-b.log'))).toBe(true);
  });

  it('gives up on a process that never starts, with the end of what it said', async () => {
    const { supervisor } = await prepare(`console.error('EIS_CONFIG_INVALID: the reason'); process.exit(1);`);
    supervisor.start();
    const failure = await supervisor.ready().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ProcessFailure);
    expect((failure as ProcessFailure).lines.at(-1)).toBe('EIS_CONFIG_INVALID: the reason');
  });

  it('kills a process that does not end by itself', async () => {
    const { supervisor } = await prepare(`${SERVER} process.on('SIGTERM', () => {});`);
    supervisor.start();
    await supervisor.ready();
    const pid = supervisor.pids().get('role a/b') as number;
    await supervisor.stop();
    expect(isAlive(pid)).toBe(false);
  });
});
