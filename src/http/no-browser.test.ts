import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RelayError } from '../errors.ts';
import { requireProgram } from './no-browser.ts';

const loopback = { host: '127.0.0.1', port: 11434 };
const wan = { host: '192.168.1.5', port: 11434 };
const six = { host: 'fd00::5', port: 11434 };

function refusal(headers: Record<string, string>, address: typeof loopback): string | undefined {
  try {
    requireProgram(new Headers(headers), address);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof RelayError && error.code === 'forbidden', String(error));
    return error.message;
  }
}

test('a port on loopback answers to the names of loopback, and to no other', () => {
  for (const host of ['localhost', 'LocalHost:1', '127.0.0.1:11434', '127.1.2.3', '[::1]:11434']) {
    assert.equal(refusal({ host }, loopback), undefined, host);
  }
  for (const host of [
    '',
    'evil.example',
    'localhost.',
    'localhost.evil.example',
    '127.0.0.1.nip.io',
    '2130706433',
    '192.168.1.5',
    '[::]',
    'localhost:1:2',
    '0.0.0.0',
  ]) {
    assert.match(refusal({ host }, loopback) ?? '', /answers to localhost, 127\.0\.0\.1 and ::1 only/, host);
  }
  assert.match(refusal({}, loopback) ?? '', /only/, 'no Host header');
});

test('a port on an explicit address answers to that address alone', () => {
  assert.equal(refusal({ host: '192.168.1.5:11434' }, wan), undefined);
  assert.equal(refusal({ host: '[FD00:0::5]:11434' }, six), undefined);
  for (const host of ['localhost', '127.0.0.1', '192.168.1.50', 'relay.lan', '[fd00::6]']) {
    assert.match(refusal({ host }, wan) ?? '', /answers to 192\.168\.1\.5 only/, host);
    assert.match(refusal({ host }, six) ?? '', /answers to fd00::5 only/, host);
  }
});

test('no page in a browser and no forwarded request is answered', () => {
  const host = 'localhost';
  for (const headers of [
    { origin: 'null' },
    { origin: 'http://localhost:11434' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site' },
  ]) {
    assert.match(refusal({ host, ...headers }, loopback) ?? '', /no page in a browser/);
  }
  // What fetch of Node.js sends.
  assert.equal(refusal({ host, 'sec-fetch-mode': 'cors' }, loopback), undefined);
  for (const header of ['x-forwarded-for', 'forwarded', 'via', 'tailscale-user-login']) {
    assert.match(refusal({ host, [header]: 'x' }, loopback) ?? '', /a proxy or a tunnel/, header);
  }
});
