/** The description of the API, made from the schemas of the routes, and the page that shows it. */
import { readFileSync } from 'node:fs';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyContextConfig } from 'fastify';
import { Type, type TSchema } from 'typebox';
import type { Scope } from '../common/api-keys.js';
import { HEADERS } from '../common/headers.js';
import type { App } from '../common/http.js';
import { packagePath } from '../common/package-root.js';
import { ErrorBodySchema } from '../common/wire.js';

const DESCRIPTION = `Finds similar images: an image in, the nearest of the index out. Every error is \`{ statusCode, code, error, message }\`;
the message says what was wrong and what would be right. \`X-Request-Id\` is accepted, returned and logged.

Each operation names the scope that an API key needs for it: \`search\`, \`write\` or \`admin\`, which includes the others. A gateway
may let everybody search without a key; one that only its own machine can reach asks for none unless it has some.`;

/** Of the one style element that Swagger UI puts into its page. */
const SWAGGER_STYLE = "'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='";

const DOCS_CSP = `default-src 'none'; script-src 'self'; style-src 'self' ${SWAGGER_STYLE}; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

/** Adds /openapi.json and /docs. Before the routes, which it is to know. */
export async function addOpenApi(app: App, { version }: { readonly version: string }): Promise<void> {
  app.addSchema(ErrorBodySchema);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Elastic image search', version, description: DESCRIPTION },
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' }, header: { type: 'apiKey', in: 'header', name: HEADERS.apiKey } } },
      tags: [{ name: 'search' }, { name: 'images' }, { name: 'models' }, { name: 'queues' }],
    },
    transformObject: (document) => ('openapiObject' in document ? withOptionalDefaults(document.openapiObject) : document.swaggerObject),
    refResolver: { buildLocalReference: (json, _baseUri, _fragment, i) => (typeof json.$id === 'string' ? json.$id : `schema-${i}`) },
  });
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: DOCS_CSP,
    theme: { title: 'Elastic image search: API' },
    logo: { type: 'image/svg+xml', content: readFileSync(packagePath('gateway/public/icon.svg')), href: '/', target: '_self' },
    uiConfig: { docExpansion: 'list', deepLinking: true },
  });
}

/** A parameter with a default may be left out; a TypeBox object calls it required, because it is there once defaults are in. */
function withOptionalDefaults<D extends { readonly paths?: object | undefined }>(document: D): D {
  const operations = Object.values(document.paths ?? {}).flatMap((path: object) => Object.values(path) as { parameters?: { required?: boolean; schema?: { default?: unknown } }[] }[]);
  for (const parameter of operations.flatMap(({ parameters = [] }) => parameters)) {
    if (parameter.schema?.default !== undefined) parameter.required = false;
  }
  return document;
}

/** Schemas of a body by its content type. */
export type Bodies = Readonly<Record<string, TSchema>>;

interface Documentation {
  /** That a caller needs. */
  readonly scope: Scope;
  readonly body?: Bodies;
  /** By status. Errors (`Error` for every 4xx and 5xx) are there already. */
  readonly response?: Readonly<Record<string, object>>;
}

const ErrorRef = Type.Unsafe({ $ref: 'Error#', description: 'What was wrong and what would be right' });

/**
 * The scope of a route, and what stands in its description but is not to be checked or serialised by the framework: bodies
 * that are streams or that are checked by hand, answers that are passed through. Goes into the route's `config`.
 */
export function documented({ scope, body, response }: Documentation): Pick<FastifyContextConfig, 'scope' | 'swaggerTransform'> {
  const content = body && Object.fromEntries(Object.entries(body).map(([type, schema]) => [type, { schema }]));
  return {
    scope,
    swaggerTransform: ({ schema, url }) => ({
      url,
      schema: {
        ...schema,
        security: [{ bearer: [scope] }, { header: [scope] }],
        ...(content ? { body: { content } } : {}),
        response: { ...(schema.response as object | undefined), ...response, '4xx': ErrorRef, '5xx': ErrorRef },
      },
    }),
  };
}

/** Bytes, in a description. */
export const Binary = (description: string): TSchema => Type.Unsafe({ type: 'string', format: 'binary', description });
