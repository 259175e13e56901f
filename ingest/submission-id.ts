import { randomBytes } from 'node:crypto';

/** A new submission id. Ids sort by the time they were made. */
export function newSubmissionId(): string {
  return `${Date.now().toString(36).padStart(9, '0')}-${randomBytes(8).toString('hex')}`;
}
