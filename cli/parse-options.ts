/** Options of the command line that several commands take. */
import { InvalidArgumentError } from 'commander';
import { SUBMISSION_ID } from '../common/wire.js';

export function parseUrl(text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) throw new InvalidArgumentError('It must be an http:// or https:// URL.');
  return text.replace(/\/+$/, '');
}

export function parseSubmission(text: string): string {
  if (!SUBMISSION_ID.test(text)) throw new InvalidArgumentError('It must be 1 to 64 letters, digits, _ or -.');
  return text;
}

export function parseSeconds(text: string): number {
  if (!/^\d{1,6}$/.test(text) || Number(text) < 1) throw new InvalidArgumentError('It must be a whole number of seconds, 1 or more.');
  return Number(text);
}

export function parseWhole(text: string, min: number, max: number): number {
  if (!/^\d{1,10}$/.test(text) || Number(text) < min || Number(text) > max) throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  return Number(text);
}
