import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { packagePath } from '../../common/package-root.js';
import { drawImages } from '../support/drawn-images.js';
import { MlflowServer } from '../support/mlflow-server.js';
import { pngWith } from '../support/png.js';
import { runCli, type CliResult } from '../support/run-cli.js';
import { startStubFunction } from '../support/stub-function.js';
import { tempFolder } from '../support/temp-folder.js';

interface EvaluationJson {
  readonly mode: string;
  readonly images: number;
  readonly queries: number;
  readonly duplicates: number;
  readonly unlabelled: number;
  readonly unreadable: readonly { readonly name: string; readonly code: string }[];
  readonly runs: readonly ({ readonly model: string; readonly algorithm: string; readonly recall_at_1: number; readonly recall_at_3: number; readonly embed_ms: unknown; readonly search_ms: unknown } & Record<string, unknown>)[];
  readonly comparisons: readonly Record<string, unknown>[];
}

/** Two classes of four pictures each, besides a loose one and a copy. */
async function labelledPictures(): Promise<string> {
  const folder = tempFolder();
  const drawn = join(folder, 'drawn');
  const names = await drawImages(drawn, 9);
  for (const [i, name] of names.entries()) {
    const target = i === 8 ? folder : join(folder, 'classes', i < 4 ? 'first' : 'second');
    mkdirSync(target, { recursive: true });
    copyFileSync(join(drawn, name), join(target, name));
  }
  const classes = join(folder, 'classes');
  copyFileSync(join(drawn, names[8]!), join(classes, 'loose.png'));
  copyFileSync(join(drawn, names[0]!), join(classes, 'first', 'copy.png'));
  return classes;
}

async function stub(model = 'stub'): Promise<string> {
  const { url, server } = await startStubFunction({ model, dim: 16, delayMs: 0 });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return url;
}

