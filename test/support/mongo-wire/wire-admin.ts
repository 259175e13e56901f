/** hello, and the commands that make and drop what data lies in. */
import type { Document } from 'bson';
import type { WireDatabase } from './wire-collection.js';
import { WireError } from './wire-error.js';

export type Role = 'replica set' | 'standalone' | 'mongos';

const HELLO = { ok: 1, helloOk: true, minWireVersion: 0, maxWireVersion: 21, maxBsonObjectSize: 16 * 1024 * 1024, maxMessageSizeBytes: 48_000_000, maxWriteBatchSize: 100_000, logicalSessionTimeoutMinutes: 30, readOnly: false };

/** No topologyVersion: with one, a driver would ask for a stream of answers. */
export function hello(role: Role, address: string, isPrimary: boolean): Document {
  const state = { isWritablePrimary: isPrimary, ismaster: isPrimary, secondary: !isPrimary };
  const member = role === 'replica set' ? { setName: 'rs0', setVersion: 1, hosts: [address], me: address, ...(isPrimary ? { primary: address } : {}) } : {};
  return { ...HELLO, ...state, ...member, ...(role === 'mongos' ? { msg: 'isdbgrid' } : {}) };
}

/** What runs in the database `admin` of mongos, as it was asked for: namespace or database → key. */
export type Sharding = Map<string, Document>;

export interface AdminContext {
  readonly role: Role;
  readonly database: WireDatabase;
  readonly sharding: Sharding;
}

export function runAdmin(name: string, command: Document, { role, database, sharding }: AdminContext): Document {
  switch (name) {
    case 'ping':
    case 'endSessions':
      return { ok: 1 };
    case 'create':
      database.collection(command['create'] as string);
      return { ok: 1 };
    case 'drop':
      if (!database.collections.delete(command['drop'] as string)) throw new WireError(26, 'NamespaceNotFound');
      return { ok: 1 };
    case 'dropDatabase':
      database.collections.clear();
      return { ok: 1 };
    case 'createIndexes':
      return createIndexes(command, database);
    case 'enableSharding':
    case 'shardCollection':
      if (role !== 'mongos') throw new WireError(59, 'CommandNotFound');
      sharding.set(command[name] as string, (command['key'] ?? {}) as Document);
      return { ok: 1 };
    default:
      throw new WireError(59, 'CommandNotFound');
  }
}

function createIndexes(command: Document, database: WireDatabase): Document {
  const { indexes } = database.collection(command['createIndexes'] as string);
  const numIndexesBefore = indexes.length;
  for (const index of command['indexes'] as Document[]) {
    const standing = indexes.find(({ name }) => name === index['name']);
    if (standing && JSON.stringify(standing['key']) !== JSON.stringify(index['key'])) throw new WireError(86, 'IndexKeySpecsConflict');
    if (!standing) indexes.push({ v: 2, ...index });
  }
  return { ok: 1, numIndexesBefore, numIndexesAfter: indexes.length };
}
