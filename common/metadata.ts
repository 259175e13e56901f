/**
 * What is known of an image besides its pixels: a flat JSON object that whoever ingests it gives, that results carry and
 * that searches are filtered by (`filter.ts`).
 */
import { Type, type Static } from 'typebox';
import { EisError } from './errors.js';
import type { Limits } from './limits.js';

export const MetadataValue = Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Array(Type.String())]);
export type MetadataValue = Static<typeof MetadataValue>;

export const Metadata = Type.Record(Type.String(), MetadataValue, { description: 'what was given with the image: texts, numbers, booleans and lists of texts, by name' });
export type Metadata = Readonly<Record<string, MetadataValue>>;

/** Of one image, the metadata that was given last stands, in every model's collection, in whichever order they come there. */
export interface GivenMetadata {
  /** Empty: the image has none any more. */
  readonly values: Metadata;
  /** When the wrapper took it, ms since the epoch. */
  readonly givenAt: number;
}

export type MetadataLimits = Pick<Limits, 'metadataBytesMax' | 'metadataKeysMax'>;

/** Words of filters, which would else be read two ways. */
export const RESERVED_KEYS: readonly string[] = ['and', 'or', 'not'];

/** A name: a letter, then letters, digits, "_", "-" or ":"; none that a store or a filter takes for something of its own. */
const KEY = /^\p{L}[\p{L}\p{M}\p{N}_:-]{0,63}$/u;
/** Halves of characters that are not in Unicode: no store would give them back. */
const BROKEN = /\p{Cs}/u;
const SHOWN_CHARACTERS_MAX = 80;

/**
 * Metadata as it is kept: its names in the order of their characters, so that what is equal is equal as text.
 *
 * @param where names the image in errors: `of image number 3`
 * @throws EisError EIS_METADATA_INVALID
 */
export function parseMetadata(value: unknown, { where, metadataBytesMax, metadataKeysMax }: MetadataLimits & { readonly where: string }): Metadata {
  const refuse = (detail: string): EisError => new EisError('EIS_METADATA_INVALID', { detail: `The metadata ${where} ${detail}` });
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse('is not an object. Send one like {"year": 2024, "tags": ["cat"]}.');
  const keys = Object.keys(value).sort();
  if (keys.length > metadataKeysMax) throw refuse(`has ${keys.length} names; at most ${metadataKeysMax} are kept.`);
  const metadata = Object.fromEntries(keys.map((key) => {
    if (!isMetadataKey(key)) throw refuse(`has the name ${shown(key)}. A name begins with a letter and has at most 64 letters, digits, "_", "-" or ":"; "and", "or" and "not" are words of filters.`);
    const kept = (value as Record<string, unknown>)[key];
    if (!isMetadataValue(kept)) throw refuse(`has ${shown(kept)} as ${shown(key)}. Values are texts, finite numbers, true or false, and lists of texts; leave out what is not known.`);
    return [key, kept];
  }));
  const bytes = Buffer.byteLength(JSON.stringify(metadata));
  if (bytes > metadataBytesMax) throw refuse(`has ${bytes} bytes as JSON; at most ${metadataBytesMax} are kept.`);
  return metadata;
}

/** Whether metadata may have such a name. */
export function isMetadataKey(key: string): boolean {
  return KEY.test(key) && !RESERVED_KEYS.includes(key);
}

/** What an image that has metadata has; undefined for one that has none. */
export function valuesOf(given: GivenMetadata | undefined): Metadata | undefined {
  return given && Object.keys(given.values).length > 0 ? given.values : undefined;
}

/** What stands once `later` is written over `standing`: whichever was given later. */
export function latestMetadata(standing: GivenMetadata | undefined, later: GivenMetadata | undefined): GivenMetadata | undefined {
  return standing && later && later.givenAt < standing.givenAt ? standing : (later ?? standing);
}

/** Whether an image has the same metadata by both. */
export function hasSameValues(a: GivenMetadata | undefined, b: GivenMetadata | undefined): boolean {
  return a === b || JSON.stringify(a?.values ?? {}) === JSON.stringify(b?.values ?? {});
}

function isMetadataValue(value: unknown): value is MetadataValue {
  if (Array.isArray(value)) return value.every(isText);
  return isText(value) || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value));
}

/** Whether it is a text that a store gives back as it was. */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && !BROKEN.test(value);
}

function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list of other things than texts' : 'an object';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > SHOWN_CHARACTERS_MAX ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}…` : text;
}
