/** Messages as they travel through the broker: the body is JSON, what belongs to a delivery stands in headers. */
import type { Message, MessagePropertyHeaders } from 'amqplib';
import type { ImageMessage } from '../../common/wire.js';
import type { DeadLetter, FailureReason } from './queue.js';

/** How often this message was rejected before. */
const FAILURES = 'x-eis-failures';
const DEAD_CODE = 'x-eis-dead-code';
const DEAD_MESSAGE = 'x-eis-dead-message';
const DEAD_AT_MS = 'x-eis-dead-at-ms';

/** Characters kept of a reason: headers are bounded by the client. */
const REASON_LENGTH_MAX = 2_000;
const SHOWN_LENGTH_MAX = 200;

/** Something to publish: confirmed, on the disk, and it must reach a queue. */
export interface Outgoing {
  /** '' publishes to the queue that `routingKey` names. */
  readonly exchange: string;
  readonly routingKey: string;
  readonly content: Buffer;
  readonly headers?: Readonly<Record<string, unknown>>;
}

export function encodeMessage({ submission, source, acceptedAt, metadata, traceparent }: ImageMessage): Buffer {
  return Buffer.from(JSON.stringify({ submission, source, acceptedAt, metadata, traceparent }));
}

/** The message of a body; undefined when it is none, because something else published it. */
export function decodeMessage(content: Buffer): ImageMessage | undefined {
  try {
    const { submission, source, acceptedAt, metadata, traceparent } = (JSON.parse(content.toString()) ?? {}) as Partial<ImageMessage>;
    if (typeof submission !== 'string' || typeof source !== 'string' || typeof acceptedAt !== 'number') return undefined;
    return { submission, source, acceptedAt, ...(metadata && { metadata }), ...(typeof traceparent === 'string' && { traceparent }) };
  } catch {
    return undefined;
  }
}

export function failuresOf({ properties }: Message): number {
  const failures: unknown = headersOf(properties.headers)[FAILURES];
  return typeof failures === 'number' ? failures : 0;
}

/** The headers of a message that was rejected so often. */
export function retryHeaders(failures: number): Record<string, unknown> {
  return { [FAILURES]: failures };
}

export function deadHeaders({ code, message }: FailureReason): Record<string, unknown> {
  return { [DEAD_CODE]: code, [DEAD_MESSAGE]: message.slice(0, REASON_LENGTH_MAX), [DEAD_AT_MS]: Date.now() };
}

/** A dead letter as it lies in its queue. What the broker put there itself has no reason of ours. */
export function readDeadLetter({ content, properties }: Message): DeadLetter {
  const headers = headersOf(properties.headers);
  const [death] = headers['x-death'] ?? [];
  return {
    message: decodeMessage(content) ?? { submission: '', source: `(no message of ours) ${content.toString().slice(0, SHOWN_LENGTH_MAX)}`, acceptedAt: 0 },
    reason: {
      code: textOf(headers[DEAD_CODE]) ?? 'EIS_DELIVERY_LIMIT',
      message: textOf(headers[DEAD_MESSAGE]) ?? `The broker took it out of its queue (${death?.reason ?? 'it does not say why'}).`,
    },
    deadAt: typeof headers[DEAD_AT_MS] === 'number' ? headers[DEAD_AT_MS] : (death?.time.value ?? 0) * 1000,
  };
}

function headersOf(headers: MessagePropertyHeaders | undefined): MessagePropertyHeaders {
  return headers ?? {};
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
