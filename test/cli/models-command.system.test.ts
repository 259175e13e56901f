import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { packagePath } from '../../common/package-root.js';
import { tinyH5, tinyKeras } from '../functions/support/keras-files.js';
import { seededWeights, tinyClassifier, writeModel } from '../functions/support/tiny-model.js';
import { startFileServer, type FileServer } from '../support/file-server.js';
import { runCli, type CliResult } from '../support/run-cli.js';
import { tempFolder } from '../support/temp-folder.js';

const TINY = tinyClassifier();

/** The command with a configuration of these models, in a folder of its own. */
function place(models: readonly object[], env: Readonly<Record<string, string>> = {}): { readonly folder: string; readonly run: (...args: string[]) => Promise<CliResult> } {
  const folder = tempFolder();
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ models }));
  return { folder, run: (...args) => runCli(['models', ...args], { EIS_CONFIG: join(folder, 'config.json'), EIS_DATA_DIR: join(folder, 'data'), ...env }) };
}

async function serveTiny(): Promise<FileServer> {
  const weights = seededWeights(TINY);
  const half = Math.ceil(weights.length / 2);
  const server = await startFileServer({ '/tiny/model.json': JSON.stringify(TINY), '/tiny/shard1.bin': weights.subarray(0, half), '/tiny/more/shard2.bin': weights.subarray(half) });
  onTestFinished(server.close);
  return server;
}

interface ListJson {
  readonly models: readonly Record<string, unknown>[];
  readonly known: readonly { readonly name: string; readonly licence: string }[];
}

