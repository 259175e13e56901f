/** WebP files put together freely (RFC 9649), as no encoder would write them. */

function uint24(value: number): Buffer {
  return Buffer.from([value & 255, (value >> 8) & 255, (value >> 16) & 255]);
}

export function riffChunk(type: string, body: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([Buffer.from(type, 'latin1'), length, body, Buffer.alloc(body.length % 2)]);
}

export function webpOf(...chunks: readonly Buffer[]): Buffer {
  return riffChunk('RIFF', Buffer.concat([Buffer.from('WEBP', 'latin1'), ...chunks]));
}

/** An animation of one still picture, `count` times, of which every frame is `width` × `height` like the picture. */
export function webpAnimation(still: Buffer, count: number, { width, height }: { readonly width: number; readonly height: number }): Buffer {
  const picture = still.subarray(12);
  const frame = riffChunk('ANMF', Buffer.concat([uint24(0), uint24(0), uint24(width - 1), uint24(height - 1), uint24(40), Buffer.of(0), picture]));
  const canvas = riffChunk('VP8X', Buffer.concat([Buffer.from([2, 0, 0, 0]), uint24(width - 1), uint24(height - 1)]));
  return webpOf(canvas, riffChunk('ANIM', Buffer.alloc(6)), Buffer.alloc(frame.length * count, frame));
}
