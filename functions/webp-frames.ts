/** Counts the frames of an animated WebP file (RFC 9649, 2.7.1.1) before a decoder does. */

/**
 * At least as many frames as a demuxer finds, wherever it looks for them: every `ANMF` in the file. libwebp's walks its
 * list from the start for each frame, although only the first is wanted: 50,000 frames, 2.4 MB, take 9 seconds.
 *
 * @param max counting ends beyond it
 */
export function countWebpFrames(bytes: Buffer, max: number): number {
  let frames = 0;
  for (let at = bytes.indexOf('ANMF'); at >= 0 && frames <= max; at = bytes.indexOf('ANMF', at + 4)) frames++;
  return frames;
}
