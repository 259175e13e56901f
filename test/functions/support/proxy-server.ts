/** A proxy as companies have them: forwards http:// requests, tunnels others, and knows by itself where names lead. */
import { once } from 'node:events';
import { createServer, request as ask } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

export interface ProxyServer {
  readonly url: string;
  /** `GET http://host/path` or `CONNECT host:port`, as it came. */
  readonly asked: string[];
  /** The `Proxy-Authorization` of each request. */
  readonly logins: (string | undefined)[];
  /** By `host:port`: the local port that it leads to. */
  readonly routes: Record<string, number>;
  /** Answered to everything instead. */
  refusal: number | undefined;
}

export async function startProxy(): Promise<ProxyServer> {
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    const url = new URL(request.url!);
    note(`${request.method} ${request.url}`, request.headers['proxy-authorization']);
    const port = proxy.routes[`${url.hostname}:${url.port || 80}`];
    if (proxy.refusal !== undefined || port === undefined) return void response.writeHead(proxy.refusal ?? 502).end();
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => name !== 'proxy-authorization'));
    const forwarded = ask({ port, host: '127.0.0.1', path: url.pathname + url.search, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    forwarded.on('error', () => response.destroy()).end();
  });
  server.on('connect', (request, client: Socket) => {
    note(`CONNECT ${request.url}`, request.headers['proxy-authorization']);
    sockets.add(client.on('error', () => undefined));
    const port = proxy.routes[request.url!];
    if (proxy.refusal !== undefined || port === undefined) return void client.end(`HTTP/1.1 ${proxy.refusal ?? 502} No\r\n\r\n`);
    const upstream = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.pipe(client).pipe(upstream);
    });
    sockets.add(upstream.on('error', () => client.destroy()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  const proxy: ProxyServer = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: [], logins: [], routes: {}, refusal: undefined };
  const note = (asked: string, login: string | undefined): void => {
    proxy.asked.push(asked);
    proxy.logins.push(login);
  };
  return proxy;
}