function evaluate(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliResult> {
  return runCli(['evaluate', ...args], { MLFLOW_TRACKING_URI: '', ...env });
}

/** Without the figures that are times. */
function timeless({ runs, ...rest }: EvaluationJson): object {
  return { ...rest, runs: runs.map((run) => ({ ...run, embed_ms: undefined, search_ms: undefined })) };
}

describe('eis evaluate, with a function that runs', () => {
  it('judges classes, says what it left out, and is the same for the same seed', async () => {
    const classes = await labelledPictures();
    const args = ['--labelled', classes, '--function', await stub(), '--model', 'builtin', '--k', '3,1', '--algorithm', 'brute', '--algorithm', 'hnsw', '--algorithm', 'kd_tree', '--json'];
    const [{ code, stdout, stderr }, again] = await Promise.all([evaluate(args), evaluate(args)]);
    expect([code, stderr]).toEqual([0, '']);
    const json = JSON.parse(stdout) as EvaluationJson;
    expect(json).toMatchObject({ mode: 'labelled', images: 8, queries: 8, duplicates: 1, unlabelled: 1, k: [1, 3] });
    expect(json.runs.map(({ model, algorithm }) => [model, algorithm])).toEqual([['builtin', 'brute'], ['builtin', 'hnsw'], ['builtin', 'kd_tree']]);
    for (const run of json.runs) expect([run.recall_at_1, run['map_at_3']]).toEqual([json.runs[0]!.recall_at_1, json.runs[0]!['map_at_3']]);
    expect(json.comparisons).toMatchObject([{ overlap_at_3: 1, wins_a: 0, wins_b: 0 }, { overlap_at_3: 1 }]);
    expect(Object.keys(json.runs[0]!['classes'] as object)).toEqual(['first', 'second']);
    expect(timeless(JSON.parse(again.stdout) as EvaluationJson)).toEqual(timeless(json));
  });

  it('judges groups of a file, and draws as many images as it may', async () => {
    const classes = await labelledPictures();
    const file = join(classes, 'groups.json');
    const paths = (name: string): string[] => readdirSync(join(classes, name)).filter((one) => one !== 'copy.png').map((one) => join(name, one));
    writeFileSync(file, JSON.stringify({ one: paths('first'), two: [...paths('second'), 'second/gone.png'] }));
    const args = ['--groups', file, '--function', await stub(), '--model', 'builtin', '--k', '2', '--json'];
    const { code, stdout } = await evaluate(args);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ mode: 'groups', images: 8, queries: 8, unreadable: [{ name: 'second/gone.png', code: 'EIS_SOURCE_UNREADABLE' }] });
    const drawn = JSON.parse((await evaluate([...args, '--limit', '6'])).stdout) as EvaluationJson;
    expect(drawn).toMatchObject({ images: 6, limit: 6 });
  });

  it('logs to MLflow what the table says, with the report', async () => {
    const mlflow = await MlflowServer.start({ authorization: `Basic ${Buffer.from('me:secret').toString('base64')}` });
    mlflow.fail(/runs\/create/, { status: 500 });
    const report = tempFolder();
    const args = ['--labelled', await labelledPictures(), '--function', await stub(), '--model', 'builtin', '--k', '3', '--report', report];
    const { code, stdout, stderr } = await evaluate(args, { MLFLOW_TRACKING_URI: mlflow.url, MLFLOW_EXPERIMENT_NAME: 'mine', MLFLOW_TRACKING_USERNAME: 'me', MLFLOW_TRACKING_PASSWORD: 'secret', MLFLOW_TRACKING_TOKEN: 'unused' });
    expect(code).toBe(0);
    expect(stderr).toMatch(new RegExp(`Logged to MLflow at ${mlflow.url}, experiment mine: 1 run, \\d+ metrics, the report\\.`));
    const [run] = mlflow.runs;
    expect(run).toMatchObject({ name: 'builtin (brute)', status: 'FINISHED' });
    expect(stdout).toContain(run!.metrics.get('recall_at_3')!.toFixed(4));
    const page = readFileSync(join(report, 'index.html'), 'utf8');
    expect([...mlflow.artifacts.values()].map(({ content }) => content.toString())).toEqual([page]);
  });

  it('does not fail when MLflow does, and says what was not logged', async () => {
    const mlflow = await MlflowServer.start();
    mlflow.fail(/get-by-name/, 'silent', 100);
    const args = ['--labelled', await labelledPictures(), '--function', await stub(), '--model', 'builtin', '--k', '3', '--json'];
    const [silent, file] = await Promise.all([evaluate(args, { MLFLOW_TRACKING_URI: mlflow.url, EIS_MLFLOW_TIMEOUT_MS: '400' }), evaluate(args, { MLFLOW_TRACKING_URI: 'sqlite:///mlruns.db' })]);
    for (const { code, stdout } of [silent, file]) expect([code, (JSON.parse(stdout) as EvaluationJson).mode]).toEqual([0, 'labelled']);
    expect(silent.stderr).toBe('Not logged to MLflow: builtin (brute): the 400 ms for it are over.\n');
    expect(file.stderr).toMatch(/^Not logged to MLflow: MLFLOW_TRACKING_URI names no server/);
  });
});

