/** What `platform` of config.json has every process of ours be given, whatever its role. */
import type { Config } from '../../common/config.js';
import { SECRETS, secretVariable } from './names.js';
import type { EnvVar } from './objects.js';

/** Its variables, and where traces go. */
export function platformEnv(platform: Config['platform']): readonly EnvVar[] {
  return [...Object.entries(platform.environment).map(([name, value]) => ({ name, value })), ...tracingEnv(platform)];
}

/** Where traces go, and which: what OpenTelemetry's SDK reads. Headers, which may hold a token, are in a Secret that somebody makes. */
function tracingEnv({ tracing }: Config['platform']): readonly EnvVar[] {
  if (tracing === undefined) return [];
  return [
    { name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: tracing.endpoint },
    { name: 'OTEL_TRACES_SAMPLER', value: 'parentbased_traceidratio' },
    { name: 'OTEL_TRACES_SAMPLER_ARG', value: String(tracing.sample) },
    secretVariable('OTEL_EXPORTER_OTLP_HEADERS', SECRETS.tracing.name, SECRETS.tracing.keys.headers, true),
  ];
}
