import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { reportHealth } from './report-health.ts';

test('the watchdog gets no message while the relay does not answer', async () => {
  const { promise: askedOften, resolve } = Promise.withResolvers<void>();
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    if (asked === 3) resolve();
    if (asked === 1) response.end('{"ok":true,"checks":[]}');
    else request.destroy();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sent: string[][] = [];
  const relay = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    readiness: { settled: () => Promise.resolve() },
  };
  const report = reportHealth(relay, { WATCHDOG_USEC: '4000000' }, (...assignments) => {
    sent.push(assignments);
    return Promise.resolve();
  });
  await askedOften;
  await report.close();
  server.close();
  assert.deepEqual(sent, [['STATUS=proving the lock'], ['READY=1', 'WATCHDOG=1', 'STATUS=ready']]);
});
