/**
 * A server that speaks MongoDB's wire protocol, for tests: the unmodified driver takes it for the primary of a replica
 * set, a standalone, or mongos. Its data are in memory and outlive a restart. What no single process can show is not
 * here: replication, elections, the planner and its indexes, chunks that move, TTL.
 */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Timestamp, type Binary, type Document } from 'bson';
import { hello, runAdmin, type Role, type Sharding } from './wire-admin.js';
import { WireDatabase, type WireCollection } from './wire-collection.js';
import { WireError } from './wire-error.js';
import { WireFaults, type Effect, type Fault } from './wire-faults.js';
import { encodeReply, takeRequests, type WireRequest } from './wire-message.js';
import { WireReads } from './wire-reads.js';
import { isWrite, runWrite } from './wire-writes.js';

/** NotWritablePrimary, PrimarySteppedDown…: a client may send a write with a transaction number again. */
const STATE_CHANGES: ReadonlySet<number> = new Set([91, 189, 10107, 11600, 11602, 13435, 13436]);

export interface WireServerOptions {
  readonly role?: Role;
  /** The server's clock, ms since the epoch. */
  readonly now?: () => number;
}

export class WireServer {
  /** Every command but hello, as it arrived. */
  readonly commands: { readonly name: string; readonly command: Document }[] = [];
  readonly sharding: Sharding = new Map();
  isPrimary = true;
  /** Whether `command` may run; refused with Unauthorized where not. */
  permits: (command: string) => boolean = () => true;
  readonly #role: Role;
  readonly #now: () => number;
  readonly #faults = new WireFaults();
  readonly #reads = new WireReads();
  readonly #databases = new Map<string, WireDatabase>();
  /** What statements did, by session and transaction number. */
  readonly #done = new Map<string, Map<number, Document>>();
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #operations = 0;

  private constructor({ role = 'replica set', now = Date.now }: WireServerOptions) {
    this.#role = role;
    this.#now = now;
  }

  static async start(options: WireServerOptions = {}): Promise<WireServer> {
    const server = new WireServer(options);
    await server.restart();
    return server;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** @param database named in it, where there is one */
  uri(database = '', options = 'heartbeatFrequencyMS=500&minHeartbeatFrequencyMS=20'): string {
    return `mongodb://${this.address}/${database}?${options}${this.#role === 'replica set' ? '&replicaSet=rs0' : ''}`;
  }

  inject(fault: Fault): void {
    this.#faults.inject(fault);
  }

  get pendingFaults(): number {
    return this.#faults.pending;
  }

  get openCursors(): number {
    return this.#reads.openCursors;
  }

  collection(name: string, database = 'eis'): WireCollection {
    return this.#database(database).collection(name);
  }

  /** Refuses connections and cuts those that stand. Its data and its port stay. */
  async stop(): Promise<void> {
    const closed = new Promise((resolve) => (this.#server ? this.#server.close(resolve) : resolve(undefined)));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    this.#reads.forgetCursors();
    this.#server = undefined;
  }

  async restart(): Promise<void> {
    this.#server = createServer((socket) => this.#serve(socket)).listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  #database(name: string): WireDatabase {
    const database = this.#databases.get(name) ?? new WireDatabase();
    this.#databases.set(name, database);
    return database;
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true).on('close', () => this.#sockets.delete(socket)).on('error', () => socket.destroy());
    let rest: Buffer = Buffer.alloc(0);
    let last = Promise.resolve();
    socket.on('data', (bytes) => {
      const taken = takeRequests(Buffer.concat([rest, bytes]));
      rest = taken.rest;
      for (const request of taken.requests) last = last.then(() => this.#answer(request, socket));
    });
  }

  async #answer(request: WireRequest, socket: Socket): Promise<void> {
    const { command } = request;
    const name = Object.keys(command)[0] as string;
    if (['hello', 'isMaster', 'ismaster'].includes(name)) {
      socket.write(encodeReply(request, hello(this.#role, this.address, this.isPrimary)));
      return;
    }
    this.commands.push({ name, command });
    const effect = this.#faults.take(name, command);
    if (effect?.kind === 'slow') await sleep(effect.ms);
    if (effect?.kind === 'cut' && effect.when === 'before') return void socket.destroy();
    const reply = this.#run(name, command, effect);
    if (effect?.kind === 'cut') return void socket.destroy();
    if (!request.isUnacknowledged) socket.write(encodeReply(request, { ...reply, ...this.#operationTime() }));
  }

  #run(name: string, command: Document, effect: Effect | undefined): Document {
    try {
      this.#admit(name, effect);
      const database = this.#database(command['$db'] as string);
      const now = new Date(this.#now());
      if (this.#reads.isRead(name)) return this.#reads.run(name, command, { database, now });
      if (!isWrite(name)) return runAdmin(name, command, { role: this.#role, database, sharding: this.sharding });
      const reply = runWrite(name, command, { database, now, effect, done: this.#doneBy(command) });
      return effect?.kind === 'unconfirmed' ? { ...reply, writeConcernError: { code: 64, codeName: 'WriteConcernFailed', errmsg: 'waiting for replication timed out', errInfo: { wtimeout: true } } } : reply;
    } catch (error) {
      const { code, codeName, labels, message } = error instanceof WireError ? error : { ...new WireError(8, 'UnknownError'), message: String(error) };
      return { ok: 0, code, codeName, errmsg: message, ...(labels.length > 0 ? { errorLabels: [...labels] } : {}) };
    }
  }

  /** @throws WireError where it is not to run */
  #admit(name: string, effect: Effect | undefined): void {
    if (!this.permits(name)) throw new WireError(13, 'Unauthorized');
    if (!this.isPrimary && name !== 'ping') throw this.#refusal(10107, 'NotWritablePrimary', name);
    if (effect?.kind === 'refuse') throw this.#refusal(effect.code, effect.codeName, name);
  }

  #refusal(code: number, codeName: string, name: string): WireError {
    if (STATE_CHANGES.has(code)) this.#reads.forgetCursors();
    return new WireError(code, codeName, STATE_CHANGES.has(code) && isWrite(name) && this.#role !== 'standalone' ? ['RetryableWriteError'] : []);
  }

  #doneBy({ lsid, txnNumber }: Document): Map<number, Document> {
    if (txnNumber === undefined) return new Map();
    const key = `${((lsid as Document)['id'] as Binary).toString('hex')} ${txnNumber}`;
    const done = this.#done.get(key) ?? new Map<number, Document>();
    this.#done.set(key, done);
    return done;
  }

  #operationTime(): Document {
    return this.#role === 'standalone' ? {} : { operationTime: new Timestamp({ t: Math.floor(this.#now() / 1000), i: ++this.#operations }) };
  }
}
