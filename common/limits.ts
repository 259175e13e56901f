/**
 * Every bound of the system with its default, in one place. Each can be set with the environment variable that follows
 * from its name (`limitVariable`); the error raised when a bound is met names it.
 */
export interface Limits {
  /** Bytes of one image, posted or fetched. */
  readonly imageBytesMax: number;
  /** Pixels of one image before decoding (width × height). */
  readonly imagePixelsMax: number;
  /** Time that decoding one image may take. */
  readonly decodeTimeoutMs: number;
  /** Time that fetching one URL may take, redirects included. */
  readonly fetchTimeoutMs: number;
  readonly fetchRedirectsMax: number;
  /** The largest `top` that a search may ask for. */
  readonly topMax: number;
  /** Near-duplicates that a result names, of those that it stands for. */
  readonly duplicatesMax: number;
  /** Time for one call of the function. */
  readonly functionTimeoutMs: number;
  /** Time for one call of an index pod. */
  readonly indexTimeoutMs: number;
  /** How much longer than an idle function's answers calls of the function may take, before searches are turned away. */
  readonly functionQueueTimeMaxMs: number;
  /** Memory of a gateway for embeddings that it computed lately, of each model. */
  readonly embeddingCacheBytesMax: number;
  /** How long the addresses that a host name of index pods stands for are taken for known. */
  readonly dnsRefreshMs: number;
  /** Time for which a gateway that has just started is not ready while no lane of a model says that it holds the version that is searched. */
  readonly lanesWaitMaxMs: number;
  /** Time for one search, whole. */
  readonly searchTimeoutMs: number;
  /** Time for the body of a search to arrive; time for which an upload to the wrapper may stand still. */
  readonly bodyTimeoutMs: number;
  /** Searches that one gateway lets a second model answer at once, unseen; one more is left out. */
  readonly shadowInFlightMax: number;
  /** Time for one of these. */
  readonly shadowTimeoutMs: number;
  /** Requests that one gateway answers at once; one more is answered 429. */
  readonly inFlightMax: number;
  /** Requests whose bodies are on their way to one gateway at once; one more is answered 429. */
  readonly receivingMax: number;
  /** Bytes of images that one gateway holds at once; more are answered 429. */
  readonly inFlightBytesMax: number;
  /** How late the event loop of a gateway may turn; while it turns later, requests are answered 429. */
  readonly loopDelayMaxMs: number;
  /** Requests a minute by one API key, or from one address without a key. */
  readonly requestsPerMinuteMax: number;
  /** Unknown API keys a minute from one address; after that no key is looked at that comes from there. */
  readonly keyFailuresPerMinuteMax: number;
  /** Connections that one gateway holds at once; one more is closed at once. */
  readonly connectionsMax: number;
  /** Time for the headers of a request to arrive. */
  readonly headersTimeoutMs: number;
  /** Time for which a client may take nothing of its answer. */
  readonly answerTimeoutMs: number;
  /** Time that a connection stays open between two requests; longer than that of the load balancer in front. */
  readonly idleTimeoutMs: number;
  /** Images that one function instance holds at once; one more is answered 429. */
  readonly functionConcurrency: number;
  /** Deliveries of one message that may fail for a reason of its own before it is dead-lettered. */
  readonly deliveryMax: number;
  /** Embeddings that a worker writes to the store at once. */
  readonly writeBatchMax: number;
  /** Time that an embedding waits for its write batch to fill. */
  readonly writeBatchWaitMs: number;
  /** Calls of the function that one worker holds at once, so that searches find the function free. */
  readonly workerEmbedsMax: number;
  /**
   * Time that a worker holds a message while what it needs is away; then the message goes back, uncounted. Shorter than
   * a broker's own patience with consumers, which closes their channel (RabbitMQ: 30 minutes).
   */
  readonly deliveryHoldMs: number;
  /** Messages that the queue of one model holds; one more is refused. */
  readonly queueMessagesMax: number;
  /** Time that the broker may take to confirm what is published, losses of the connection included. */
  readonly publishTimeoutMs: number;
  /** Time that one operation on a store over the network may take, tries after a loss of the connection included. */
  readonly storeTimeoutMs: number;
  /** Sources kept for one image in the store; the first ones stay. */
  readonly urlsPerImageMax: number;
  /** Characters of one source URL. */
  readonly urlLengthMax: number;
  /** Bytes of the metadata of one image, as JSON. */
  readonly metadataBytesMax: number;
  /** Names in the metadata of one image. */
  readonly metadataKeysMax: number;
  /** Bytes of a search's filter, as JSON. */
  readonly filterBytesMax: number;
  /** Filters within filters. */
  readonly filterDepthMax: number;
  /** Memory of an index pod for what filters that were asked for lately say of each image: a bit an image and filter. */
  readonly filterVerdictBytesMax: number;
  /** Images that one search may be for. */
  readonly queryImagesMax: number;
  /** Images or URLs in one request to the wrapper. */
  readonly imagesPerRequestMax: number;
  /** Query vectors in one request to an index pod. */
  readonly queriesPerRequestMax: number;
  /** Time for which a process that is to end goes on as it is but says that it is not ready. */
  readonly drainMs: number;
  /** Time that it has after that to finish what it has in hand: as long as the longest request may take. */
  readonly closeTimeoutMs: number;
  /** The least time between two snapshots that an index pod keeps of its shard for its next start. */
  readonly snapshotEveryMs: number;
  /** Time that logging an evaluation to MLflow may take, repeats included. */
  readonly mlflowTimeoutMs: number;
}

