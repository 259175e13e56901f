import { once } from 'node:events';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createNetServer, type AddressInfo, type Socket } from 'node:net';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ProxySettings } from '../../../common/environment.js';
import { digests, outcomeOf, readModel, setUpDownloads, type Downloads } from '../support/model-downloads.js';
import { sendFile, tinyFiles, type ModelServer } from '../support/model-server.js';
import { startProxy, type ProxyServer } from '../support/proxy-server.js';
import { CERTIFICATE_FILE, SELF_SIGNED } from '../support/self-signed.js';

const FILES = tinyFiles();
const MAIN = FILES['/m/model.json']!;
const IN_PLACE = digests({ 'model.json': MAIN, 'more/shard2.bin': FILES['/m/more/shard2.bin']!, 'shard1.bin': FILES['/m/shard1.bin']! });
const NOBODY = 'http://127.0.0.1:1';
const NONE: ProxySettings = { httpsProxy: undefined, httpProxy: undefined, noProxy: undefined };

let downloads: Downloads;
let server: ModelServer;
let proxy: ProxyServer;
beforeEach(async () => {
  downloads = await setUpDownloads(FILES);
  ({ server } = downloads);
  proxy = await startProxy();
  proxy.routes['models.test:80'] = server.port;
});

/** The same files over https; gives the port. */
async function startTls(): Promise<number> {
  const tls = createTlsServer(SELF_SIGNED, (request, response) => sendFile(request, response, { bytes: FILES[request.url!.replace('/bucket/a%20model/', '/m/')]! })).listen(0, '127.0.0.1');
  onTestFinished(() => {
    tls.closeAllConnections();
    tls.close();
  });
  await once(tls, 'listening');
  return (tls.address() as AddressInfo).port;
}

function setEnvironment(name: string, value: string): void {
  const before = process.env[name];
  process.env[name] = value;
  onTestFinished(() => {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  });
}

