/** What `npm start` says to a person. */
import { join } from 'node:path';
import type { Config } from '../common/config.js';

export const HELP = `npm start -- [--images DIR]

Starts the whole system on this machine: gateway, functions, index pods, workers.
  --images DIR   ingest the images in DIR once it runs (what is known already is not ingested again)

Settings: EIS_CONFIG (config.json), EIS_DATA_DIR (./data), EIS_BASE_PORT (8080), PORT (of the gateway), LOG_LEVEL,
EIS_MODEL_MIRROR, HTTPS_PROXY (where models are fetched from).`;

export function welcome({ models, dataDir, url }: { readonly models: readonly string[]; readonly dataDir: string; readonly url: string }): string {
  return [
    '',
    `  Image search is running: ${url}`,
    `  Try it:   curl -s --data-binary @photo.jpg -H 'Content-Type: image/jpeg' '${url}/search?top=5'`,
    `  Add:      npm run eis -- ingest FOLDER`,
    `  Models:   ${models.join(', ')}`,
    `  Data:     ${dataDir} (logs in ${join(dataDir, 'logs')})`,
    `  Stop:     Ctrl-C`,
    '',
  ].join('\n');
}

/** A sentence for every model that the services of config.json leave out, which is allowed but seldom meant. */
export function describeCoverage(config: Config): string[] {
  const services = [
    { name: 'serving', models: config.serving, lack: 'it cannot be searched' },
    { name: 'extract_worker', models: config.extractWorkers, lack: 'no image is embedded with it' },
  ];
  return config.models.flatMap(({ name: model }) =>
    services.filter(({ models }) => !models.has(model)).map(({ name, lack }) => `Model ${model} is not listed in ${name} of ${config.file}: ${lack}.`),
  );
}
