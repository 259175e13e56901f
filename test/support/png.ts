/** PNG files whose header and data are chosen freely, as no encoder would write them. */
import { crc32, deflateSync } from 'node:zlib';

/** An RGB image of 8 bits; `data` is its compressed rows, which need not be there. */
export function pngOf(width: number, height: number, data: Buffer = deflateSync(Buffer.alloc(64))): Buffer {
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

/** A file of some hundred kilobytes that unpacks to width × height black pixels. */
export function pngBomb(width: number, height: number): Buffer {
  return pngOf(width, height, deflateSync(Buffer.alloc(height * (1 + 3 * width)), { level: 9 }));
}

function chunk(type: string, body: Buffer): Buffer {
  const typed = Buffer.concat([Buffer.from(type, 'latin1'), body]);
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(body.length);
  checksum.writeUInt32BE(crc32(typed));
  return Buffer.concat([length, typed, checksum]);
}
