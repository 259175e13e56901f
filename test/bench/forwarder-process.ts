/** The floor that a gateway is measured against: node:http alone, which hands a request on and its answer back. */
import { Agent, createServer, request as call } from 'node:http';

const target = new URL(process.env['EIS_FORWARD_TO'] as string);
const agent = new Agent({ keepAlive: true, maxSockets: 256 });

createServer((request, response) => {
  const { 'content-type': type, 'content-length': length, accept } = request.headers;
  const headers = { ...(type === undefined ? {} : { 'content-type': type }), ...(length === undefined ? {} : { 'content-length': length }), ...(accept === undefined ? {} : { accept }) };
  const forwarded = call({ host: target.hostname, port: target.port, method: request.method, path: '/', headers, agent }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  forwarded.once('error', () => response.destroy());
  request.pipe(forwarded);
}).listen(Number(process.env['PORT']), '127.0.0.1');
