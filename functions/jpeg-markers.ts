/** Walks the markers of a JPEG file as a decoder does (ITU-T T.81, B.1). */

const MARKER = { tem: 0x01, rst0: 0xd0, rst7: 0xd7, soi: 0xd8, eoi: 0xd9, sos: 0xda } as const;

export interface JpegCounts {
  /** A progressive file is decoded once for each, so a small file with many is a trap for time. */
  readonly scans: number;
  /** Every segment, scans included. A decoder keeps what it knows of each, 300 bytes and more for one of four. */
  readonly segments: number;
}

/**
 * What a JPEG file is made of. What lies inside segments (the preview in an EXIF block is a JPEG of its own) or behind
 * the end of the image (a phone's video) is not the image's.
 */
export function countJpegSegments(bytes: Uint8Array): JpegCounts {
  let [scans, segments] = [0, 0];
  for (let at = nextMarker(bytes, 0); at < bytes.length; at = nextMarker(bytes, at)) {
    const marker = bytes[at - 1] as number;
    if (marker === MARKER.eoi) break;
    if (marker === MARKER.sos) scans++;
    if (standsAlone(marker)) continue;
    segments++;
    at += segmentLength(bytes, at);
  }
  return { scans, segments };
}

/**
 * Where the next marker ends, looked for from `at` on: FF, repeated at will, and a byte that is neither FF nor the 00
 * which says that the FF before it is coded data. Past the end when there is none.
 */
function nextMarker(bytes: Uint8Array, at: number): number {
  for (let i = bytes.indexOf(0xff, at); i >= 0; i = bytes.indexOf(0xff, i + 1)) {
    const after = bytes[i + 1];
    if (after !== undefined && after !== 0 && after !== 0xff) return i + 2;
  }
  return Infinity;
}

/** Markers that no length follows. */
function standsAlone(marker: number): boolean {
  return marker === MARKER.tem || marker === MARKER.soi || (marker >= MARKER.rst0 && marker <= MARKER.rst7);
}

/** Bytes of the segment after its marker. The length counts its own two bytes, which are there whatever it says. */
function segmentLength(bytes: Uint8Array, at: number): number {
  return Math.max(2, ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0));
}
