/** `eis dedupe`: says which near-duplicates there are among the images of each model, or groups them in the store, from where index pods take the groups over. */
import { loadConfig, modelConfig } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import { openStore } from '../common/store/open-store.js';
import { dedupeModel, type DedupeReport, type OnProgress, type UnchangedReport } from './dedupe-run.js';
import { describeDedupe } from './dedupe-words.js';
import { drawBar, terminalWidth } from './layout.js';

export interface DedupeCommandOptions {
  readonly model?: string;
  /** Writes what is found; else it is only told. */
  readonly apply: boolean;
  /** Judges all images anew, not only what came since the last run. */
  readonly all: boolean;
  readonly json: boolean;
}

/** Clears the line of a terminal. */
const CLEAR = '\r\u001b[K';

/** @throws EisError EIS_CONFIG…, EIS_STORE_…, EIS_ENGINE_UNAVAILABLE, EIS_INDEX_FILE */
export async function dedupeCommand({ model, apply, all, json }: DedupeCommandOptions, environment: Environment): Promise<void> {
  const config = loadConfig(environment.configFile);
  const models = model === undefined ? config.models.map(({ name }) => name) : [modelConfig(config, model).name];
  const store = await openStore(environment);
  try {
    const reports: (DedupeReport | UnchangedReport)[] = [];
    for (const name of models) {
      const report = await dedupeModel(store, name, { apply, all, dataDir: environment.dataDir, onProgress: showProgress(name, process.stderr) });
      if (process.stderr.isTTY) process.stderr.write(CLEAR);
      if (report) reports.push(report);
      if (!json) process.stdout.write(`${(report ? describeDedupe(report, terminalWidth(process.stdout)) : [`${name}: no images yet.`]).join('\n')}\n`);
    }
    if (json) process.stdout.write(`${JSON.stringify({ models: reports })}\n`);
  } finally {
    await store.close();
  }
}

/** One line of a terminal; where there is none, what is said in the end is enough. */
function showProgress(model: string, stream: NodeJS.WriteStream): OnProgress | undefined {
  if (!stream.isTTY) return undefined;
  return (part, done, of) => stream.write(`${CLEAR}${model} ${of === undefined ? `${done} images ${part}` : `${drawBar(done / of)} ${done} of ${of} images ${part}`}`);
}
