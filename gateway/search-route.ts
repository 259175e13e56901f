/** POST /search: an image in, the nearest of the index out. */
import { Type } from 'typebox';
import { callerSignal } from '../common/caller-signal.js';
import { EisError } from '../common/errors.js';
import { FILTER_FORM, FilterDescription, parseFilterText } from '../common/filter.js';
import { HEADERS } from '../common/headers.js';
import type { App } from '../common/http.js';
import type { Limits } from '../common/limits.js';
import { ImageId, SearchAnswer } from '../common/wire.js';
import type { PlaceOf } from './admission.js';
import { Binary, documented, type Bodies } from './openapi.js';
import type { Search } from './search.js';
import { acceptImages, readSearchQuery, type SearchQuery } from './search-input.js';
import type { ShadowTraffic } from './shadow.js';
import type { ServedModel, ServedModels } from './served-models.js';
import { chooseByWeight } from './traffic.js';

export interface SearchRouteParts {
  readonly models: ServedModels;
  readonly search: Search;
  readonly shadows: Pick<ShadowTraffic, 'follow'>;
  readonly limits: Limits;
  readonly placeOf: PlaceOf;
  /** Uniform in [0, 1): chooses a model for a search that names none. */
  readonly random: () => number;
}

export async function addSearchRoute(scope: App, { models, search, shadows, limits, placeOf, random }: SearchRouteParts): Promise<void> {
  await acceptImages(scope);
  scope.post(
    '/search',
    {
      schema: {
        tags: ['search'],
        operationId: 'search',
        summary: 'Find similar images',
        description: `Send an image (as bytes, as the multipart field \`image\`, or by \`url\`), or the \`id\` of a stored one for "more like this one". Several images are one query, the sum of their embeddings by their weights, which may be negative: of a form, each file in the field \`image\`, with a field \`weight\` before it where that is not 1. An image named by its \`id\` is not among the results; \`timings_ms.embed\` is then the time of looking its vector up. A shard that does not answer is named in \`shards.failed\`, with \`partial: true\`; when none answers, the search is a 503.`,
        querystring: Type.Object({
          model: Type.Optional(Type.String({ description: 'default: chosen by the weights in config.json' })),
          top: Type.Integer({ minimum: 1, maximum: limits.topMax, default: Math.min(10, limits.topMax), description: 'how many results' }),
          filter: Type.Optional(Type.String({ description: `JSON, as it may stand in the body: only images whose metadata match are found. ${FILTER_FORM}` })),
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
      const { images, filter } = withFilter(await readSearchQuery(request, limits, (bytes) => place.receive(bytes)), request.query.filter, limits);
      place.enter();
      const asked = { model, images, filter, top: request.query.top, collapse: request.query.collapse, requestId: request.id, signal };
      const answer = await search(asked);
      if (model.shadow) reply.raw.once('finish', () => shadows.follow(asked, answer, model.shadow));
      void reply.header('server-timing', toServerTiming(answer.timings_ms));
      return answer;
    },
  );
}

/** A filter may stand in the query, which is where it goes with an image that is the body. @throws EisError EIS_FILTER_INVALID */
function withFilter(query: SearchQuery, text: string | undefined, limits: Limits): SearchQuery {
  if (text === undefined) return query;
  if (query.filter) throw new EisError('EIS_FILTER_INVALID', { detail: 'There is a filter in the body and another one in the query. Send one.', form: FILTER_FORM });
  return { ...query, filter: parseFilterText(text, limits) };
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

function bodySchemas({ imageBytesMax, urlLengthMax, queryImagesMax }: Limits): Bodies {
  const bytes = Binary(`JPEG, PNG, WebP, GIF or AVIF, at most ${imageBytesMax} bytes`);
  const url = Type.String({ maxLength: urlLengthMax, description: 'http(s):// or, from the configured bucket, gs://' });
  const weight = Type.Optional(Type.Number({ default: 1, description: 'below 0: results are less like the image' }));
  const filter = Type.Optional(FilterDescription);
  const closed = { additionalProperties: false };
  const images = Type.Array(Type.Union([Type.Object({ url, weight }, closed), Type.Object({ id: ImageId, weight }, closed)]), { minItems: 1, maxItems: queryImagesMax });
  return {
    'multipart/form-data': Type.Object({
      weight: Type.Optional(Type.String({ description: 'a number: of the image that follows it' })),
      image: Type.Union([bytes, Type.Array(bytes)]),
      images: Type.Optional(Type.String({ description: 'JSON, as the list of the JSON body: further images' })),
      filter: Type.Optional(Type.String({ description: 'JSON' })),
    }),
    'image/*': bytes,
    'application/octet-stream': bytes,
    'application/json': Type.Union([Type.Object({ url, filter }, closed), Type.Object({ id: ImageId, filter }, closed), Type.Object({ images, filter }, closed)]),
  };
}