describe('downloadModel() behind a proxy', () => {
  it('has http:// URLs forwarded, names that only the proxy knows among them', async () => {
    const path = await downloads.download({ url: 'http://models.test/m/model.json?token=1', proxy: { ...NONE, httpProxy: proxy.url } });
    expect(await readModel(path)).toEqual(IN_PLACE);
    expect(proxy.asked).toEqual(['model.json', 'shard1.bin', 'more/shard2.bin'].map((file) => `GET http://models.test/m/${file}?token=1`));
    expect(server.asked).toHaveLength(3);
  });

  it("reaches a gs:// model at Google's public address, through a tunnel", async () => {
    proxy.routes['storage.googleapis.com:443'] = await startTls();
    const child = downloads.startProcess({ url: 'gs://bucket/a model', proxy: { ...NONE, httpsProxy: proxy.url } }, { NODE_EXTRA_CA_CERTS: CERTIFICATE_FILE });
    const { path, error } = await outcomeOf(child);
    expect(error).toBeUndefined();
    expect(await readModel(path!)).toEqual(IN_PLACE);
    expect(new Set(proxy.asked)).toEqual(new Set(['CONNECT storage.googleapis.com:443']));
  });

  it('goes past it for the hosts of NO_PROXY', async () => {
    for (const [i, noProxy] of ['127.0.0.1', `other.test, 127.0.0.1:${server.port}`, '*'].entries()) {
      await downloads.download({ url: `${server.base}/m/model.json?${i}`, proxy: { ...NONE, httpProxy: NOBODY, noProxy } });
    }
    const failing = downloads.download({ url: `${server.base}/m/model.json?3`, proxy: { ...NONE, httpProxy: NOBODY, noProxy: 'other.test' } });
    await expect(failing).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD', message: expect.stringContaining('it, or the proxy, refuses connections') as string });
  });

  it('sends https past the proxy for http', async () => {
    const port = await startTls();
    await expect(downloads.download({ url: `https://127.0.0.1:${port}/m/model.json`, proxy: { ...NONE, httpProxy: proxy.url } })).rejects.toMatchObject({ message: expect.stringContaining('no secure connection') as string });
    expect(proxy.asked).toEqual([]);
  });

  it('knows the proxies that it is told, and none of the process environment', async () => {
    for (const name of ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy']) setEnvironment(name, NOBODY);
    expect(await readModel(await downloads.download())).toEqual(IN_PLACE);
    expect(await readModel(await downloads.download({ url: `${server.base}/m/model.json?1`, proxy: NONE }))).toEqual(IN_PLACE);
    for (const name of ['NO_PROXY', 'no_proxy']) setEnvironment(name, '*');
    await downloads.download({ url: 'http://models.test/m/model.json', proxy: { ...NONE, httpProxy: proxy.url } });
    expect(proxy.asked).toHaveLength(3);
  });

  it('logs in with the name and password of its URL, and tells nobody else', async () => {
    const origin: unknown[] = [];
    server.files['/m/model.json'] = (request, response) => {
      origin.push(request.headers['proxy-authorization'], request.headers.authorization);
      sendFile(request, response, { bytes: MAIN });
    };
    await downloads.download({ url: 'http://models.test/m/model.json', proxy: { ...NONE, httpProxy: proxy.url.replace('//', '//me:p%40ss@') } });
    expect(new Set(proxy.logins)).toEqual(new Set([`Basic ${Buffer.from('me:p@ss').toString('base64')}`]));
    expect(origin).toEqual([undefined, undefined]);
  });

  it('says that it is the proxy that refuses', async () => {
    const tunnelled = { url: 'https://models.test/m/model.json', proxy: { ...NONE, httpsProxy: proxy.url } };
    const forwarded = { url: 'http://models.test/m/model.json', proxy: { ...NONE, httpProxy: proxy.url } };
    proxy.refusal = 407;
    for (const options of [tunnelled, forwarded]) await expect(downloads.download(options)).rejects.toMatchObject({ code: 'EIS_MODEL_DOWNLOAD', message: expect.stringMatching(/the proxy answered 407\. Put a user name and a password/) as string });
    proxy.refusal = 403;
    await expect(downloads.download(tunnelled)).rejects.toMatchObject({ message: expect.stringMatching(/the proxy answered 403\. .*NO_PROXY/) as string });
    expect(proxy.asked).toHaveLength(3);
    proxy.refusal = 503;
    await expect(downloads.download(tunnelled)).rejects.toMatchObject({ message: expect.stringMatching(/the proxy answered 503, 3 times in a row/) as string });
  });

  it('gives a proxy up that takes connections and is silent', async () => {
    const sockets: Socket[] = [];
    const silent = createNetServer((socket) => void sockets.push(socket.resume())).listen(0, '127.0.0.1');
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    await once(silent, 'listening');
    const httpsProxy = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    await expect(downloads.download({ url: 'https://models.test/m/model.json', proxy: { ...NONE, httpsProxy }, stallMs: 50 })).rejects.toMatchObject({ message: expect.stringMatching(/sent nothing for 0\.05 s, 3 times in a row/) as string });
    await vi.waitFor(() => expect(sockets.map(({ closed }) => closed)).toEqual(sockets.map(() => true)));
  });

  it('judges redirects: addresses at once, names where they are dialled, which is the proxy unless it is passed', async () => {
    proxy.routes['elsewhere.test:80'] = server.port;
    const redirect = (location: string): void => void (server.files['/r/model.json'] = (_request, response) => response.writeHead(302, { location }).end());
    const settings = { ...NONE, httpProxy: proxy.url, noProxy: 'localhost' };
    proxy.routes['10.0.0.1:80'] = server.port;
    for (const location of ['http://10.0.0.1/m/model.json', `http://localhost:${server.port}/m/model.json`]) {
      redirect(location);
      await expect(downloads.download({ url: 'http://models.test/r/', proxy: settings }), location).rejects.toMatchObject({ message: expect.stringContaining('not public') as string });
    }
    expect(proxy.asked.filter((asked) => !asked.includes('models.test'))).toEqual([]);
    expect(server.paths()).toEqual(['/r/model.json', '/r/model.json']);
    redirect('http://elsewhere.test/m/model.json');
    server.files['/r/shard1.bin'] = FILES['/m/shard1.bin']!;
    server.files['/r/more/shard2.bin'] = FILES['/m/more/shard2.bin']!;
    expect(await readModel(await downloads.download({ url: 'http://models.test/r/', proxy: settings }))).toEqual(IN_PLACE);
    expect(proxy.asked).toContain('GET http://elsewhere.test/m/model.json');
  });
});
