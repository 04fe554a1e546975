import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isFromHost } from './from-host.ts';

const cases: [expected: boolean, peer: string | undefined, headers: Record<string, string>][] = [
  [true, '127.0.0.1', { host: '127.0.0.1:8799', 'user-agent': 'curl/8', accept: '*/*' }],
  [true, '127.0.0.1', { host: 'localhost' }],
  [true, '127.0.0.2', { host: 'LocalHost:8799' }],
  [true, '::1', { host: '[::1]:8799' }],
  [true, '::ffff:127.0.0.1', { host: 'localhost:1' }],
  [false, undefined, { host: 'localhost' }],
  [false, '192.0.2.1', { host: 'localhost' }],
  [false, '::ffff:192.0.2.1', { host: 'localhost' }],
  [false, '127.0.0.1', {}],
  [false, '127.0.0.1', { host: 'relay.example.com' }],
  [false, '127.0.0.1', { host: 'localhost.example.com:8799' }],
  [false, '127.0.0.1', { host: '127.0.0.1.example.com' }],
  [false, '127.0.0.1', { host: '192.0.2.1' }],
  [false, '127.0.0.1', { host: 'localhost:8799:1' }],
  ...[
    'X-Forwarded-For',
    'X-Forwarded-Host',
    'X-Forwarded-Proto',
    'Forwarded',
    'Via',
    'X-Real-IP',
    'CF-Connecting-IP',
    'CF-Ray',
    'Cdn-Loop',
    'Ngrok-Skip-Browser-Warning',
    'Tailscale-Funnel-Request',
    'True-Client-IP',
  ].map((name): [boolean, string, Record<string, string>] => [
    false,
    '127.0.0.1',
    { host: 'localhost', [name]: '127.0.0.1' },
  ]),
];

for (const [expected, peer, headers] of cases) {
  test(`${peer} with ${JSON.stringify(headers)} is ${expected ? '' : 'not '}a request of this machine`, () => {
    assert.equal(isFromHost(peer, new Headers(headers)), expected);
  });
}
