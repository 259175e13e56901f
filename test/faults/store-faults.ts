/** What is done to the store of an ingest under way: a server of MongoDB's wire protocol. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Effect } from '../support/mongo-wire/wire-faults.js';
import type { WireServer } from '../support/mongo-wire/wire-server.js';
import type { Fault } from './ingest-faults.js';

const POLL = { timeout: 60_000, interval: 20 };
/** Commands that are hit in a row. */
const TIMES = 6;

/** What happens to writes of images and of the ledger. */
const WRITE_FAULTS: readonly { readonly name: string; readonly effect: Effect }[] = [
  { name: 'the connection to the store is cut before it applies a write', effect: { kind: 'cut', when: 'before' } },
  { name: 'the connection to the store is cut after it applied a write', effect: { kind: 'cut', when: 'after' } },
  { name: 'the primary steps down', effect: { kind: 'refuse', code: 189, codeName: 'PrimarySteppedDown' } },
  { name: 'writes go to a member that is no primary', effect: { kind: 'refuse', code: 10107, codeName: 'NotWritablePrimary' } },
  { name: 'no majority acknowledges writes in time', effect: { kind: 'unconfirmed' } },
  { name: 'upserts of one image meet (E11000)', effect: { kind: 'race' } },
];

export function storeFaults(store: WireServer): Fault[] {
  return [...WRITE_FAULTS.map(({ name, effect }): Fault => ({ name, inject: ({ send }) => injectEach(store, effect, send) })), serverAway(store)];
}

async function injectEach(store: WireServer, effect: Effect, send: () => Promise<void>): Promise<void> {
  store.inject({ command: 'update', times: TIMES, effect });
  void send();
  await expect.poll(() => store.pendingFaults, POLL).toBe(0);
}

function serverAway(store: WireServer): Fault {
  return {
    name: 'there is no store',
    inject: async ({ send, scale }) => {
      await store.stop();
      void send();
      await sleep(30_000 * scale);
      await store.restart();
    },
  };
}
