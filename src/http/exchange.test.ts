import assert from 'node:assert/strict';
import { test } from 'node:test';
import { turnStarts } from '../conversation.ts';
import { native } from '../dialects/native.ts';
import { openExchange, respond } from './exchange.ts';

test('Server-Timing names how the turn came by its process, and omits it while that is not known', () => {
  const phases = (changes: object): string[] => {
    const exchange = Object.assign(openExchange({ route: { path: '/' }, errorFormat: native }), changes);
    const header = respond(exchange, 200, {}).headers.get('server-timing') ?? '';
    return header.split(', ').map((phase) => phase.replace(/;dur=\d+\.\d$/, ''));
  };
  for (const start of turnStarts) assert.deepEqual(phases({ start }), ['queue', start, 'upstream', 'relay']);
  assert.deepEqual(phases({}), ['queue', 'upstream', 'relay']);
});
