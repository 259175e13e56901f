/** Lines of a text stream, each bounded. */
import { StringDecoder } from 'node:string_decoder';
import { EisError } from '../common/errors.js';

/**
 * The lines of a UTF-8 stream, without their ends (LF or CRLF).
 *
 * @throws EisError EIS_BAD_REQUEST when a line is longer than `charactersMax`
 */
export async function* readLines(stream: AsyncIterable<Uint8Array>, charactersMax: number): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + decoder.write(Buffer.from(chunk))).split('\n');
    rest = lines.pop() as string;
    for (const line of lines) yield bounded(line, charactersMax).replace(/\r$/, '');
    bounded(rest, charactersMax);
  }
  rest += decoder.end();
  if (rest !== '') yield bounded(rest, charactersMax).replace(/\r$/, '');
}

function bounded(line: string, charactersMax: number): string {
  if (line.length > charactersMax) throw new EisError('EIS_BAD_REQUEST', { detail: `A line is longer than ${charactersMax} characters. Send one URL a line.` });
  return line;
}
