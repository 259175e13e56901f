/** POST /search: an image in, the nearest of the index out. */
import { Type } from 'typebox';
import { callerSignal } from '../common/caller-signal.js';
import { EisError } from '../common/errors.js';
import { HEADERS } from '../common/headers.js';
import type { App } from '../common/http.js';
import type { Limits } from '../common/limits.js';
import { ImageId, SearchAnswer } from '../common/wire.js';
import type { PlaceOf } from './admission.js';
import { Binary, documented, type Bodies } from './openapi.js';
import type { Search } from './search.js';
import { acceptImages, readSearchInput } from './search-input.js';
import type { ServedModel, ServedModels } from './served-models.js';
import { chooseByWeight } from './traffic.js';

export interface SearchRouteParts {
  readonly models: ServedModels;
  readonly search: Search;
  readonly limits: Limits;
  readonly placeOf: PlaceOf;
  /** Uniform in [0, 1): chooses a model for a search that names none. */
  readonly random: () => number;
}

export async function addSearchRoute(scope: App, { models, search, limits, placeOf, random }: SearchRouteParts): Promise<void> {
  await acceptImages(scope);
  scope.post(
    '/search',
    {
      schema: {
        tags: ['search'],
        operationId: 'search',
        summary: 'Find similar images',
        description: `Send an image (as bytes, as the multipart field \`image\`, or by \`url\`), or the \`id\` of a stored one for "more like this one". The image of the \`id\` is not among its own results, so at most ${limits.topMax - 1} come; \`timings_ms.embed\` is then the time of looking its vector up. A shard that does not answer is named in \`shards.failed\`, with \`partial: true\`; when none answers, the search is a 503.`,
        querystring: Type.Object({
          model: Type.Optional(Type.String({ description: 'default: chosen by the weights in config.json' })),
          top: Type.Integer({ minimum: 1, maximum: limits.topMax, default: Math.min(10, limits.topMax), description: 'how many results' }),
          collapse: Type.Boolean({ default: true, description: 'whether of each group of near-duplicates (`eis dedupe --apply` finds them) only the image that is nearest is a result, with the others in `duplicates`; `top` counts groups then' }),
        }),
        response: { 200: SearchAnswer },
      },
      config: documented({ scope: 'search', body: bodySchemas(limits) }),
    },
    async (request, reply) => {
      const signal = callerSignal(request.raw, reply.raw);
      const model = chooseModel(models, request.query.model, random);
      void reply.header(HEADERS.model, model.name);
      const place = placeOf(request);
      const input = await readSearchInput(request, limits, (bytes) => place.receive(bytes));
      place.enter();
      const answer = await search({ model, input, top: request.query.top, collapse: request.query.collapse, requestId: request.id, signal });
      void reply.header('server-timing', toServerTiming(answer.timings_ms));
      return answer;
    },
  );
}

/** For the browser's own tools (W3C Server Timing). */
function toServerTiming(timings: SearchAnswer['timings_ms']): string {
  return Object.entries(timings).map(([stage, ms]) => `${stage};dur=${ms}`).join(', ');
}

/** @throws EisError EIS_MODEL_UNKNOWN */
function chooseModel(models: ServedModels, name: string | undefined, random: () => number): ServedModel {
  const model = name ? models.get(name) : chooseByWeight([...models.values()], random);
  if (!model) throw new EisError('EIS_MODEL_UNKNOWN', { model: name ?? '', known: [...models.keys()] });
  return model;
}

function bodySchemas({ imageBytesMax, urlLengthMax }: Limits): Bodies {
  const bytes = Binary(`JPEG, PNG, WebP, GIF or AVIF, at most ${imageBytesMax} bytes`);
  return {
    'multipart/form-data': Type.Object({ image: bytes }),
    'image/*': bytes,
    'application/octet-stream': bytes,
    'application/json': Type.Union([
      Type.Object({ url: Type.String({ maxLength: urlLengthMax, description: 'http(s):// or, from the configured bucket, gs://' }) }, { additionalProperties: false }),
      Type.Object({ id: ImageId }, { additionalProperties: false }),
    ]),
  };
}