describe('eis models', () => {
  it('lists what is configured, where from and whether it is here, and the names known beyond, without asking the network', async () => {
    const server = await serveTiny();
    const { folder, run } = place([
      { name: 'builtin' },
      { name: 'mobilenet_v1' },
      { name: 'resnet' },
      { name: 'remote', model_url: `${server.url}/tiny/model.json?token=secret` },
      { name: 'own', model_url: 'own/model.json', preprocess: 'torch' },
      { name: 'gone', model_url: 'gone' },
      { name: 'odd', model_url: 'ftp://example.com/model.json' },
    ]);
    await writeModel(join(folder, 'own'), TINY);
    const { code, stdout } = await run('--json');
    expect(code).toBe(0);
    const { models, known } = JSON.parse(stdout) as ListJson;
    const bytes = JSON.stringify(TINY).length + seededWeights(TINY).length;
    expect(models).toMatchObject([
      { name: 'builtin', from: 'builtin', cached: 'local', preprocess: '[-1,1]', dim: 256 },
      { name: 'mobilenet_v1', from: 'url', cached: 'no', bytes: 17_000_000, bytes_expected: true, preprocess: '[-1,1]', dim: 1024 },
      { name: 'resnet', from: 'url', cached: 'no', bytes: 94_765_736, bytes_expected: true, preprocess: 'caffe', dim: 2048 },
      { name: 'remote', from: 'url', location: `${server.url}/tiny/model.json`, cached: 'no', bytes: null, preprocess: null, dim: null },
      { name: 'own', from: 'path', location: join(folder, 'own', 'model.json'), cached: 'local', bytes, preprocess: 'torch' },
      { name: 'gone', from: 'path', cached: 'missing' },
      { name: 'odd', from: 'url', cached: 'no' },
    ]);
    expect(known.map(({ name }) => name)).toEqual(expect.arrayContaining(['mobilenet', 'vgg16']));
    expect(known.map(({ name }) => name)).not.toContain('resnet');
    const table = (await run()).stdout.split('\n');
    expect(table[0]).toMatch(/^name +cached +size +preprocess +dim +from$/);
    expect(table[2]).toMatch(/^mobilenet_v1 +no +~17 MB +\[-1,1\] +1024 +https:\/\/storage\.googleapis\.com\//);
    expect(table[3]).toMatch(/^resnet +no +~95 MB +caffe +2048 +https:\/\/storage\.googleapis\.com\//);
    expect(server.asked).toEqual([]);
  });

  it('lists Keras files, and checks them, where they lie and from their host', async () => {
    const [h5, keras] = [await tinyH5(), await tinyKeras()];
    const server = await startFileServer({ '/model-finetuned.h5': h5 });
    onTestFinished(server.close);
    const { folder, run } = place([{ name: 'remote', model_url: `${server.url}/model-finetuned.h5` }, { name: 'own', model_url: 'own' }]);
    mkdirSync(join(folder, 'own'));
    writeFileSync(join(folder, 'own', 'mine.keras'), keras);
    const [remote, own] = await Promise.all(['remote', 'own'].map(async (name) => JSON.parse((await run('check', name, '--json')).stdout) as Record<string, unknown>));
    expect(remote).toMatchObject({ format: 'Keras .h5', layer: 'pooled', dim: 4 });
    expect(own).toMatchObject({ format: 'Keras .keras', file: join(folder, 'own', 'mine.keras'), model_version: remote!['model_version'] });
    expect((JSON.parse((await run('--json')).stdout) as ListJson).models).toMatchObject([{ name: 'remote', cached: 'yes', bytes: h5.length }, { name: 'own', cached: 'local', bytes: keras.length }]);
    expect(server.asked).toEqual(['/model-finetuned.h5']);
  });

  it('says that a fetched model is damaged; check fetches it again, in sight', async () => {
    const server = await serveTiny();
    const { folder, run } = place([{ name: 'remote', model_url: `${server.url}/tiny` }]);
    const cached = async (): Promise<unknown> => (JSON.parse((await run('--json')).stdout) as ListJson).models[0]?.['cached'];
    expect((await run('check', 'remote')).code).toBe(0);
    expect(await cached()).toBe('yes');
    const models = join(folder, 'data', 'models');
    truncateSync(join(models, readdirSync(models)[0] as string, 'shard1.bin'), 1);
    expect(await cached()).toBe('damaged');
    expect(await run('check', 'remote')).toMatchObject({ code: 0, stderr: expect.stringMatching(/remote: fetched\n$/) as string });
    expect(await cached()).toBe('yes');
  });

  it('shows the mirror where known names come from it', async () => {
    const { run } = place([{ name: 'builtin' }, { name: 'resnet' }], { EIS_MODEL_MIRROR: 'https://mirror.example/models' });
    const { models } = JSON.parse((await run('--json')).stdout) as ListJson;
    expect(models).toMatchObject([{ from: 'builtin' }, { from: 'mirror', location: 'https://mirror.example/models/resnet/model.h5', cached: 'no' }]);
  });

  it('suggests the right word for a wrong one, and helps', async () => {
    const { run } = place([{ name: 'builtin' }]);
    const wrong = await run('chekc', 'builtin');
    expect([wrong.code, wrong.stdout]).toEqual([1, '']);
    expect(wrong.stderr).toContain('Did you mean check?');
    for (const args of [['--help'], ['check', '--help']]) expect(await run(...args)).toMatchObject({ code: 0, stdout: expect.stringContaining('Usage: eis models') as string });
  });
});

describe('eis models check', () => {
  it('says what builtin is, and what it costs', async () => {
    const { run } = place([{ name: 'builtin' }]);
    const { code, stdout } = await run('check', 'builtin', '--engine', 'tfjs-wasm', '--json');
    expect(code).toBe(0);
    const answer = JSON.parse(stdout) as Record<string, number>;
    expect(answer).toMatchObject({
      file: packagePath('models/builtin/model.json'), format: 'TF.js layers model', input: { height: 112, width: 112, channels: 3, preprocess: '[-1,1]' },
      layer: 'embedding', dim: 256, engine: 'tfjs-wasm', threads: 1, passed_over: [], model_version: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    });
    expect(answer['ms_per_image']).toBeGreaterThan(0);
    expect(answer['memory_mb']).toBeGreaterThan(0);
    const text = (await run('check', 'builtin')).stdout;
    for (const line of [/^input +112×112×3, \[-1,1\]$/m, /^dim +256$/m, /^engine +\S+, on .*agrees with TF\.js/m, /^speed +[\d.]+ ms an image: median of \d+ runs/m, /^memory +\d+ MB/m]) expect(text).toMatch(line);
  });

  it('takes a path, a folder or a URL, with settings of its own; a URL is fetched, with progress, once', async () => {
    const server = await serveTiny();
    const { folder, run } = place([{ name: 'builtin' }]);
    await writeModel(join(folder, 'tiny'), TINY);
    const url = `${server.url}/tiny`;
    const versions = new Set<unknown>();
    for (const subject of [join(folder, 'tiny'), join(folder, 'tiny', 'model.json'), url, url]) {
      const { stdout } = await run('check', subject, '--layer', 'classes', '--preprocess', '[0,1]', '--json');
      const answer = JSON.parse(stdout) as Record<string, unknown>;
      expect(answer).toMatchObject({ layer: 'classes', dim: 3, input: { height: 16, preprocess: '[0,1]' } });
      versions.add(answer['model_version']);
    }
    expect(versions.size).toBe(1);
    expect(server.asked).toEqual(['/tiny/model.json', '/tiny/shard1.bin', '/tiny/more/shard2.bin']);
    const other = await run('check', `${url}/model.json?again`);
    expect(other.stderr).toMatch(/fetching it from 127\.0\.0\.1:\d+\n(.*\n)*.*: fetched\n$/);
  });

  it('shows neither the login nor the query of a URL that it fetches from', async () => {
    const server = await serveTiny();
    const { run } = place([{ name: 'builtin' }]);
    const address = server.url.replace('http://', 'http://me:hidden@');
    for (const url of [`${address}/tiny/model.json?signature=hidden`, `${address}?signature=hidden`, 'https://me:hidden@[broken/model.json?signature=hidden']) {
      const { stdout, stderr } = await run('check', url);
      expect(stdout + stderr).not.toContain('hidden');
    }
  });

  it.runIf(spawnSync('script', ['--version']).status === 0).each(['on a terminal', 'through a pipe'])('is interrupted %s: it says so, and leaves no lock', async (where) => {
    const server = await startFileServer({ '/tiny/model.json': JSON.stringify(TINY), '/tiny/shard1.bin': (_request, response) => void response.writeHead(200, { 'content-length': 300 }).write('some') });
    onTestFinished(server.close);
    const folder = tempFolder();
    const env: NodeJS.ProcessEnv = { ...process.env, EIS_DATA_DIR: join(folder, 'data'), TERM: 'xterm' };
    delete env['CI']; // where it is set there is no spinner
    const command = [process.execPath, packagePath('dist/cli.js'), 'models', 'check', `${server.url}/tiny`] as const;
    const child = where === 'on a terminal' ? spawn('script', ['-qec', `stty cols 80 rows 24; exec ${command.map((word) => `'${word}'`).join(' ')}`, '/dev/null'], { env }) : spawn(command[0], command.slice(1), { env });
    onTestFinished(() => void child.kill('SIGKILL'));
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
    const exited = once(child, 'exit');
    await expect.poll(() => server.asked, { timeout: 20_000 }).toContain('/tiny/shard1.bin');
    if (where === 'on a terminal') child.stdin.write('\u0003');
    else child.kill('SIGINT');
    expect(await exited).toEqual([130, null]);
    expect(output).toContain('interrupted; what was fetched is kept');
    expect(readdirSync(join(folder, 'data', 'models')).map((name) => name.replace(/^[0-9a-f]+/, ''))).toEqual(['.part']);
  });

  it('says why it tries again, and that another process is fetching', async () => {
    const weights = seededWeights(TINY);
    const waiting: (() => void)[] = [];
    let isFirst = true;
    const server = await startFileServer({
      '/tiny/shard1.bin': weights.subarray(0, Math.ceil(weights.length / 2)),
      '/tiny/more/shard2.bin': weights.subarray(Math.ceil(weights.length / 2)),
      '/tiny/model.json': (_request, response) => {
        if (isFirst) response.writeHead(503).end();
        else waiting.push(() => response.end(JSON.stringify(TINY)));
        isFirst = false;
      },
    });
    onTestFinished(server.close);
    const { folder, run } = place([{ name: 'builtin' }]);
    const first = run('check', `${server.url}/tiny`);
    await expect.poll(() => waiting, { timeout: 20_000 }).toHaveLength(1);
    const second = spawn(process.execPath, [packagePath('dist/cli.js'), 'models', 'check', `${server.url}/tiny`], { env: { ...process.env, EIS_DATA_DIR: join(folder, 'data') }, stdio: ['ignore', 'ignore', 'pipe'] });
    onTestFinished(() => void second.kill('SIGKILL'));
    let said = '';
    second.stderr.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
    const ended = once(second, 'exit');
    await expect.poll(() => said, { timeout: 20_000 }).toContain('tiny: another process is fetching it\n');
    for (const answer of waiting) answer();
    expect((await first).stderr).toContain('tiny: its host answered 503; trying again (2 of 6)\n');
    expect(await ended).toEqual([0, null]);
    expect(said).not.toContain('0.0 kB');
    expect(said.match(/another process/g)).toHaveLength(1);
  });

  it('takes the settings of a configured model, and known names beyond', async () => {
    const { folder, run } = place([{ name: 'own', model_url: 'tiny', preprocess: 'raw', layer: 'conv' }]);
    await writeModel(join(folder, 'tiny'), TINY);
    expect(JSON.parse((await run('check', 'own', '--json')).stdout)).toMatchObject({ layer: 'conv', dim: 4, input: { preprocess: 'raw' } });
    expect(JSON.parse((await run('check', 'builtin', '--json')).stdout)).toMatchObject({ dim: 256 });
  });

  it.each([
    ['a name nearly right', ['biultin'], /EIS_BAD_REQUEST: .*Did you mean "builtin"\?/],
    ['a path that leads nowhere', ['./nowhere'], /EIS_SOURCE_UNREADABLE: .*nowhere.* no such file/],
    ['a layer that is not there', ['builtin', '--layer', 'embeding'], /EIS_MODEL_FILE: .*Did you mean "embedding"/],
    ['an engine that is none', ['builtin', '--engine', 'gpu'], /Allowed choices are auto/],
    ['a size that is none', ['builtin', '--input-size', 'big'], /from 8 to 2048/],
  ])('refuses %s in words, with 1', async (_what, args, words) => {
    const { code, stdout, stderr } = await place([{ name: 'builtin' }]).run('check', ...args);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(words);
  });

  it('refuses what a mirror has under a wrong name', async () => {
    const mirror = tempFolder();
    await writeModel(join(mirror, 'mobilenet'), tinyClassifier(224));
    const { code, stderr } = await place([{ name: 'mobilenet' }], { EIS_MODEL_MIRROR: mirror }).run('check', 'mobilenet');
    expect(code).toBe(1);
    expect(stderr).toContain('it gives 4 numbers where mobilenet gives 1280');
  });
});
