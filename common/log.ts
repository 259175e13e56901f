/** Structured logs: one JSON object a line on stdout. */
import { pino, type Logger } from 'pino';
import { currentTrace, traceIdOf } from './trace-context.js';

export type Log = Logger;

/** Bytes of lines that could not be written and are kept to be tried again; what comes beyond is dropped. */
const BACKLOG_BYTES_MAX = 1024 * 1024;

/**
 * The log of one process. `role` stands in every line, and `traceId` in those of a request that belongs to a trace. Secrets never reach it: only what is passed is logged. A line
 * that cannot be written (the disk is full, nobody reads) is lost, and the process goes on.
 */
export function createLog(options: { readonly role: string; readonly level: string; readonly bindings?: Record<string, unknown> }): Log {
  const destination = pino.destination({ fd: process.stdout.fd, sync: true, maxLength: BACKLOG_BYTES_MAX });
  destination.on('error', () => undefined);
  return pino({ level: options.level, base: { role: options.role, ...options.bindings }, timestamp: pino.stdTimeFunctions.isoTime, mixin: traceFields }, destination);
}

function traceFields(): object {
  const trace = currentTrace();
  return trace ? { traceId: traceIdOf(trace) } : {};
}

/** A log that says nothing, for tests and for parts used as a library. */
export const SILENT_LOG: Log = pino({ level: 'silent' });
