/** Lines of a text stream, each bounded. */
import { StringDecoder } from 'node:string_decoder';
import { EisError } from '../common/errors.js';

/**
 * The lines of a UTF-8 stream, without their ends (LF or CRLF) and without blank ones, in time linear in its bytes
 * however they are cut into chunks.
 *
 * @throws EisError EIS_BAD_REQUEST when a line is longer than `charactersMax`
 */
export async function* readLines(stream: AsyncIterable<Uint8Array>, charactersMax: number): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  const line = new LineBuilder(charactersMax);
  for await (const chunk of stream) {
    const [first = '', ...others] = decoder.write(Buffer.from(chunk)).split('\n');
    line.append(first);
    for (const next of others) {
      const whole = line.take();
      if (whole !== '') yield whole;
      line.append(next);
    }
  }
  line.append(decoder.end());
  const last = line.take();
  if (last !== '') yield last;
}

/** A line that comes in pieces; put together once. */
class LineBuilder {
  readonly #charactersMax: number;
  #pieces: string[] = [];
  #characters = 0;

  constructor(charactersMax: number) {
    this.#charactersMax = charactersMax;
  }

  append(piece: string): void {
    if (piece === '') return;
    this.#characters += piece.length;
    if (this.#characters > this.#charactersMax) throw new EisError('EIS_BAD_REQUEST', { detail: `A line is longer than ${this.#charactersMax} characters. Send one URL a line.` });
    this.#pieces.push(piece);
  }

  /** The line so far, empty where it is blank; the next begins. */
  take(): string {
    if (this.#characters === 0) return '';
    const line = this.#pieces.join('').replace(/\r$/, '');
    this.#pieces = [];
    this.#characters = 0;
    return line.trim() === '' ? '' : line;
  }
}
