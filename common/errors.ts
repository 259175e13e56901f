/**
 * Every error that a person can meet: its code, its HTTP status, its message. A message says what was wrong and what
 * would be right. Whatever is thrown that is not an `EisError` is an `EIS_INTERNAL` to the outside (`toEisError`); its
 * cause is kept for the log and never leaves the process.
 */
import { STATUS_CODES } from 'node:http';

interface ErrorTemplate<Params> {
  readonly statusCode: number;
  readonly message: (params: Params) => string;
}

function template<Params = Record<never, never>>(statusCode: number, message: (params: Params) => string): ErrorTemplate<Params> {
  return { statusCode, message };
}

interface Detail {
  readonly detail: string;
}

const mebibytes = (bytes: number): string => `${+(bytes / 1024 / 1024).toFixed(2)} MB (${bytes} bytes)`;

export const ERRORS = {
  // The request as such
  EIS_BAD_REQUEST: template<Detail>(400, ({ detail }) => detail),
  EIS_ROUTE_UNKNOWN: template<{ method: string; path: string }>(404, ({ method, path }) => `There is no ${method} ${path} here.`),
  EIS_METHOD_NOT_ALLOWED: template<{ method: string; allowed: string }>(405, ({ method, allowed }) => `${method} is not answered here. Use ${allowed}.`),
  EIS_MEDIA_TYPE: template<{ received: string; accepted: string }>(415, ({ received, accepted }) => `Content-Type ${received} is not accepted here. Send ${accepted}.`),
  EIS_BODY_TOO_LARGE: template<{ bytesMax: number }>(413, ({ bytesMax }) => `The request body is larger than ${mebibytes(bytesMax)}. Send less at once.`),
  EIS_HEADERS_TOO_LARGE: template(431, () => 'The headers of the request are too large. Send fewer or shorter ones: 16 KB in all.'),
  EIS_BODY_TIMEOUT: template<{ timeoutMs: number }>(408, ({ timeoutMs }) => `The request body did not arrive within ${timeoutMs} ms.`),
  EIS_CROSS_SITE: template(403, () => 'This request was made by a page of another site. What changes the index is taken from its own page, and from programs.'),
  EIS_KEY_MISSING: template(401, () => 'This takes an API key. Send one as "Authorization: Bearer KEY" or as "X-Api-Key: KEY"; the eis commands read it from EIS_API_KEY.'),
  EIS_KEY_UNKNOWN: template(401, () => 'The API key that was sent is not known here. Ask for a valid one where the gateway is run.'),
  EIS_SCOPE_MISSING: template<{ scope: string }>(403, ({ scope }) => `The API key that was sent may not do this. Use one with the scope "${scope}".`),
  EIS_KEYS_UNSET: template<{ scope: string }>(403, ({ scope }) => `Nobody may do this here: it takes an API key with the scope "${scope}", and this gateway has no keys. Who runs it sets EIS_API_KEYS=${scope}:KEY; without that variable, only a gateway that no other machine can reach (HOST=127.0.0.1) takes it.`),
  EIS_OVERLOADED: template<Detail>(429, ({ detail }) => `${detail} Try again after the time in Retry-After.`),
  EIS_INTERNAL: template(500, () => 'Something went wrong on our side. The log has it under the id in X-Request-Id.'),
  EIS_CALLER_TIMEOUT: template<{ timeoutMs: number }>(504, ({ timeoutMs }) => `The ${timeoutMs} ms that the caller of this request gave it are over.`),
  EIS_CLIENT_CLOSED: template(499, () => 'The client closed the connection before it was answered.'),
  EIS_NOT_READY: template<Detail>(503, ({ detail }) => detail),

  // Images
  EIS_IMAGE_MISSING: template(400, () => 'There is no image in the request: the body is empty. Send the bytes of an image.'),
  EIS_IMAGE_INVALID: template(400, () => 'The bytes sent are not an image that can be recognised. Send a JPEG, PNG, WebP, GIF or AVIF.'),
  EIS_IMAGE_TOO_LARGE: template<{ imageBytesMax: number }>(413, ({ imageBytesMax }) => `The image is larger than ${mebibytes(imageBytesMax)}. Send a smaller one.`),
  EIS_IMAGE_FORMAT: template<{ format: string }>(415, ({ format }) => `Images of format ${format} are not accepted. Send a JPEG, PNG, WebP, GIF or AVIF.`),
  EIS_IMAGE_UNDECODABLE: template<Detail>(422, ({ detail }) => `The image cannot be decoded: ${detail} Save it again and send that.`),
  EIS_IMAGE_PIXELS: template<{ width: number; height: number; pixelsMax: number }>(422, ({ width, height, pixelsMax }) => `The image has ${width}×${height} pixels; at most ${pixelsMax} are accepted. Send a smaller one.`),
  EIS_IMAGE_DECODE_TIMEOUT: template<{ timeoutMs: number }>(422, ({ timeoutMs }) => `Decoding the image took longer than ${timeoutMs} ms. Send a smaller or simpler one.`),
  EIS_IMAGE_ID_INVALID: template(400, () => 'An image id is 64 lowercase hexadecimal digits (the sha256 of its bytes).'),
  EIS_IMAGE_UNKNOWN: template<{ id: string }>(404, ({ id }) => `No image ${id} is known here.`),

  EIS_METADATA_INVALID: template<Detail>(400, ({ detail }) => detail),

  // What is searched for
  EIS_FILTER_INVALID: template<Detail & { form: string }>(400, ({ detail, form }) => `${detail} ${form}`),
  EIS_QUERY_CANCELLED: template(400, () => 'The images of the query cancel each other out: added up with their weights, next to nothing is left, and nothing is like nothing. Take one out, or change a weight.'),

  // URLs of images
  EIS_URL_INVALID: template<Detail>(400, ({ detail }) => `${detail} Send an http:// or https:// URL of an image.`),
  EIS_URL_FORBIDDEN: template<Detail>(403, ({ detail }) => `This URL may not be fetched: ${detail}`),
  EIS_URL_REJECTED: template<{ status: number; detail?: string }>(422, ({ status, detail = 'Check that it can be opened without logging in.' }) => `The URL's host answered ${status}. ${detail.charAt(0).toUpperCase()}${detail.slice(1)}`),
  EIS_URL_FAILED: template<Detail>(502, ({ detail }) => `The URL could not be fetched: ${detail}`),
  EIS_URL_TIMEOUT: template<{ timeoutMs: number }>(504, ({ timeoutMs }) => `The URL's host did not deliver the image within ${timeoutMs} ms.`),

  // Models
  EIS_MODEL_UNKNOWN: template<{ model: string; known: readonly string[] }>(404, ({ model, known }) => `There is no model ${JSON.stringify(model)} here. ${known.length > 0 ? `Choose one of: ${known.join(', ')}.` : 'None is served.'}`),
  EIS_MODEL_VERSION: template<{ held: string; asked: string }>(409, ({ held, asked }) => `The index holds embeddings of model version ${held}, the query is of ${asked}: they cannot be compared. The model was changed; its images have to be embedded again before they can be searched (on one machine "npm start" does that by itself; "eis reembed" does it beforehand, while the index is searched).`),
  EIS_MODEL_FILE: template<{ file: string; detail: string }>(500, ({ file, detail }) => `The model ${file} cannot be used: ${detail}`),
  EIS_MODEL_DOWNLOAD: template<{ url: string; detail: string }>(502, ({ url, detail }) => `The model ${url} could not be downloaded: ${detail}`),
  EIS_ENGINE_UNAVAILABLE: template<{ engine: string; detail: string }>(500, ({ engine, detail }) => `The engine ${engine} cannot run here: ${detail}`),
  EIS_VECTOR_INVALID: template<Detail>(400, ({ detail }) => detail),

  // Parts of the system that other parts call
  EIS_FUNCTION_UNAVAILABLE: template<{ model: string }>(503, ({ model }) => `The function that embeds images for model ${model} does not answer. Try again in a moment.`),
  EIS_FUNCTION_TIMEOUT: template<{ model: string; timeoutMs: number }>(504, ({ model, timeoutMs }) => `The function that embeds images for model ${model} did not answer within ${timeoutMs} ms.`),
  EIS_FUNCTION_RESPONSE: template<{ model: string; detail: string }>(502, ({ model, detail }) => `The function that embeds images for model ${model} answered something else than an embedding: ${detail}`),
  EIS_SHARD_UNAVAILABLE: template<{ shard: string }>(503, ({ shard }) => `Index shard ${shard} does not answer.`),
  EIS_SHARD_TIMEOUT: template<{ shard: string; timeoutMs: number }>(504, ({ shard, timeoutMs }) => `Index shard ${shard} did not answer within ${timeoutMs} ms.`),
  EIS_SHARD_RESPONSE: template<{ shard: string; detail: string }>(502, ({ shard, detail }) => `Index shard ${shard} answered something else than hits: ${detail}`),
  EIS_SEARCH_UNAVAILABLE: template<{ model: string; shards: number; codes: readonly string[] }>(503, ({ model, shards, codes }) => `None of the ${shards} index shard(s) of model ${model} answered (${codes.join(', ')}). Try again in a moment.`),
  EIS_SEARCH_TIMEOUT: template<{ timeoutMs: number }>(504, ({ timeoutMs }) => `The search took longer than ${timeoutMs} ms.`),
  EIS_WRAPPER_UNAVAILABLE: template(503, () => 'The ingest service does not answer. Nothing was taken; try again in a moment.'),
  EIS_QUEUE_UNAVAILABLE: template<Detail>(503, ({ detail }) => `The queue did not confirm every image: ${detail} What is named under "confirmed" was taken; send the rest again.`),
  EIS_QUEUE_FULL: template<{ queue: string; messagesMax: number }>(503, ({ queue, messagesMax }) => `The queue ${queue} holds ${messagesMax} messages and takes no more. Try again later.`),
  EIS_BUCKET_UNAVAILABLE: template<Detail>(503, ({ detail }) => `The bucket that keeps images cannot be used: ${detail}`),
  EIS_OBJECT_DAMAGED: template<Detail>(502, ({ detail }) => `An image in the bucket is damaged: ${detail} Put it there again, then replay it.`),
  EIS_STORE_UNAVAILABLE: template<Detail>(503, ({ detail }) => `The store does not answer: ${detail}`),
  EIS_STORE_REFUSED: template<Detail>(500, ({ detail }) => `The store does not take this: ${detail}`),

  EIS_INDEX_FILE: template<{ path: string; detail: string }>(503, ({ path, detail }) => `The local file ${path} of the index cannot be used: ${detail}. See that its disk has room, 4 bytes for each number of a vector, and that it may be written.`),
  EIS_SNAPSHOT_INVALID: template<Detail>(500, ({ detail }) => `The snapshot of the index cannot be used: ${detail} The index is loaded from the store.`),
  EIS_INDEX_DAMAGED: template<Detail>(500, ({ detail }) => `The index is damaged: ${detail} It is loaded anew from the store.`),

  // What a person runs on the command line
  EIS_CONFIG_INVALID: template<{ file: string; problems: readonly string[] }>(500, ({ file, problems }) => `${file} is not a valid configuration:\n${problems.map((problem) => `  ${problem}`).join('\n')}`),
  EIS_ENVIRONMENT_INVALID: template<{ variable: string; detail: string }>(500, ({ variable, detail }) => `Environment variable ${variable}: ${detail}`),
  EIS_SOURCE_UNREADABLE: template<{ source: string; detail: string }>(400, ({ source, detail }) => `${source} cannot be read: ${detail}`),
  EIS_GATEWAY_UNREACHABLE: template<{ url: string }>(503, ({ url }) => `No gateway answers at ${url}. Start one with "npm start", or name another with --gateway.`),
  EIS_EVALUATION: template<Detail>(400, ({ detail }) => `This cannot be evaluated: ${detail}`),
  EIS_BUNDLE: template<Detail>(500, ({ detail }) => `The function cannot be bundled: ${detail}`),
  EIS_FUNCTION_DEPLOY: template<{ model: string; detail: string }>(502, ({ model, detail }) => `The function of model ${model} was not deployed: ${detail}`),
  EIS_PROMETHEUS: template<{ url: string; detail: string }>(503, ({ url, detail }) => `Prometheus at ${url} does not say how much there is to do: ${detail}`),
  EIS_CLUSTER_API: template<Detail>(503, ({ detail }) => `The API of the cluster: ${detail}`),
  EIS_DEPLOY_TOOL: template(500, () => 'Neither oc nor kubectl is on the PATH, or neither runs. Install one, and log in to the cluster with it.'),
  EIS_DEPLOY_SECRETS: template<{ missing: readonly { name: string; keys: readonly string[] }[] }>(500, ({ missing }) => `The namespace lacks Secrets that the pods read. Nothing was changed. Make them, then go on (random values of hex digits are right for passwords, cookie and keyfile):\n${missing.map(({ name, keys }) => `  oc create secret generic ${name} ${keys.map((key) => (key.endsWith('.json') ? `--from-file=${key}=FILE` : `--from-literal=${key}=VALUE`)).join(' ')}`).join('\n')}`),
  EIS_DEPLOY_FUNCTIONS: template<{ missing: readonly string[] }>(500, ({ missing }) => `Functions are asked for whose addresses are not known. Nothing was changed. Deploy them (eis functions --deploy), which notes their addresses in k8s/function-urls.json, or say where they are:\n  oc create configmap function-urls ${missing.map((name) => `--from-literal=${name}=URL`).join(' ')}`),
  EIS_DEPLOY_SHARD: template<{ shard: string; advice: string }>(500, ({ shard, advice }) => `${shard} holds a part of every collection and is not in config.json any more. Nothing was changed. Drain it (${advice}), then name it with --drained ${shard}.`),
  EIS_DEPLOY_LANE: template<{ model: string; step: string }>(500, ({ model, step }) => `The second lane of model ${model} would go, and it is what is searched: its re-embedding is at "${step}". Nothing was changed. Leave "next" in config.json, and write the same beside it as the model's own definition, until "eis reembed ${model} --finish" says to take it out; or go back with "eis reembed ${model} --rollback" first.`),
  EIS_DEPLOY_STOPPED: template<{ step: string; detail: string }>(500, ({ step, detail }) => `The apply stopped at: ${step}.\n${detail}\nWhat was applied before stays, nothing was removed that is still needed, and k8s/current says what ran before. Mend the cause and give the same command again: what is applied already does not change. To go back, give it with the config.json of before.`),
  EIS_REEMBED: template<{ model: string; detail: string }>(409, ({ model, detail }) => `The re-embedding of model ${model}: ${detail}`),
  EIS_DELIVERY_LIMIT: template<{ deliveries: number; detail: string }>(500, ({ deliveries, detail }) => `Given up after ${deliveries} deliveries: ${detail}`),
} as const;

