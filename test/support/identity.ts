/** Identity tokens that nobody signed: their callers read no more of them than when they end. */

let made = 0;

/** A token of the shape of Google's, different from every other. */
export function unsignedToken(endsAtMs: number): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  return `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode({ exp: Math.floor(endsAtMs / 1000), jti: `token-${made++}` })}.c2lnbmF0dXJl`;
}
