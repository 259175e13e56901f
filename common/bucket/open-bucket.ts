/** Chooses the bucket by the environment: a folder (BUCKET, or under EIS_DATA_DIR), or Cloud Storage for gs://. */
import { join, resolve } from 'node:path';
import type { Environment } from '../environment.js';
import { EisError } from '../errors.js';
import type { Bucket } from './bucket.js';
import { FolderBucket } from './folder-bucket.js';

export async function openBucket(environment: Environment): Promise<Bucket> {
  const { bucket, dataDir, limits } = environment;
  if (bucket?.startsWith('gs://')) {
    throw new EisError('EIS_ENVIRONMENT_INVALID', { variable: 'BUCKET', detail: 'this release keeps images in a folder only. Name one, or leave it unset; images then lie under EIS_DATA_DIR.' });
  }
  const opened = new FolderBucket({ folder: bucket === undefined ? join(dataDir, 'bucket') : resolve(bucket), imageBytesMax: limits.imageBytesMax });
  await opened.sweep();
  return opened;
}
