import assert from 'node:assert/strict';
import { test } from 'node:test';

import { RelayError } from '../../errors.ts';
import { createAddressJudge } from './address.ts';
import { parseTarget } from './url.ts';

const rules = { ports: [80, 443, 8080, 8443], selfNames: ['relay.site.com'], denied: createAddressJudge() };
const code = (text: string, base?: string): string => {
  try {
    return parseTarget(text, rules, base).url;
  } catch (error) {
    return error instanceof RelayError ? error.code : String(error);
  }
};

test('parseTarget returns the WHATWG parser’s reading of a URL', () => {
  assert.deepEqual(parseTarget('HTTPS://WWW.Example.COM.:443/a/../b?c=%64#e', rules), {
    url: 'https://www.example.com/b?c=%64',
    origin: 'https://www.example.com',
    path: '/b?c=%64',
    secure: true,
    host: 'www.example.com',
    literal: false,
    port: 443,
  });
  const { host, literal, origin, port } = parseTarget('http://[2606:4700::0:1111]:8080/', rules);
  assert.deepEqual(
    [host, literal, origin, port],
    ['2606:4700::1111', true, 'http://[2606:4700::1111]:8080', 8080],
  );
});

test('a relative URL is valid only with a base', () => {
  assert.equal(code('../x', 'http://example.com/a/b/c'), 'http://example.com/a/x');
  assert.equal(code('//127.0.0.1/', 'http://example.com/'), 'blocked_address');
  assert.equal(code('../x'), 'invalid_url');
});

test('the relay’s own names and tailnet names are blocked', () => {
  assert.equal(code('http://relay.site.com/'), 'blocked_hostname');
  assert.equal(code('http://RELAY.site.com.:8080/'), 'blocked_hostname');
  assert.equal(code('https://box.tail0000.ts.net/'), 'blocked_hostname');
  assert.equal(code('https://box.ts.net.site.com/'), 'https://box.ts.net.site.com/');
  assert.equal(code('http://relay.site.com.evil.org/'), 'http://relay.site.com.evil.org/');
});

test('a blocked host is reported before a blocked port', () => {
  assert.equal(code('http://127.0.0.1:22/'), 'blocked_address');
  assert.equal(code('http://localhost:22/'), 'blocked_hostname');
  assert.equal(code('http://user@localhost:22/'), 'blocked_userinfo');
  assert.equal(code('ftp://user@localhost:22/'), 'blocked_scheme');
});

test('no error message repeats a part of the URL', () => {
  for (const url of [
    'http://10.11.12.13/',
    'http://secret-name/',
    'http://u:p@example.com/',
    'gopher://x/',
    'http://example.com:2222/',
    'http://[::1',
  ]) {
    assert.throws(
      () => parseTarget(url, rules),
      (error) => error instanceof RelayError && !/10\.11|secret|u:p|gopher|2222|::1/.test(error.message),
    );
  }
});

test('a URL of more than 8192 characters is invalid', () => {
  assert.equal(code(`http://example.com/${'a'.repeat(8192)}`), 'invalid_url');
  assert.notEqual(code(`http://example.com/${'a'.repeat(8000)}`), 'invalid_url');
});
