/** A web server on this machine that has some files, and remembers what it was asked for. */
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FileServer {
  readonly url: string;
  /** Paths, in the order they were asked for. */
  readonly asked: string[];
  readonly close: () => void;
}

/** @param files what is answered, by path; everything else is a 404 */
export async function startFileServer(files: Readonly<Record<string, Buffer | string | RequestListener>>): Promise<FileServer> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const path = (request.url as string).split('?')[0] as string;
    asked.push(path);
    const file = files[path];
    if (typeof file === 'function') file(request, response);
    else response.writeHead(file === undefined ? 404 : 200).end(file);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, close };
}
