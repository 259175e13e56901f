/** A key and a certificate that signs itself, for 127.0.0.1, localhost and storage.googleapis.com: for servers of tests, and of no other use. */
import { readFileSync } from 'node:fs';
import { packagePath } from '../../../common/package-root.js';

export const CERTIFICATE_FILE = packagePath('test/fixtures/tls/cert.pem');
export const SELF_SIGNED = { key: readFileSync(packagePath('test/fixtures/tls/key.pem')), cert: readFileSync(CERTIFICATE_FILE) };
