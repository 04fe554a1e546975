/** The stand-in model as a service of the guest, at a port that survives a reboot. An answer to "slow" takes eight seconds. */
import { connect, createServer } from 'node:net';
import { startFailingModel } from '../../support/failing-model.ts';

const fast = await startFailingModel({ reply: () => ({ kind: 'text', text: 'hello' }) });
const slow = await startFailingModel({ reply: () => ({ kind: 'text', text: 'hello' }), delayMs: 8000 });
for (const [port, { url }] of [
  [9911, fast],
  [9912, slow],
] as const) {
  createServer((socket) => {
    const upstream = connect(Number(new URL(url).port), '127.0.0.1');
    for (const end of [socket, upstream]) end.on('error', () => end.destroy());
    socket.pipe(upstream).pipe(socket);
  }).listen(port, '127.0.0.1');
}
