import { once } from 'node:events';
import { mkdir, readFile, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { thisProcess } from '../../../common/process-identity.js';
import type { DownloadProgress } from '../../../functions/models/download.js';
import { Locker, type Lock } from '../../../functions/models/download-lock.js';
import { tempFolder } from '../../support/temp-folder.js';
import { FAST, digests, outcomeOf, readModel, setUpDownloads, type Downloads } from '../support/model-downloads.js';
import { inTurn, sendFile, tinyFiles } from '../support/model-server.js';

const FILES = tinyFiles();
const MAIN = FILES['/m/model.json']!;
const IN_PLACE = digests({ 'model.json': MAIN, 'more/shard2.bin': FILES['/m/more/shard2.bin']!, 'shard1.bin': FILES['/m/shard1.bin']! });
const ONCE = ['/m/model.json', '/m/shard1.bin', '/m/more/shard2.bin'];
const NOBODY = { pid: 2 ** 22 + 1, host: hostname(), startTicks: 1 };

describe('several downloads of one model', () => {
  let downloads: Downloads;
  beforeEach(async () => {
    downloads = await setUpDownloads(FILES);
  });

  it('fetch it once within a process', async () => {
    const paths = await Promise.all(Array.from({ length: 5 }, () => downloads.download()));
    expect(new Set(paths).size).toBe(1);
    expect(downloads.server.paths()).toEqual(ONCE);
    expect(await readdir(downloads.folder)).toHaveLength(1);
  });

  it('fetch it once between processes, and those that wait say how far it is', async () => {
    const { server } = downloads;
    let answer = (): void => undefined;
    server.files['/m/more/shard2.bin'] = (request, response) => void (answer = () => sendFile(request, response, { bytes: FILES['/m/more/shard2.bin']! }));
    const children = Array.from({ length: 3 }, () => downloads.startProcess());
    const outcomes = children.map(outcomeOf);
    const said = children.map((): DownloadProgress[] => []);
    for (const [i, child] of children.entries()) child.on('message', ({ progress }: { progress?: DownloadProgress }) => progress && said[i]!.push(progress));
    await vi.waitFor(() => expect(server.paths()).toContain('/m/more/shard2.bin'), { timeout: 20_000 });
    await vi.waitFor(() => expect(said.filter((progresses) => progresses.some(({ receivedBytes, totalBytes, isElsewhere }) => receivedBytes === MAIN.length + 300 && totalBytes === MAIN.length + 508 && isElsewhere)).length).toBeGreaterThanOrEqual(2), { timeout: 20_000 });
    answer();
    const paths = (await Promise.all(outcomes)).map(({ path }) => path);
    expect(new Set(paths).size).toBe(1);
    expect(await readModel(paths[0]!)).toEqual(IN_PLACE);
    expect(server.paths()).toEqual(ONCE);
    for (const progresses of said) expect(progresses.at(-1)).toMatchObject({ receivedBytes: MAIN.length + 508, totalBytes: MAIN.length + 508 });
    expect(await readdir(downloads.folder)).toHaveLength(1);
  });

  it('go on when the one that fetches is killed: another takes its place', async () => {
    const { server } = downloads;
    server.files['/m/more/shard2.bin'] = inTurn(() => undefined, (request, response) => sendFile(request, response, { bytes: FILES['/m/more/shard2.bin']! }));
    const first = downloads.startProcess();
    await vi.waitFor(() => expect(server.paths()).toContain('/m/more/shard2.bin'), { timeout: 20_000 });
    const others = Promise.all([downloads.download(), downloads.download(), outcomeOf(downloads.startProcess()).then(({ path }) => path!)]);
    first.kill('SIGKILL');
    const [path, ...same] = await others;
    expect(same).toEqual([path, path]);
    expect(await readModel(path)).toEqual(IN_PLACE);
    expect(server.paths()).toEqual([...ONCE, '/m/model.json', '/m/more/shard2.bin']);
    expect(await readdir(downloads.folder)).toHaveLength(1);
  });

  it('try each for themselves when the one that fetches fails', async () => {
    downloads.server.files['/m/model.json'] = inTurn((_request, response) => response.writeHead(404).end(), (request, response) => sendFile(request, response, { bytes: MAIN }));
    const outcomes = await Promise.allSettled([downloads.download(), downloads.download()]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('stop waiting when their caller does, or their time is over', async () => {
    downloads.server.files['/m/model.json'] = () => undefined;
    const first = new AbortController();
    const fetching = downloads.download({ signal: first.signal }).catch((error: unknown) => error);
    await vi.waitFor(() => expect(downloads.server.asked).toHaveLength(1));
    const second = new AbortController();
    const waiting = downloads.download({ signal: second.signal });
    second.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    await expect(downloads.download({ timeoutMs: 50 })).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD', message: expect.stringContaining('too long') as string });
    expect(downloads.server.asked).toHaveLength(1);
    first.abort(new Error('gone too'));
    expect(await fetching).toMatchObject({ message: 'gone too' });
    expect(await readdir(downloads.folder)).toEqual([]);
  });

  it('tidy up after one that was killed when the model was in its place', async () => {
    const path = await downloads.download();
    const target = join(path, '..');
    const lock = join(downloads.folder, `${basename(target)}.lock`);
    await mkdir(`${target}.part/incoming`, { recursive: true });
    await writeFile(lock, JSON.stringify({ ...thisProcess(), token: 'alive' }));
    expect(await downloads.download()).toBe(path);
    expect((await readdir(downloads.folder)).sort()).toEqual(['', '.lock', '.part'].map((end) => `${basename(target)}${end}`));
    await writeFile(lock, JSON.stringify({ ...NOBODY, token: 'dead' }));
    expect(await downloads.download()).toBe(path);
    expect(await readdir(downloads.folder)).toEqual([basename(target)]);
  });

  it('leave the model to whoever took the lock from them', async () => {
    const { server, folder } = downloads;
    let answer = (): void => undefined;
    server.files['/m/shard1.bin'] = inTurn((request, response) => void (answer = () => sendFile(request, response, { bytes: FILES['/m/shard1.bin']! })), (request, response) => sendFile(request, response, { bytes: FILES['/m/shard1.bin']! }));
    const path = downloads.download({ lock: { ...FAST.lock, heartbeatMs: 60_000 } });
    await vi.waitFor(() => expect(server.paths()).toContain('/m/shard1.bin'));
    const lock = join(folder, (await readdir(folder)).find((name) => name.endsWith('.lock'))!);
    await writeFile(lock, JSON.stringify({ ...NOBODY, token: 'thief' }));
    answer();
    expect(await readModel(await path)).toEqual(IN_PLACE);
    expect(server.paths()).toEqual(['/m/model.json', '/m/shard1.bin', '/m/more/shard2.bin', '/m/model.json']);
    expect(await readdir(folder)).toHaveLength(1);
  });
});

describe('Locker.tryLock()', () => {
  const TIMING = { heartbeatMs: 10, deadAfterMs: 60 };
  let path: string;
  beforeEach(() => {
    path = join(tempFolder(), 'model.lock');
  });

  async function eventually(locker: Locker): Promise<Lock> {
    return vi.waitFor(async () => (await locker.tryLock(path)) ?? Promise.reject(new Error('The lock is not given.')), { timeout: 5_000, interval: 5 });
  }

  it('gives a lock to one at a time, and leaves nothing when it is released', async () => {
    const lock = await new Locker(TIMING).tryLock(path);
    expect(await new Locker(TIMING).tryLock(path)).toBeUndefined();
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject(thisProcess());
    expect(await lock!.isHeld()).toBe(true);
    await lock!.release();
    expect(await readdir(join(path, '..'))).toEqual([]);
    expect(await new Locker(TIMING).tryLock(path)).toBeDefined();
  });

  it('takes the lock of a process that has ended at once, for one of all that see it', async () => {
    for (let round = 0; round < 50; round++) {
      await writeFile(path, JSON.stringify({ ...NOBODY, token: `dead${round}` }));
      const lockers = Array.from({ length: 8 }, () => new Locker(TIMING));
      let held: Lock[] = [];
      while (held.length === 0) held = (await Promise.all(lockers.map((locker) => locker.tryLock(path)))).filter((lock) => lock !== undefined);
      expect(held).toHaveLength(1);
      expect(await held[0]!.isHeld()).toBe(true);
      await held[0]!.release();
      expect(await readdir(join(path, '..'))).toEqual([]);
    }
  });

  it('leaves the lock alone that another made in the place of the dead one meanwhile', async () => {
    await writeFile(path, JSON.stringify({ ...NOBODY, token: 'dead' }));
    const locker = new Locker(TIMING);
    const tryLock = locker.tryLock.bind(locker);
    let others: Lock | undefined;
    vi.spyOn(locker, 'tryLock').mockImplementation(async (asked) => {
      if (asked !== path) others ??= await new Locker(TIMING).tryLock(path);
      return tryLock(asked);
    });
    expect(await locker.tryLock(path)).toBeUndefined();
    expect(await others!.isHeld()).toBe(true);
    expect(await readdir(join(path, '..'))).toEqual(['model.lock']);
  });

  it('takes it although whoever began to take it died over it', async () => {
    await writeFile(path, JSON.stringify({ ...NOBODY, token: 'dead' }));
    await writeFile(`${path}.dead`, JSON.stringify({ ...NOBODY, token: 'dead-too' }));
    expect(await new Locker(TIMING).tryLock(path)).toBeDefined();
    expect(await readdir(join(path, '..'))).toEqual(['model.lock']);
  });

  it('takes the lock of another host when its heart stands still, and never while it beats', async () => {
    await writeFile(path, JSON.stringify({ ...NOBODY, host: 'elsewhere', token: 'far' }));
    const locker = new Locker(TIMING);
    for (let beat = 0; beat < 15; beat++) {
      await utimes(path, new Date(), new Date(Date.now() - beat));
      expect(await locker.tryLock(path)).toBeUndefined();
      await sleep(10);
    }
    await (await eventually(locker)).release();
  });

  it('needs not watch a heart that stopped hours ago', async () => {
    await writeFile(path, JSON.stringify({ ...NOBODY, host: 'elsewhere', token: 'far' }));
    await utimes(path, new Date(), new Date(Date.now() - 2 * 3_600_000));
    expect(await new Locker({ heartbeatMs: 10_000, deadAfterMs: 60_000 }).tryLock(path)).toBeDefined();
  });

  it('takes a lock that was never written to the end', async () => {
    await writeFile(path, '{"pid":');
    await (await eventually(new Locker(TIMING))).release();
    expect(await readdir(join(path, '..'))).toEqual([]);
  });

  it('takes a lock of junk, or of a pid that no process of this host can have', async () => {
    for (const junk of ['', 'null', '[1]', 'junk', JSON.stringify({ token: 'x' }), ...[0, -1, 1.5, 2 ** 40, '7', null].map((pid) => JSON.stringify({ ...thisProcess(), pid, token: 'x' })), JSON.stringify({ ...NOBODY, token: '../../x' })]) {
      await writeFile(path, junk);
      await (await eventually(new Locker({ heartbeatMs: 10, deadAfterMs: 20 }))).release();
      expect(await readdir(join(path, '..')), junk).toEqual([]);
    }
  });

  it("takes the lock of a process that ended although its pid is another user's now", async () => {
    const kill = vi.spyOn(process, 'kill').mockImplementation(() => {
      throw Object.assign(new Error(), { code: 'EPERM' });
    });
    onTestFinished(() => kill.mockRestore());
    await writeFile(path, JSON.stringify({ ...thisProcess(), token: 'alive' }));
    expect(await new Locker(TIMING).tryLock(path)).toBeUndefined();
    await writeFile(path, JSON.stringify({ ...thisProcess(), startTicks: 1, token: 'dead' }));
    expect(await new Locker(TIMING).tryLock(path)).toBeDefined();
  });

  it('lets its heart beat, and says when the lock was lost', async () => {
    const lock = (await new Locker(TIMING).tryLock(path))!;
    await utimes(path, new Date(0), new Date(0));
    await vi.waitFor(async () => expect((await stat(path)).mtimeMs).toBeGreaterThan(0));
    await writeFile(path, JSON.stringify({ ...NOBODY, token: 'thief' }));
    if (!lock.lost.aborted) await once(lock.lost, 'abort');
    expect(await lock.isHeld()).toBe(false);
    await lock.release();
    expect(await readFile(path, 'utf8')).toContain('thief');
  });
});
