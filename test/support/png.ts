/** PNG files whose header and data are chosen freely, as no encoder would write them. */
import { crc32, deflateSync } from 'node:zlib';

export interface PngParts {
  readonly width?: number;
  readonly height?: number;
  /** Chunks before the rows, and behind them. */
  readonly before?: readonly Buffer[];
  readonly after?: readonly Buffer[];
  /** The compressed rows, which need not be there. */
  readonly data?: Buffer;
}

/** An RGB image of 8 bits; by default 8 × 8 black pixels. */
export function pngWith({ width = 8, height = 8, before = [], after = [], data = deflateSync(Buffer.alloc(8 * (1 + 3 * 8))) }: PngParts): Buffer {
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), pngChunk('IHDR', header), ...before, pngChunk('IDAT', data), ...after, pngChunk('IEND', Buffer.alloc(0))]);
}

/** An image whose data may be too short for its size. */
export function pngOf(width: number, height: number, data: Buffer = deflateSync(Buffer.alloc(64))): Buffer {
  return pngWith({ width, height, data });
}

/** A file of some hundred kilobytes that unpacks to width × height black pixels. */
export function pngBomb(width: number, height: number): Buffer {
  return pngOf(width, height, deflateSync(Buffer.alloc(height * (1 + 3 * width)), { level: 9 }));
}

/** A chunk with its length and its checksum. */
export function pngChunk(type: string, body: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type, 'latin1'), body]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(body.length);
  checksum.writeUInt32BE(crc32(typed));
  return Buffer.concat([length, typed, checksum]);
}
