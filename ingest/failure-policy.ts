/**
 * What becomes of a message whose embedding or writing failed: the one place that says so. undici retries no POST, and
 * nothing else here retries by itself.
 */
import type { EisError, ErrorCode } from '../common/errors.js';

/**
 * - `refused`: the image or its URL is at fault, and will be the next time: rejected in the ledger, acknowledged.
 * - `passing`: the host of its URL is at fault, perhaps not for long: delivered again, counted; at the delivery limit
 *   rejected in the ledger, as a dead URL is nothing that a replay would mend.
 * - `world`: a part of the system cannot serve at the moment: consuming pauses, what is held is tried again, nothing is counted.
 * - `function`: like `world`, but the image itself may be what breaks the function: see `FunctionGate`.
 * - `unexpected`: nobody knows: delivered again, counted; at the delivery limit `dead` in the ledger and dead-lettered.
 */
export type FailureKind = 'refused' | 'passing' | 'world' | 'function' | 'unexpected';

const KINDS: Partial<Record<ErrorCode, FailureKind>> = {
  EIS_BODY_TOO_LARGE: 'refused',
  EIS_IMAGE_MISSING: 'refused',
  EIS_IMAGE_INVALID: 'refused',
  EIS_IMAGE_TOO_LARGE: 'refused',
  EIS_IMAGE_FORMAT: 'refused',
  EIS_IMAGE_UNDECODABLE: 'refused',
  EIS_IMAGE_PIXELS: 'refused',
  EIS_IMAGE_ID_INVALID: 'refused',
  EIS_IMAGE_UNKNOWN: 'refused',
  EIS_URL_INVALID: 'refused',
  EIS_URL_FORBIDDEN: 'refused',
  EIS_URL_REJECTED: 'refused',

  // Decoding may have been slow because the machine was busy.
  EIS_IMAGE_DECODE_TIMEOUT: 'passing',
  EIS_URL_FAILED: 'passing',
  EIS_URL_TIMEOUT: 'passing',

  EIS_OVERLOADED: 'world',
  EIS_NOT_READY: 'world',
  EIS_QUEUE_UNAVAILABLE: 'world',
  EIS_STORE_UNAVAILABLE: 'world',
  EIS_BUCKET_UNAVAILABLE: 'world',
  // The function's model: for the operator to mend, and no fault of any image.
  EIS_MODEL_FILE: 'world',
  EIS_MODEL_DOWNLOAD: 'world',
  EIS_ENGINE_UNAVAILABLE: 'world',

  // Would be refused again, so it is not waited for; that it is the image's fault is not said either.
  EIS_STORE_REFUSED: 'unexpected',
  EIS_OBJECT_DAMAGED: 'unexpected',

  EIS_FUNCTION_UNAVAILABLE: 'function',
  EIS_FUNCTION_TIMEOUT: 'function',
};

/** Codes that are not in the table are unexpected. */
export function failureKind({ code }: EisError): FailureKind {
  return KINDS[code] ?? 'unexpected';
}
