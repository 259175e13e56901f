import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { isSrgbProfile } from '../../functions/colour-profile.js';

/** A profile with one tag before its description, which is of version 2 or 4. */
function profile(description: string, version: 2 | 4 = 2): Buffer {
  const text = version === 2 ? Buffer.from(description, 'latin1') : Buffer.from(description, 'utf16le').swap16();
  const tag = Buffer.concat([Buffer.from(version === 2 ? 'desc' : 'mluc'), Buffer.alloc(8), text]);
  const table = Buffer.alloc(4 + 2 * 12);
  table.writeUInt32BE(2);
  table.write('cprt', 4);
  table.write('desc', 16);
  table.writeUInt32BE(128 + table.length, 20);
  table.writeUInt32BE(tag.length, 24);
  return Buffer.concat([Buffer.alloc(128), table, tag, Buffer.from('sRGB, says what comes behind')]);
}

async function withProfile(name: string): Promise<Buffer> {
  const bytes = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#4080c0' } }).withIccProfile(name).jpeg().toBuffer();
  return (await sharp(bytes).metadata()).icc as Buffer;
}

describe('isSrgbProfile()', () => {
  it('knows sRGB by its description, whoever wrote it', async () => {
    expect(isSrgbProfile(await withProfile('srgb'))).toBe(true);
    for (const description of ['sRGB IEC61966-2.1', 'Nikon sRGB 4.0.0.3001', 'sRGB']) {
      expect(isSrgbProfile(profile(description)), description).toBe(true);
      expect(isSrgbProfile(profile(description, 4)), description).toBe(true);
    }
  });

  it('takes no other for it', async () => {
    expect(isSrgbProfile(await withProfile('p3'))).toBe(false);
    for (const description of ['Adobe RGB (1998)', 'Display P3', 'Camera RGB Profile', 'sRGB v4 ICC preference perceptual intent', 'sRGB v4 appearance', '']) expect(isSrgbProfile(profile(description)), description).toBe(false);
  });

  it('makes nothing of what is no profile, or ends early', () => {
    const whole = profile('sRGB IEC61966-2.1');
    for (const length of [0, 3, 127, 131, 140, 150]) expect(isSrgbProfile(whole.subarray(0, length)), String(length)).toBe(false);
    expect(isSrgbProfile(Buffer.alloc(1_000, 0xff))).toBe(false);
  });
});
