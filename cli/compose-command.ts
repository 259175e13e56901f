/** `eis compose`: docker-compose.yml, and the files that its services read. */
import { resolve } from 'node:path';
import { loadConfig } from '../common/config.js';
import type { Environment } from '../common/environment.js';
import { packageVersion } from '../common/package-root.js';
import { COMPOSE_FILE, writeCompose } from '../k8s/compose/render.js';

export interface ComposeCommandOptions {
  /** Relative to the folder that the person is in. */
  readonly out: string;
  readonly json: boolean;
}

/** @throws EisError EIS_CONFIG_INVALID */
export function composeCommand({ configFile, workingDir }: Environment, { out, json }: ComposeCommandOptions): void {
  const folder = resolve(workingDir, out);
  const files = [...writeCompose({ config: loadConfig(configFile), version: packageVersion(), folder }).keys()];
  console.log(json ? JSON.stringify({ folder, files }) : `${COMPOSE_FILE} and ${files.length - 1} other files in ${folder}.`);
}
