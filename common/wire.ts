/**
 * The shapes that travel between processes, each from one value: the runtime schema, the TypeScript type and the
 * OpenAPI page. Roles talk to each other in these shapes only.
 */
import { Type, type Static } from 'typebox';
import { FilterDescription } from './filter.js';
import { Metadata, type GivenMetadata } from './metadata.js';

/** An image id: the sha256 of its bytes. */
export const IMAGE_ID = /^[0-9a-f]{64}$/;

export const ImageId = Type.String({ pattern: IMAGE_ID.source, description: 'sha256 of the image bytes, 64 lowercase hexadecimal digits' });

export const ErrorBodySchema = Type.Object(
  { statusCode: Type.Integer(), code: Type.String(), error: Type.String(), message: Type.String() },
  { $id: 'Error', description: 'What was wrong and what would be right', additionalProperties: true },
);

// ── Function ────────────────────────────────────────────────────────────────────────────────────────────────────────

export const EmbedTimings = Type.Object({ fetch: Type.Number(), decode: Type.Number(), infer: Type.Number() });

export const EmbedAnswer = Type.Object({
  model: Type.String(),
  model_version: Type.String(),
  dim: Type.Integer(),
  embedding: Type.Array(Type.Number()),
  sha256: ImageId,
  phash: Type.String({ pattern: '^[0-9a-f]{16}$' }),
  width: Type.Integer({ description: 'pixels, as the image is seen (after its EXIF orientation)' }),
  height: Type.Integer(),
  format: Type.String(),
  timings_ms: EmbedTimings,
});
export type EmbedAnswer = Static<typeof EmbedAnswer>;

/** What a caller of the function holds after decoding either form of its answer. */
export interface Embedding {
  readonly model: string;
  readonly modelVersion: string;
  /** L2-normalised. */
  readonly vector: Float32Array;
  readonly sha256: string;
  readonly phash: string;
  readonly width: number;
  readonly height: number;
  readonly format: string;
  readonly timingsMs: { readonly fetch: number; readonly decode: number; readonly infer: number };
}

// ── Index pod ───────────────────────────────────────────────────────────────────────────────────────────────────────

export const IndexHit = Type.Object({
  id: ImageId,
  score: Type.Number({ description: 'cosine similarity; higher is closer' }),
  url: Type.String({ description: 'the first source of the image' }),
  urls: Type.Array(Type.String()),
  width: Type.Integer(),
  height: Type.Integer(),
  phash: Type.String(),
  metadata: Type.Optional(Metadata),
  canonical: Type.Optional(Type.String({ description: 'id of the image that stands for its group of near-duplicates; missing: it is alone' })),
});
export type IndexHit = Static<typeof IndexHit>;

export const IndexAnswer = Type.Object({
  model_version: Type.String({ description: 'empty while the shard holds nothing' }),
  hits: Type.Array(IndexHit),
  vectors: Type.Integer(),
  freshness_s: Type.Number({ description: 'age of what the shard knows of the store' }),
});
export type IndexAnswer = Static<typeof IndexAnswer>;

/** The body of a search of an index pod where that is more than vectors: as JSON. */
export const IndexSearch = Type.Object(
  {
    vectors: Type.String({ pattern: '^[A-Za-z0-9+/]*={0,2}$', description: 'little-endian float32, one vector after the other, in base64' }),
    filter: Type.Optional(FilterDescription),
  },
  { additionalProperties: false },
);
export type IndexSearch = Static<typeof IndexSearch>;

/** An image of a group of near-duplicates. */
export const DuplicateImage = Type.Object({ id: ImageId, url: Type.String({ description: 'where the image can be opened' }), urls: Type.Array(Type.String()), width: Type.Integer(), height: Type.Integer() });
export type DuplicateImage = Static<typeof DuplicateImage>;

export const IndexGroup = Type.Object({
  canonical: ImageId,
  count: Type.Integer({ description: 'images of the group in this shard' }),
  members: Type.Array(DuplicateImage, { description: 'the first of them, by id' }),
});
export type IndexGroup = Static<typeof IndexGroup>;

