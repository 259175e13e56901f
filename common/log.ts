/** Structured logs: one JSON object a line on stdout. */
import { pino, type Logger } from 'pino';

export type Log = Logger;

/** The log of one process. `role` stands in every line. Secrets never reach it: only what is passed is logged. */
export function createLog(options: { readonly role: string; readonly level: string; readonly bindings?: Record<string, unknown> }): Log {
  return pino({ level: options.level, base: { role: options.role, ...options.bindings }, timestamp: pino.stdTimeFunctions.isoTime });
}

/** A log that says nothing, for tests and for parts used as a library. */
export const SILENT_LOG: Log = pino({ level: 'silent' });
