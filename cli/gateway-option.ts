/** --gateway: where the gateway is that a command asks, and with which key. */
import { Option } from 'commander';
import type { Environment } from '../common/environment.js';
import { parseUrl } from './parse-options.js';

export interface GatewayAddress {
  readonly url: string;
  /** Undefined: it is asked without one. */
  readonly apiKey: string | undefined;
}

/** The option of all commands that ask a gateway: by default the one of this machine. The key is never shown, in --help neither. */
export function createGatewayOption({ port, basePort, apiKey }: Pick<Environment, 'port' | 'basePort' | 'apiKey'>): Option {
  const url = `http://127.0.0.1:${port ?? basePort}`;
  return new Option('--gateway <url>', 'where the gateway is; the API key it asks for is read from EIS_API_KEY')
    .argParser((text): GatewayAddress => ({ url: parseUrl(text), apiKey }))
    .default({ url, apiKey } satisfies GatewayAddress, url);
}

/** What tells a gateway who asks. */
export function authorisation(apiKey: string | undefined): Record<string, string> {
  return apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
}