describe('eis evaluate, when it cannot', () => {
  const folder = mkdtempSync(join(tmpdir(), 'eis-test-'));
  const place = (...names: string[]): string => join(folder, ...names);
  beforeAll(() => {
    const pictures = ['one/class/a', 'one/class/b', 'loose/a', 'classes/x/a', 'classes/x/b', 'classes/y/a', 'classes/y/b'];
    mkdirSync(place('empty'));
    for (const [i, name] of pictures.entries()) {
      mkdirSync(place(dirname(name)), { recursive: true });
      writeFileSync(place(`${name}.png`), pngWith({ width: 8 + i }));
    }
    writeFileSync(place('groups.json'), 'no groups');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ['an empty folder', ['--altered', place('empty')], /EIS_EVALUATION: .* has no images \(\.jpg/],
    ['no folder', ['--altered', place('gone')], /EIS_SOURCE_UNREADABLE: .*gone cannot be read: there is no such file or folder/],
    ['images without classes', ['--labelled', place('loose')], /EIS_EVALUATION: .*are in no folder of a class/],
    ['one class', ['--labelled', place('one')], /EIS_EVALUATION: .*one class only, "class"/],
    ['k larger than the collection', ['--labelled', place('classes'), '--k', '500'], /EIS_EVALUATION: .*k is 500, and a search has only 3 images/],
    ['an unknown model', ['--labelled', place('classes'), '--k', '2', '--model', 'bultin'], /EIS_BAD_REQUEST: .*Did you mean "builtin"\?/],
    ['several models of one function', ['--labelled', place('classes'), '--k', '2', '--function', 'http://127.0.0.1:1', '--model', 'builtin', '--model', 'mobilenet'], /EIS_BAD_REQUEST: --function is the address of one model's function, and there are 2 models/],
    ['a groups file that is none', ['--groups', place('groups.json')], /EIS_EVALUATION: .*groups\.json is no groups file: it is not JSON/],
    ['nothing named', [], /name images with one of --altered, --labelled, --groups/],
    ['two kinds at once', ['--altered', place('empty'), '--labelled', place('empty')], /cannot be used with option/],
    ['an unknown algorithm', ['--altered', place('empty'), '--algorithm', 'magic'], /It must be one of brute, hnsw, kd_tree/],
    ['images that the function takes none of', ['--altered', place('classes'), '--k', '1', '--model', 'builtin'], /EIS_EVALUATION: .*the function of model builtin takes none of the images; x\/a\.png, for one/],
  ])('says of %s what would be right', async (_, args, message) => {
    const { code, stdout, stderr } = await evaluate(args);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

/** Processes whose environment has a text: those that a command started, wherever they are now. */
function processesWith(text: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(join('/proc', pid, 'environ'), 'utf8').includes(text);
    } catch {
      return false;
    }
  });
}

describe('eis evaluate, with a function of its own', () => {
  it('starts the function of a model, has altered copies find their originals, and leaves no process', async () => {
    const folder = tempFolder();
    await drawImages(join(folder, 'pictures'), 6);
    writeFileSync(join(folder, 'pictures', 'broken.jpg'), 'no picture');
    const { code, stdout } = await evaluate(['--altered', join(folder, 'pictures'), '--k', '1,3', '--json'], { EIS_DATA_DIR: join(folder, 'data') });
    expect(code).toBe(0);
    const json = JSON.parse(stdout) as EvaluationJson;
    expect(json).toMatchObject({ mode: 'altered', images: 6, queries: 6 * 17, unreadable: [{ name: 'broken.jpg', code: 'EIS_IMAGE_INVALID' }] });
    expect(json.runs[0]).toMatchObject({ model: 'builtin', algorithm: 'brute', dim: 256, vectors: 6 });
    expect(json.runs[0]!.recall_at_3).toBeGreaterThan(0.9);
    expect(processesWith(basename(folder))).toEqual([]);
  });

  it.each([['its function starts', 'starting its function'], ['copies are searched for', 'images embedded']])('ends within seconds when it is interrupted while %s, and leaves no process', async (_, text) => {
    const folder = tempFolder();
    await drawImages(join(folder, 'pictures'), 12);
    const child = spawn(process.execPath, [packagePath('dist/cli.js'), 'evaluate', '--altered', join(folder, 'pictures'), '--k', '1'], { env: { ...process.env, EIS_DATA_DIR: join(folder, 'data'), TMPDIR: folder }, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes(text) && !child.killed) child.kill('SIGINT');
    });
    expect(await once(child, 'exit')).toEqual([130, null]);
    expect(said).toContain('Interrupted.');
    expect(processesWith(basename(folder))).toEqual([]);
    expect(readdirSync(folder).filter((name) => name.startsWith('eis-evaluate-'))).toEqual([]);
  });
});
