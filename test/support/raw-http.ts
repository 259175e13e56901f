/** HTTP as no client would send it: bytes to a socket, and what comes back. */
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface RawAnswer {
  readonly status: number;
  /** Lowercase, as they came. */
  readonly head: string;
  /** Parsed, where it is JSON; else the text. */
  readonly body: unknown;
}

export interface ExchangeOptions {
  /** Between two pieces. */
  readonly pauseMs?: number;
  /** Whether nothing is read before all is sent. */
  readonly readsLate?: boolean;
}

/**
 * Sends `pieces`, one after the other, and resolves when the other side has closed the connection.
 */
export async function exchange(url: string, pieces: readonly (string | Buffer)[], { pauseMs = 0, readsLate = false }: ExchangeOptions = {}): Promise<RawAnswer> {
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => undefined);
  if (readsLate) socket.pause();
  const ended = new Promise((resolve) => socket.once('end', resolve).once('close', resolve));
  for (const piece of pieces) {
    socket.write(piece);
    await sleep(pauseMs);
  }
  socket.resume();
  await ended;
  socket.destroy();
  const [head = '', body = ''] = Buffer.concat(chunks).toString('utf8').split('\r\n\r\n', 2);
  return { status: Number(head.split(' ')[1]), head: head.toLowerCase(), body: parse(body) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A multipart body of parts as they are written, `head` and content, with the boundary X. */
export function multipartOf(...parts: readonly [head: string, content: Buffer][]): Buffer {
  return Buffer.concat([...parts.flatMap(([head, content]) => [Buffer.from(`--X\r\n${head}\r\n\r\n`), content, Buffer.from('\r\n')]), Buffer.from('--X--\r\n')]);
}

/** Heads of parts that the parser skips. */
export const SKIPPED_PARTS = ['Content-Type: image/jpeg', 'Content-Disposition: attachment; filename="a.jpg"', 'garbage'];
