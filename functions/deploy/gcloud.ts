/** Runs `gcloud`, whose progress the person at the terminal sees as it comes. */
import { spawn } from 'node:child_process';
import { EisError } from '../../common/errors.js';
import { packagePath } from '../../common/package-root.js';
import { addressArguments, bindingArguments, deployArguments, type FunctionDeployment } from './gcloud-arguments.js';

/** Of what gcloud says, as much as an error of ours repeats. */
const SAID_MAX = 2_000;

/**
 * Deploys one function and resolves with its address.
 *
 * @throws EisError EIS_FUNCTION_DEPLOY with what gcloud said
 */
export async function deployFunction(deployment: FunctionDeployment): Promise<string> {
  const { laneName: name } = deployment.model;
  const binding = bindingArguments(deployment);
  await gcloud(name, deployArguments(deployment));
  if (binding) await gcloud(name, binding);
  const url = (await gcloud(name, addressArguments(deployment))).trim();
  if (!URL.canParse(url) || new URL(url).protocol !== 'https:') throw new EisError('EIS_FUNCTION_DEPLOY', { model: name, detail: `gcloud tells no https:// address of it, but ${JSON.stringify(url)}.` });
  return url;
}

/** What `gcloud` writes to standard output. */
async function gcloud(model: string, words: readonly string[]): Promise<string> {
  const child = spawn('gcloud', words, { cwd: packagePath(), stdio: ['ignore', 'pipe', 'pipe'] });
  let answer = '';
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (answer += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    process.stderr.write(text);
    said = (said + text).slice(-SAID_MAX);
  });
  const fail = (detail: string, cause?: unknown): EisError => new EisError('EIS_FUNCTION_DEPLOY', { model, detail }, { cause });
  return new Promise((resolve, reject) => {
    child.once('error', (cause: NodeJS.ErrnoException) => reject(fail(cause.code === 'ENOENT' ? 'gcloud is not on the PATH. Install the Google Cloud CLI and log in with "gcloud auth login".' : cause.message, cause)));
    child.once('close', (code, signal) => (code === 0 ? resolve(answer) : reject(fail(`"gcloud ${words.slice(0, 2).join(' ')}" ended with ${code ?? signal}: ${lastWords(said)}`))));
  });
}

/** From its last "ERROR:" on; else its last line. */
function lastWords(said: string): string {
  const lines = said.trim().split('\n');
  const error = lines.findLastIndex((line) => line.startsWith('ERROR'));
  return (error === -1 ? lines.slice(-1) : lines.slice(error)).join('\n') || 'it said nothing.';
}
