import assert from 'node:assert/strict';
import { test } from 'node:test';
import { turnStarts } from '../conversation.ts';
import { anthropic } from '../dialects/anthropic/anthropic.ts';
import { native } from '../dialects/native.ts';
import { openai } from '../dialects/openai/openai.ts';
import { RelayError, errorTable, type ErrorCode } from '../errors.ts';
import { openExchange, respond, respondError } from './exchange.ts';

test('Server-Timing names how the turn came by its process, and omits it while that is not known', () => {
  const phases = (changes: object): string[] => {
    const exchange = Object.assign(openExchange({ route: { path: '/' }, errorFormat: native }), changes);
    const header = respond(exchange, 200, {}).headers.get('server-timing') ?? '';
    return header.split(', ').map((phase) => phase.replace(/;dur=\d+\.\d$/, ''));
  };
  for (const start of turnStarts) assert.deepEqual(phases({ start }), ['queue', start, 'upstream', 'relay']);
  assert.deepEqual(phases({}), ['queue', 'upstream', 'relay']);
});

test('401, 403 and 404 ask a client of any API not to retry, and other statuses do not', () => {
  for (const errorFormat of [native, anthropic, openai]) {
    for (const code of Object.keys(errorTable) as ErrorCode[]) {
      const exchange = openExchange({ route: { path: '/' }, errorFormat });
      const { status, headers } = respondError(exchange, new RelayError(code, 'No.'));
      const expected = [401, 403, 404].includes(status) ? 'false' : null;
      assert.equal(headers.get('x-should-retry'), expected, `${code} ${status}`);
    }
  }
});
