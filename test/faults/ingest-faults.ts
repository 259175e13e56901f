/** What is done to an ingest under way. Each fault says what it did, so that a run in which it did nothing fails. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { parsePrometheus, sumOf } from '../support/prometheus.js';
import type { SeededRandom } from '../support/seeded-random.js';
import type { FunctionMode } from '../support/function-proxy.js';
import type { TcpProxy } from '../support/tcp-proxy.js';
import { MODEL, type Connected, type IngestSystem } from './ingest-system.js';

export interface FaultContext {
  readonly system: IngestSystem;
  readonly random: SeededRandom;
  /** 1 for the run that is asked for; less to be quicker. */
  readonly scale: number;
  /** Images with an outcome. */
  readonly settled: () => Promise<number>;
  /** Begins to send more images; resolves when all are accepted. Called again, it is the same sending. */
  readonly send: () => Promise<void>;
  /** Requests that were not answered 202. */
  readonly failures: () => number;
}

export interface Fault {
  readonly name: string;
  readonly inject: (context: FaultContext) => Promise<void>;
}

/** What a process logs. */
const CONNECTED = 'connected to the broker';

const POLL = { timeout: 60_000, interval: 20 };

export const INGEST_FAULTS: readonly Fault[] = [
  {
    name: 'a worker is killed',
    inject: async ({ system, random, send }) => {
      void send();
      const { role } = pick(system, random);
      await holdsMessages(role);
      await role.kill();
      await role.restart();
    },
  },
  {
    name: 'the broker is killed and comes back',
    inject: async ({ system: { broker, workers }, random, send }) => {
      void send();
      const before = saidBy(workers, CONNECTED);
      await broker.kill();
      await sleep(random.between(200, 2_000));
      await broker.restart();
      await expect.poll(() => saidBy(workers, CONNECTED), POLL).toBeGreaterThanOrEqual(before + workers.length);
    },
  },
  {
    name: 'the connection is cut between the write and the acknowledgement',
    inject: async ({ system, random, settled, send }) => {
      void send();
      const before = await settled();
      const redelivered = await redeliveries(system.workers);
      for (const { proxy } of system.workers) proxy.muteRequests();
      await expect.poll(settled, POLL).toBeGreaterThan(before + 4); // written, and settled in the ledger
      await sleep(random.between(0, 200));
      for (const { proxy } of system.workers) proxy.cut();
      await expect.poll(() => redeliveries(system.workers), POLL).toBeGreaterThan(redelivered);
    },
  },
  {
    name: 'the broker closes the channel of a worker that holds messages for too long',
    inject: async ({ system: { broker, workers, functionProxy }, send }) => {
      const before = saidBy(workers, 'the broker closed a channel');
      await broker.ctl('eval', 'application:set_env(rabbit, consumer_timeout, 1500), application:set_env(rabbit, channel_tick_interval, 500).');
      await reconnect(workers); // the settings are for channels that are opened from now on
      functionProxy.mode = 'silent';
      void send();
      await expect.poll(() => saidBy(workers, 'the broker closed a channel'), POLL).toBeGreaterThan(before);
      await broker.ctl('eval', 'application:set_env(rabbit, consumer_timeout, 1800000), application:set_env(rabbit, channel_tick_interval, 60000).');
      functionProxy.mode = 'up';
      await reconnect(workers);
    },
  },
  functionFault('the function is down', 'down', 20_000),
  functionFault('the function answers 429', 'busy', 10_000),
  wrapperFault('the wrapper is killed before the broker has what it publishes', (proxy) => proxy.muteRequests()),
  wrapperFault('the wrapper is killed when the broker has what it published, and it does not know', (proxy) => proxy.muteAnswers()),
  {
    name: 'the disk of the broker is full for a while',
    inject: async ({ system: { broker, wrapper }, scale, send }) => {
      const before = saidBy([wrapper], 'the broker takes no messages');
      await broker.ctl('eval', 'rabbit_alarm:set_alarm({{resource_limit, disk, node()}, []}).');
      void send();
      await expect.poll(() => saidBy([wrapper], 'the broker takes no messages'), POLL).toBeGreaterThan(before);
      await sleep(12_000 * scale); // in the full run for longer than a publish waits
      await broker.ctl('eval', 'rabbit_alarm:clear_alarm({resource_limit, disk, node()}).');
    },
  },
];

function functionFault(name: string, mode: FunctionMode, ms: number): Fault {
  return {
    name,
    inject: async ({ system: { functionProxy }, scale, send }) => {
      void send();
      const refused = functionProxy.refused;
      functionProxy.mode = mode;
      await sleep(ms * scale);
      functionProxy.mode = 'up';
      expect(functionProxy.refused).toBeGreaterThan(refused);
    },
  };
}

/** @param mute one direction of its connections to the broker */
function wrapperFault(name: string, mute: (proxy: TcpProxy) => void): Fault {
  return {
    name,
    inject: async ({ system: { wrapper }, random, send, failures }) => {
      const before = failures();
      mute(wrapper.proxy);
      void send();
      await sleep(random.between(200, 800));
      await wrapper.role.kill();
      wrapper.proxy.cut();
      await wrapper.role.restart();
      expect(failures()).toBeGreaterThan(before);
    },
  };
}

function pick({ workers }: IngestSystem, random: SeededRandom): Connected {
  return workers[random.between(0, workers.length - 1)] as Connected;
}

async function reconnect(workers: readonly Connected[]): Promise<void> {
  const before = saidBy(workers, CONNECTED);
  for (const { proxy } of workers) proxy.cut();
  await expect.poll(() => saidBy(workers, CONNECTED), POLL).toBeGreaterThanOrEqual(before + workers.length);
}

/** How often a sentence stands in the logs of these processes. */
function saidBy(processes: readonly Connected[], sentence: string): number {
  return processes.reduce((sum, { role }) => sum + role.log.split(sentence).length - 1, 0);
}

async function holdsMessages(role: Connected['role']): Promise<void> {
  await expect.poll(async () => sumOf(await metricsOf(role), 'eis_ingest_in_flight'), POLL).toBeGreaterThan(0);
}

async function redeliveries(workers: readonly Connected[]): Promise<number> {
  const counts = await Promise.all(workers.map(async ({ role }) => sumOf(await metricsOf(role), 'eis_ingest_redeliveries_total', { model: MODEL })));
  return counts.reduce((sum, count) => sum + count, 0);
}

async function metricsOf(role: Connected['role']): Promise<ReturnType<typeof parsePrometheus>> {
  return parsePrometheus(await (await fetch(`${role.url}/metrics`)).text());
}
