/** Reads what an ICC profile (ICC.1:2010) says it is. */

const HEADER_BYTES = 128;
const ENTRY_BYTES = 12;
/** More tags than any profile has. */
const TAGS_MAX = 100;

/**
 * Whether the colours of an image with this profile are those of an image without: sRGB. Most profiles are, under one
 * description or another, and applying one of them changes no pixel, but takes longer than decoding a photo.
 */
export function isSrgbProfile(icc: Buffer): boolean {
  const description = describe(icc);
  return /sRGB/.test(description) && !/preference|appearance/i.test(description); // those two render differently on purpose
}

/** The text of its tag `desc`, in ASCII (version 2) or UTF-16 (version 4); what is neither letter nor sign is left out. */
function describe(icc: Buffer): string {
  const tags = icc.length >= HEADER_BYTES + 4 ? Math.min(icc.readUInt32BE(HEADER_BYTES), TAGS_MAX) : 0;
  for (let i = 0; i < tags; i++) {
    const at = HEADER_BYTES + 4 + i * ENTRY_BYTES;
    if (at + ENTRY_BYTES > icc.length) break;
    if (icc.toString('latin1', at, at + 4) !== 'desc') continue;
    const start = icc.readUInt32BE(at + 4);
    return icc.toString('latin1', start, start + icc.readUInt32BE(at + 8)).replace(/[^ -~]/g, '');
  }
  return '';
}