export const GroupsAnswer = Type.Object({ model_version: Type.String(), groups: Type.Array(IndexGroup) });
export type GroupsAnswer = Static<typeof GroupsAnswer>;

export const IndexStats = Type.Object({
  model: Type.String(),
  model_version: Type.String(),
  shard: Type.String({ description: 'i/n, counted from 0' }),
  algorithm: Type.String(),
  live_version: Type.Optional(Type.String({ description: 'the version of the model that is searched, as the store says it; another one is held where the model is embedded again' })),
  dim: Type.Integer({ description: '0 while the shard holds nothing' }),
  vectors: Type.Integer(),
  freshness_s: Type.Number(),
  loaded_at: Type.Union([Type.String(), Type.Null()]),
  memory_bytes: Type.Integer({ description: 'of vectors, ids and what is known of the images' }),
});
export type IndexStats = Static<typeof IndexStats>;

export const VectorAnswer = Type.Object({
  id: ImageId,
  model_version: Type.String(),
  dim: Type.Integer(),
  vector: Type.Array(Type.Number()),
  urls: Type.Optional(Type.Array(Type.String())),
  width: Type.Optional(Type.Integer()),
  height: Type.Optional(Type.Integer()),
  metadata: Type.Optional(Metadata),
});
export type VectorAnswer = Static<typeof VectorAnswer>;

export const ReloadAnswer = Type.Object({ model: Type.String(), model_version: Type.String(), shard: Type.String(), vectors: Type.Integer(), load_s: Type.Number() });
export type ReloadAnswer = Static<typeof ReloadAnswer>;

// ── Gateway ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export const SearchResult = Type.Object({
  id: ImageId,
  score: Type.Number({ description: 'cosine similarity, -1 to 1; higher is closer, ties by id' }),
  url: Type.String({ description: 'where the image can be opened' }),
  urls: Type.Array(Type.String(), { description: 'every source it was ingested from' }),
  width: Type.Integer(),
  height: Type.Integer(),
  metadata: Type.Optional(Metadata),
  duplicates: Type.Optional(Type.Object(
    { count: Type.Integer({ description: 'how many images besides this one' }), images: Type.Array(DuplicateImage, { description: 'the first of them, by id' }) },
    { description: 'near-duplicates that this result stands for, its group\'s best for this search; missing: it is alone, or nothing was collapsed' },
  )),
});
export type SearchResult = Static<typeof SearchResult>;

export const SearchedImage = Type.Object(
  {
    id: ImageId,
    url: Type.Optional(Type.String({ description: 'where it can be opened, when it was named by its id' })),
    urls: Type.Optional(Type.Array(Type.String(), { description: 'every source it was ingested from, when it was named by its id' })),
    width: Type.Optional(Type.Integer()),
    height: Type.Optional(Type.Integer()),
    metadata: Type.Optional(Metadata),
  },
  { description: 'the image that was searched for' },
);
export type SearchedImage = Static<typeof SearchedImage>;

/** An image of a query of several. */
export const SearchedExample = Type.Object({ ...SearchedImage.properties, weight: Type.Number({ description: 'below 0: results are less like it' }) });
export type SearchedExample = Static<typeof SearchedExample>;

export const ShardFailure = Type.Object({ shard: Type.String(), code: Type.String() });
export type ShardFailure = Static<typeof ShardFailure>;

export const SearchAnswer = Type.Object(
  {
    model: Type.String(),
    model_version: Type.String(),
    query: SearchedImage,
    examples: Type.Optional(Type.Array(SearchedExample, { description: 'all images that were searched for, where there are several; `query` is the first' })),
    results: Type.Array(SearchResult),
    shards: Type.Object({ total: Type.Integer(), ok: Type.Integer(), failed: Type.Array(ShardFailure) }),
    partial: Type.Boolean({ description: 'true when a shard is missing from the answer' }),
    index: Type.Object({ vectors: Type.Integer(), freshness_s: Type.Number() }),
    timings_ms: Type.Object({ embed: Type.Number(), fan_out: Type.Number(), merge: Type.Number(), total: Type.Number() }),
  },
  { $id: 'SearchAnswer' },
);
export type SearchAnswer = Static<typeof SearchAnswer>;

