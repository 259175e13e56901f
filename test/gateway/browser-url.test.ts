import { describe, expect, it } from 'vitest';
import { browserUrl } from '../../gateway/browser-url.js';

const ID = 'a'.repeat(64);
const OTHER = 'b'.repeat(64);

describe('browserUrl()', () => {
  it.each([
    ['http(s) as it is', ['https://example.com/a b.jpg?x=1'], 'https://example.com/a b.jpg?x=1'],
    ['an object of a bucket at its public address', ['gs://my-bucket/photos/ä &#?.jpg'], 'https://storage.googleapis.com/my-bucket/photos/%C3%A4%20%26%23%3F.jpg'],
    ['an object of the folder bucket at the gateway', [`eis://${OTHER}#cat.jpg`], `/images/${OTHER}`],
    ['an object of a bucket that is named by its content at the gateway', [`gs://my-bucket/images/bb/${OTHER}#cat.jpg`], `/images/${OTHER}`],
    ['one without a name too', [`eis://${OTHER}`], `/images/${OTHER}`],
    ['the first that can be opened', ['file:///etc/passwd', 'gs://my-bucket/x.jpg', 'https://example.com/'], 'https://storage.googleapis.com/my-bucket/x.jpg'],
    ['no script', ['javascript:alert(1)//https://example.com'], `/images/${ID}`],
    ['no other host under our own scheme', ['eis://evil.example/x'], `/images/${ID}`],
    ['its own id when there is no source', [], `/images/${ID}`],
  ])('opens %s', (_name, urls, expected) => {
    expect(browserUrl(ID, urls)).toBe(expected);
  });
});
