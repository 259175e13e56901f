/** Messages of MongoDB's wire protocol: OP_MSG with both kinds of sections, and OP_QUERY, in which a driver says hello. */
import { deserialize, serialize, type Document } from 'bson';

const HEADER_BYTES = 16;
const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_MSG = 2013;
const CHECKSUM_PRESENT = 1;
const MORE_TO_COME = 2;

export interface WireRequest {
  readonly id: number;
  readonly isLegacy: boolean;
  /** Nobody waits for the answer. */
  readonly isUnacknowledged: boolean;
  readonly command: Document;
}

/** Takes whole messages from what has arrived. Returns them and the rest. */
export function takeRequests(bytes: Buffer): { readonly requests: WireRequest[]; readonly rest: Buffer } {
  const requests: WireRequest[] = [];
  let rest = bytes;
  while (rest.length >= HEADER_BYTES && rest.length >= rest.readInt32LE(0)) {
    const length = rest.readInt32LE(0);
    requests.push(readRequest(rest.subarray(0, length)));
    rest = rest.subarray(length);
  }
  return { requests, rest };
}

function readRequest(message: Buffer): WireRequest {
  const id = message.readInt32LE(4);
  const opCode = message.readInt32LE(12);
  if (opCode === OP_MSG) return { id, isLegacy: false, isUnacknowledged: (message.readUInt32LE(16) & MORE_TO_COME) !== 0, command: readSections(message) };
  if (opCode !== OP_QUERY) throw new Error(`opCode ${opCode} is not spoken here`);
  const namespaceEnd = message.indexOf(0, HEADER_BYTES + 4);
  return { id, isLegacy: true, isUnacknowledged: false, command: readDocument(message, namespaceEnd + 1 + 8) };
}

/** The body, with the documents of each sequence as an array of its name. */
function readSections(message: Buffer): Document {
  const end = message.length - ((message.readUInt32LE(16) & CHECKSUM_PRESENT) === 0 ? 0 : 4);
  let command: Document = {};
  let at = HEADER_BYTES + 4;
  while (at < end) {
    const kind = message[at++];
    const size = message.readInt32LE(at);
    command = kind === 0 ? { ...readDocument(message, at), ...command } : { ...command, ...readSequence(message.subarray(at, at + size)) };
    at += size;
  }
  return command;
}

function readSequence(section: Buffer): Document {
  const nameEnd = section.indexOf(0, 4);
  const documents: Document[] = [];
  for (let at = nameEnd + 1; at < section.length; at += section.readInt32LE(at)) documents.push(readDocument(section, at));
  return { [section.toString('utf8', 4, nameEnd)]: documents };
}

function readDocument(bytes: Buffer, at: number): Document {
  return deserialize(bytes.subarray(at, at + bytes.readInt32LE(at)));
}

export function encodeReply({ id, isLegacy }: WireRequest, reply: Document): Buffer {
  const body = serialize(reply, { ignoreUndefined: true });
  const prefix = isLegacy ? Buffer.alloc(20) : Buffer.alloc(5); // OP_REPLY: flags, cursor, start, count; OP_MSG: flags, kind of section
  if (isLegacy) prefix.writeInt32LE(1, 16);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeInt32LE(HEADER_BYTES + prefix.length + body.length, 0);
  header.writeInt32LE(id, 8);
  header.writeInt32LE(isLegacy ? OP_REPLY : OP_MSG, 12);
  return Buffer.concat([header, prefix, body]);
}
