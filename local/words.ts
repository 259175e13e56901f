/** What `npm start` says to a person. */
import { join } from 'node:path';
import type { Config } from '../common/config.js';

export const HELP = `npm start -- [--images DIR]

Starts the whole system on this machine: gateway, functions, index pods, workers.
  --images DIR   ingest the images in DIR once it runs (what is known already is not ingested again)

Settings: EIS_CONFIG (config.json), EIS_DATA_DIR (./data), EIS_BASE_PORT (8080), PORT (of the gateway), LOG_LEVEL.`;

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
  const services = { serving: config.serving, indexing: config.indexing, extract_worker: config.extractWorkers };
  return config.models.flatMap(({ name }) => {
    const without = Object.entries(services).filter(([, models]) => !models.has(name)).map(([service]) => service);
    return without.length === 0 ? [] : [`Model ${name} is not listed in ${without.join(', ')} of ${config.file}${without.includes('serving') ? ': it cannot be searched' : without.includes('extract_worker') ? ': no image is embedded with it' : ''}.`];
  });
}