export type ErrorCode = keyof typeof ERRORS;
type ParamsOf<Code extends ErrorCode> = Parameters<(typeof ERRORS)[Code]['message']>[0];

export interface ErrorBody {
  readonly statusCode: number;
  readonly code: string;
  readonly error: string;
  readonly message: string;
}

interface ErrorOptions {
  readonly cause?: unknown;
  /** Sent as Retry-After where the error is answered over HTTP. */
  readonly retryAfterS?: number;
}

/** An error with a code of `ERRORS`; its message is meant for the person who meets it. */
export class EisError<Code extends ErrorCode = ErrorCode> extends Error {
  readonly code: Code;
  readonly statusCode: number;
  /** Seconds; sent as Retry-After where the error is answered over HTTP. */
  readonly retryAfterS: number | undefined;

  constructor(code: Code, params: ParamsOf<Code>, options: ErrorOptions = {}) {
    const definition = ERRORS[code] as unknown as ErrorTemplate<ParamsOf<Code>>;
    super(definition.message(params), { cause: options.cause });
    this.name = 'EisError';
    this.code = code;
    this.statusCode = definition.statusCode;
    this.retryAfterS = options.retryAfterS;
  }

  /** The error as it is answered over HTTP. */
  toBody(): ErrorBody {
    return errorBody(this.statusCode, this.code, this.message);
  }
}

