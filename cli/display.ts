/** Values as a person reads them. */
import { contentOf } from '../common/cloud-storage.js';
import { UNPRINTABLE } from '../ingest/sources.js';

/** The name that a file was ingested under, or its URL; `fallback` for bytes that came without a name. */
export function displaySource(source: string, fallback = source): string {
  // A name comes from whoever sent the image, and a terminal may take it for a command.
  return describeSource(source, fallback).replace(UNPRINTABLE, '�');
}

function describeSource(source: string, fallback: string): string {
  const content = contentOf(source);
  if (content?.name !== undefined && content.name !== '') return decodeName(content.name);
  return content && source.startsWith('eis://') ? fallback : source;
}

function decodeName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** `4 s`, `12 min`, `3.5 h`, `2 days`. */
export function formatAge(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3_600) return `${+(seconds / 3_600).toFixed(1)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}
