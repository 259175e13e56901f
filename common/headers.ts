/** The headers that processes tell each other things in: apart from `wire.ts`, whose schemas take long to load. */

/** Header names, lowercase as Node has them. */
export const HEADERS = {
  requestId: 'x-request-id',
  /** On a call: the time that its caller waits for the answer, in ms. */
  timeout: 'x-eis-timeout-ms',
  /** On a call of the function: how urgent it is, as RFC 9218 writes it. */
  priority: 'priority',
  /** A caller's API key, where it is not sent as `Authorization: Bearer`. */
  apiKey: 'x-api-key',
  /** On an index query: the model version that its vector is of. On a search answer: see `model`. */
  modelVersion: 'x-eis-model-version',
  /** On a search answer: the model that was used. */
  model: 'x-eis-model',
  /** On `GET /models` through nginx, where each gateway knows its own model alone: all that are served, separated by commas. */
  models: 'x-eis-models',
  /** On a binary answer of the function: everything but the embedding, as JSON. */
  dim: 'x-eis-dim',
  sha256: 'x-eis-sha256',
  phash: 'x-eis-phash',
  width: 'x-eis-width',
  height: 'x-eis-height',
  format: 'x-eis-format',
  timings: 'x-eis-timings-ms',
  /** On a call of the wrapper: the submission that its images belong to. */
  submission: 'x-eis-submission',
} as const;

/** The priority of what can be done without: RFC 9218's lowest, for work in the background. */
export const BACKGROUND = 'u=7';