export const ModelStatus = Type.Object({
  name: Type.String(),
  dim: Type.Integer({ description: '0 while its index is empty' }),
  model_version: Type.String(),
  shards: Type.Object({ total: Type.Integer(), ok: Type.Integer(), failed: Type.Array(ShardFailure) }),
  vectors: Type.Integer(),
  weight: Type.Number({ description: 'share of the searches that name no model, relative to the others' }),
});
export type ModelStatus = Static<typeof ModelStatus>;

// ── Ingest ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Submission ids: chosen by the client (to send in several requests, or again) or by the wrapper. */
export const SUBMISSION_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** One image on its way from the wrapper to the workers; every model's queue gets its own copy. */
export interface ImageMessage {
  readonly submission: string;
  /**
   * The image's URI: `http(s)://…`, `gs://…`, or for one that was sent as bytes `eis://<sha256>#<name>` (the
   * folder bucket) or `gs://<bucket>/…/<first 2 digits>/<sha256>#<name>`, where the fragment is the file's name as its sender gave it. With the submission and the model it keys the ledger.
   */
  readonly source: string;
  /** When the wrapper took it, ms since the epoch. */
  readonly acceptedAt: number;
  /** Undefined: the image keeps what it has. */
  readonly metadata?: GivenMetadata;
  /** Of the request that brought it, where that belongs to a trace (W3C Trace Context). */
  readonly traceparent?: string;
}

export const IngestAnswer = Type.Object(
  {
    submission: Type.String(),
    accepted: Type.Integer({ description: 'sources that every queue confirmed' }),
    sources: Type.Array(Type.String(), { description: 'the accepted sources as the ledger names them, in the order they were sent' }),
  },
  { $id: 'IngestAnswer' },
);
export type IngestAnswer = Static<typeof IngestAnswer>;

/** Why an image could not be taken, said per image in the ledger. */
export const LEDGER_STATES = ['accepted', 'stored', 'duplicate', 'rejected', 'dead'] as const;
export type LedgerState = (typeof LEDGER_STATES)[number];

export const LedgerEntrySchema = Type.Object({
  submission: Type.String(),
  source: Type.String(),
  model: Type.String(),
  state: Type.Enum(LEDGER_STATES),
  id: Type.Optional(ImageId),
  code: Type.Optional(Type.String()),
  message: Type.Optional(Type.String()),
  updated_at: Type.String({ format: 'date-time' }),
});
export type LedgerEntryWire = Static<typeof LedgerEntrySchema>;

export const LedgerCounts = Type.Object(Object.fromEntries(LEDGER_STATES.map((state) => [state, Type.Integer()])) as Record<LedgerState, ReturnType<typeof Type.Integer>>);

export const LedgerAnswer = Type.Object(
  {
    entries: Type.Array(LedgerEntrySchema),
    next: Type.Union([Type.String(), Type.Null()], { description: 'pass it as `after` for the next page; null on the last' }),
    counts: Type.Optional(LedgerCounts),
  },
  { $id: 'LedgerAnswer' },
);
export type LedgerAnswer = Static<typeof LedgerAnswer>;

/** The query of `DELETE /images/:id`; the gateway passes it on to the wrapper. */
export const DeleteQuery = Type.Object({
  object: Type.Optional(Type.Boolean({ description: 'true: its bytes are removed from the bucket, too; by default they stay' })),
});
export type DeleteQuery = Static<typeof DeleteQuery>;

export const DeleteAnswer = Type.Object({
  id: ImageId,
  models: Type.Array(Type.String(), { description: 'the models it was removed from' }),
  object: Type.Optional(Type.Boolean({ description: 'where it was asked for: whether the bucket had its bytes, which are removed now' })),
});
export type DeleteAnswer = Static<typeof DeleteAnswer>;

/** The query of `GET /images`; the gateway passes it on to the wrapper. */
export const LedgerQuery = Type.Object({
  submission: Type.Optional(Type.String({ pattern: SUBMISSION_ID.source })),
  state: Type.Optional(Type.Enum(LEDGER_STATES)),
  limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
  after: Type.Optional(Type.String({ maxLength: 512 })),
});
export type LedgerQuery = Static<typeof LedgerQuery>;
