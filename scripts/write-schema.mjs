/** Writes config.schema.json, for editors, from the schema that the configuration is validated with. Run `npm run build` first. */
import { writeFileSync } from 'node:fs';
import { PublishedSchema } from '../dist/common/config-schema.js';

writeFileSync(new URL('../config.schema.json', import.meta.url), `${JSON.stringify(PublishedSchema, null, 2)}\n`);
