import { readdir } from 'node:fs/promises';
import { FolderBucket } from '../../../common/bucket/folder-bucket.js';
import { tempFolder } from '../../support/temp-folder.js';
import { BUCKET_IMAGE_BYTES_MAX, describeBucketContract } from './bucket-contract.js';

describeBucketContract('FolderBucket', () => {
  const folder = tempFolder();
  return {
    bucket: new FolderBucket({ folder, imageBytesMax: BUCKET_IMAGE_BYTES_MAX }),
    countFiles: async () => (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).length,
  };
});