const MEBIBYTE = 1024 * 1024;

export const DEFAULT_LIMITS: Limits = Object.freeze({
  imageBytesMax: 20 * MEBIBYTE,
  imagePixelsMax: 50_000_000,
  decodeTimeoutMs: 5_000,
  fetchTimeoutMs: 5_000,
  fetchRedirectsMax: 3,
  topMax: 1_000,
  duplicatesMax: 100,
  functionTimeoutMs: 10_000,
  indexTimeoutMs: 2_000,
  functionQueueTimeMaxMs: 1_000,
  embeddingCacheBytesMax: 64 * MEBIBYTE,
  dnsRefreshMs: 5_000,
  lanesWaitMaxMs: 60_000,
  searchTimeoutMs: 15_000,
  bodyTimeoutMs: 30_000,
  shadowInFlightMax: 4,
  shadowTimeoutMs: 10_000,
  inFlightMax: 256,
  receivingMax: 1_024,
  inFlightBytesMax: 256 * MEBIBYTE,
  loopDelayMaxMs: 500,
  requestsPerMinuteMax: 6_000,
  keyFailuresPerMinuteMax: 20,
  connectionsMax: 4_096,
  headersTimeoutMs: 10_000,
  answerTimeoutMs: 30_000,
  idleTimeoutMs: 72_000,
  functionConcurrency: 16,
  deliveryMax: 5,
  writeBatchMax: 64,
  writeBatchWaitMs: 50,
  workerEmbedsMax: 4,
  deliveryHoldMs: 600_000,
  queueMessagesMax: 1_000_000,
  publishTimeoutMs: 10_000,
  storeTimeoutMs: 10_000,
  urlsPerImageMax: 100,
  urlLengthMax: 2_048,
  metadataBytesMax: 4_096,
  metadataKeysMax: 64,
  filterBytesMax: 8_192,
  filterDepthMax: 8,
  filterVerdictBytesMax: 16 * MEBIBYTE,
  queryImagesMax: 8,
  imagesPerRequestMax: 1_000,
  queriesPerRequestMax: 64,
  drainMs: 0,
  closeTimeoutMs: 20_000,
  snapshotEveryMs: 300_000,
  mlflowTimeoutMs: 60_000,
});

/** The environment variable that sets a limit: `imageBytesMax` → `EIS_IMAGE_BYTES_MAX`. */
export function limitVariable(name: keyof Limits): string {
  return `EIS_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
