import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { thisProcess } from '../../common/process-identity.js';
import { lockDataFolder } from '../../local/data-lock.js';
import { tempFolder } from '../support/temp-folder.js';

describe('lockDataFolder()', () => {
  it('makes the folder, and refuses it to another as long as the holder runs', () => {
    const folder = join(tempFolder(), 'data');
    const lock = lockDataFolder(folder);
    expect(() => lockDataFolder(folder)).toThrow(expect.objectContaining({ code: 'EIS_ENVIRONMENT_INVALID', message: expect.stringContaining(`pid ${process.pid}`) as string }));
    lock.release();
    expect(existsSync(join(folder, 'start.lock'))).toBe(false);
    lockDataFolder(folder).release();
  });

  it('takes over from a holder that was killed', async () => {
    const folder = tempFolder();
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    const holder = { ...thisProcess(), pid: child.pid };
    child.kill('SIGKILL');
    await once(child, 'exit');
    writeFileSync(join(folder, 'start.lock'), JSON.stringify(holder));
    lockDataFolder(folder).release();
  });

  it('says in words why a folder cannot be used', () => {
    const file = join(tempFolder(), 'file');
    writeFileSync(file, '');
    expect(() => lockDataFolder(file)).toThrow(expect.objectContaining({ code: 'EIS_ENVIRONMENT_INVALID' }));
  });
});
