import assert from 'node:assert/strict';
import { test } from 'node:test';

import { pageRequest } from './request.ts';

test('a request with only a URL gets the defaults', () => {
  assert.deepEqual(pageRequest.parse({ url: 'http://example.com/' }), {
    url: 'http://example.com/',
    max_bytes: 500_000,
    strip: true,
    format: 'html',
    timeout_ms: 15_000,
  });
});

test('a request with a wrong, unknown or unsafe field is refused', () => {
  const url = 'http://example.com/';
  for (const request of [
    {},
    { url: 1 },
    { url, max_bytes: 0 },
    { url, max_bytes: 2_000_001 },
    { url, max_bytes: 1.5 },
    { url, timeout_ms: 30_001 },
    { url, strip: 'yes' },
    { url, format: 'pdf' },
    { url, headers: {} },
    { url, user_agent: 'a\r\nHost: b' },
    { url, user_agent: 'a\n' },
    { url, user_agent: '' },
    { url, user_agent: 'x'.repeat(301) },
    { url, user_agent: 'é' },
    { url, accept_language: 'de\r\nX: y' },
    { url, accept_language: ' de' },
  ]) {
    assert.equal(pageRequest.safeParse(request).success, false, JSON.stringify(request));
  }
  assert.ok(
    pageRequest.safeParse({ url, user_agent: 'Mozilla/5.0 (X11)', accept_language: 'de, en;q=0.5' }).success,
  );
});
