/** Starting and ending a process of the system: one way for every role. */
import type { AddressInfo } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { App } from './http.js';
import type { Limits } from './limits.js';
import type { Log } from './log.js';
import { toEisError } from './errors.js';

export interface Closable {
  /** Says from now on that it is not ready, and goes on answering. */
  drain?(): void;
  close(): Promise<void>;
}

export interface ClosingOptions {
  readonly log: Log;
  readonly limits: Pick<Limits, 'drainMs' | 'closeTimeoutMs'>;
}

/**
 * Runs `main`; what it throws is said in one sentence on stderr (an error of ours: without a stack) and ends the
 * process with 1. Nothing that a role does may end it otherwise.
 */
export function runMain(main: () => Promise<void>): void {
  main().catch((thrown: unknown) => {
    const error = toEisError(thrown);
    console.error(error.code === 'EIS_INTERNAL' ? error.cause : `${error.code}: ${error.message}`);
    process.exit(1);
  });
}

/** Listens; logs and returns the port (of use where 0 was asked for). */
export async function listen(app: App, options: { readonly host: string; readonly port: number; readonly log: Log }): Promise<number> {
  await app.listen({ host: options.host, port: options.port });
  const { port } = app.server.address() as AddressInfo;
  options.log.info({ host: options.host, port }, 'listening');
  return port;
}

/**
 * Closes everything when the process is told to end (SIGTERM, SIGINT) or its supervisor is gone (the IPC channel of a
 * forked process closes): so no process outlives the one that started it. First every part drains for `drainMs`, so that
 * whoever sends to this process learns that it leaves; then the parts are closed in order, each finishing what it has in
 * hand, and the process ends with 0. After `closeTimeoutMs`, or at a second signal, it ends at once, with 1.
 */
export function closeOnSignal(parts: readonly Closable[], { log, limits: { drainMs, closeTimeoutMs } }: ClosingOptions): void {
  surviveAccidents(log);
  let closing = false;
  const close = (reason: string): void => {
    if (closing) return;
    closing = true;
    log.info({ reason, drainMs }, 'closing');
    setTimeout(() => {
      log.error({ closeTimeoutMs }, 'did not close in time');
      process.exit(1);
    }, drainMs + closeTimeoutMs).unref();
    for (const part of parts) part.drain?.();
    // Sockets are read between a timer and an immediate: no server closes a connection, as idle, on which a request lies unread.
    void sleep(drainMs).then(() => nextTurn()).then(() => closeAll(parts, log)).then(() => process.exit(0));
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    if (closing) process.exit(1);
    close(signal);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.once('disconnect', () => close('the supervisor is gone'));
  if (process.connected === false) close('the supervisor is gone'); // before anyone listened
}

async function closeAll(parts: readonly Closable[], log: Log): Promise<void> {
  for (const part of parts) {
    try {
      await part.close();
    } catch (error) {
      log.error({ err: error }, 'closing failed');
    }
  }
}

/**
 * A rejection that nobody waited for (LMDB leaves some when the disk is full) is logged, and the process goes on: what
 * it was of, failed where it was awaited. After an exception that nobody caught nothing can be relied on.
 */
function surviveAccidents(log: Log): void {
  process.on('unhandledRejection', (reason) => log.error({ err: reason }, 'unhandled rejection'));
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught exception');
    process.exit(1);
  });
}