export function errorBody(statusCode: number, code: string, message: string): ErrorBody {
  return { statusCode, code, error: STATUS_CODES[statusCode] ?? 'Error', message };
}

/** An "after" that no page of a list gave. */
export function cursorInvalid(): EisError {
  return new EisError('EIS_BAD_REQUEST', { detail: '"after" is no cursor of this list. Send the "next" of the page before, or leave it out.' });
}

/** Normalises whatever was thrown, once, at a boundary: an `EisError` passes, everything else becomes `EIS_INTERNAL` with its cause kept. */
export function toEisError(thrown: unknown): EisError {
  return isEisError(thrown) ? thrown : new EisError<'EIS_INTERNAL'>('EIS_INTERNAL', {}, { cause: thrown });
}

export function isEisError(thrown: unknown): thrown is EisError {
  return thrown instanceof EisError;
}

/**
 * An error that another service of ours answered, passed on in its own words; undefined when `body` is none.
 *
 * @param body the parsed JSON of the answer
 */
export function relayError(body: unknown, options: ErrorOptions = {}): EisError | undefined {
  const { code, message } = (body ?? {}) as Partial<ErrorBody>;
  if (!isErrorCode(code) || typeof message !== 'string') return undefined;
  const error = new EisError('EIS_BAD_REQUEST', { detail: message }, options);
  return Object.assign(error, { code, statusCode: ERRORS[code].statusCode });
}

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code);
}
