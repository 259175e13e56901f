/** Chooses the bucket by the environment: a folder (BUCKET, or under EIS_DATA_DIR), or Cloud Storage for gs://. */
import { join, resolve } from 'node:path';
import { parseBucketUri } from '../cloud-storage.js';
import type { Environment } from '../environment.js';
import type { Bucket } from './bucket.js';
import { FolderBucket } from './folder-bucket.js';

/**
 * The client of Cloud Storage is loaded only where it is used: that takes as long as all the rest of a role's start.
 *
 * @throws EisError EIS_ENVIRONMENT_INVALID
 */
export async function openBucket({ bucket, dataDir, limits: { imageBytesMax } }: Pick<Environment, 'bucket' | 'dataDir' | 'limits'>): Promise<Bucket> {
  const uri = parseBucketUri(bucket);
  if (uri) {
    const { GcsBucket } = await import('./gcs-bucket.js');
    return new GcsBucket({ ...uri, imageBytesMax });
  }
  const opened = new FolderBucket({ folder: bucket === undefined ? join(dataDir, 'bucket') : resolve(bucket), imageBytesMax });
  await opened.sweep();
  return opened;
}
