/** Sources of images as they come in: URLs that a client names, and names for the bytes that it sends. */
import { EisError } from '../common/errors.js';

const SCHEMES = ['http:', 'https:', 'gs:'];
const NAME_CHARACTERS_MAX = 512;
const SHOWN_CHARACTERS_MAX = 200;

/** Control and invisible formatting characters, and halves of characters that are not in Unicode. */
export const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}]/gu;

/**
 * A URL that images may be ingested from. Whether its host may be fetched from is judged by the function, at the moment
 * of dialling.
 *
 * @param where names the URL in errors: `number 3`
 * @throws EisError EIS_URL_INVALID, EIS_URL_FORBIDDEN
 */
export function parseSource(value: unknown, { where, urlLengthMax }: { readonly where: string; readonly urlLengthMax: number }): string {
  if (typeof value !== 'string') throw new EisError('EIS_URL_INVALID', { detail: `The URL ${where} is not a text.` });
  const url = value.trim();
  const shown = `The URL ${where}, ${JSON.stringify(hideCredentials(url).slice(0, SHOWN_CHARACTERS_MAX))},`;
  if (url.length > urlLengthMax) throw new EisError('EIS_URL_INVALID', { detail: `${shown} is longer than ${urlLengthMax} characters.` });
  if (!URL.canParse(url) || url.search(UNPRINTABLE) >= 0) throw new EisError('EIS_URL_INVALID', { detail: `${shown} is not a URL.` });
  const { protocol, hostname, username, password } = new URL(url);
  if (!SCHEMES.includes(protocol)) throw new EisError('EIS_URL_FORBIDDEN', { detail: `${shown} has the scheme ${protocol} Send an http://, https:// or gs:// URL.` });
  if (username !== '' || password !== '') throw new EisError('EIS_URL_FORBIDDEN', { detail: `${shown} carries a user name or password. Leave them out.` });
  if (hostname === '') throw new EisError('EIS_URL_INVALID', { detail: `${shown} has no host.` });
  return url;
}

/** A URL, or what was meant for one, without what stands before an "@" where its host would be. */
function hideCredentials(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:)?[/\\]*[^/\\?#]*@/i, '$1//…@');
}

/**
 * The source of an image whose bytes were sent: its object's URI, and as fragment the file's name as its sender gave
 * it, if any, without what cannot be printed, and only its end where it is long.
 */
export function nameSource(uri: string, filename: string | undefined): string {
  const printable = [...(filename ?? '').replace(UNPRINTABLE, '')].slice(-NAME_CHARACTERS_MAX).join('');
  return printable === '' ? uri : `${uri}#${encodeURIComponent(printable)}`;
}
