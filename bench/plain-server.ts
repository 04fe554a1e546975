/** What the runtime's HTTP costs by itself: the smallest server that reads a body and sends one of the same size as the relay's. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const body = JSON.stringify({ ok: true, model: 'haiku', duration_ms: 0, text: 'The answer comes at once.' });

const server = createServer((request, response) => {
  request.on('data', () => {});
  request.on('end', () => {
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    });
    response.end(body);
  });
});
server.listen(0, '127.0.0.1', () => {
  process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, ready: true });
});
process.once('disconnect', () => {
  server.close();
  server.closeAllConnections();
});
