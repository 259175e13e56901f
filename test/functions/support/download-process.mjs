// A process of its own that downloads a model, to be killed by tests. It says its progress, and how it ended.
import { downloadModel } from '../../../dist/functions/models/download.js';

const options = JSON.parse(process.argv[2]);
try {
  const path = await downloadModel({ ...options, onProgress: (progress) => process.send({ progress }) });
  process.send({ path }, () => process.exit());
} catch (error) {
  process.send({ error: error.message }, () => process.exit(1));
}
