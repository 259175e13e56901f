/** Recognises images that browsers show, by their first bytes. */
const MARKS: readonly { readonly type: string; readonly offset: number; readonly marks: readonly string[] }[] = [
  { type: 'image/jpeg', offset: 0, marks: ['\xff\xd8\xff'] },
  { type: 'image/png', offset: 0, marks: ['\x89PNG\r\n\x1a\n'] },
  { type: 'image/gif', offset: 0, marks: ['GIF87a', 'GIF89a'] },
  { type: 'image/webp', offset: 8, marks: ['WEBP'] },
  { type: 'image/avif', offset: 4, marks: ['ftypavif', 'ftypavis'] },
];

/** The media type of an image; undefined when the bytes are none of a kind that a browser may be given as an image. */
export function imageType(bytes: Buffer): string | undefined {
  const head = bytes.subarray(0, 16).toString('latin1');
  return MARKS.find(({ offset, marks }) => marks.some((mark) => head.startsWith(mark, offset)))?.type;
}
