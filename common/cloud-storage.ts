/** Addresses of Google Cloud Storage. */

/** Where an object of a public bucket can be fetched over HTTPS. */
export function publicObjectUrl(bucket: string, object: string): string {
  return `https://storage.googleapis.com/${bucket}/${object.split('/').map(encodeURIComponent).join('/')}`;
}
