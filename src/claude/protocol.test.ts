import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unexpectedInInit } from './breach.ts';
import { parseLine } from './protocol.ts';

test('a parsed init event keeps every list that the lock looks at', () => {
  const listings = {
    tools: ['Bash'],
    mcp_servers: [{ name: 'extra' }],
    skills: ['init'],
    slash_commands: ['cost'],
    plugins: [{ path: '/home/owner/plugin' }],
    output_style: 'verse',
    permissionMode: 'auto',
    messaging_socket_path: '/run/inbox',
  };
  const event = parseLine(JSON.stringify({ type: 'system', subtype: 'init', ...listings }));
  assert.ok(event?.kind === 'init');
  assert.deepEqual(
    unexpectedInInit(event.init).map((found) => found.split(':')[0]),
    Object.keys(listings),
  );
});

test('a plan refusal has its type, and an answer paid by usage credits is not a refusal', () => {
  const info = { status: 'rejected', resetsAt: 1_900_000_000, rateLimitType: 'seven_day_opus' };
  const read = (fields: object) =>
    parseLine(JSON.stringify({ type: 'rate_limit_event', rate_limit_info: { ...info, ...fields } }));
  const refused = { kind: 'plan_refusal', resetsAt: 1_900_000_000 };
  assert.deepEqual(read({}), { ...refused, type: 'seven_day_opus' });
  assert.deepEqual(read({ rateLimitType: 'of_tomorrow' }), { ...refused, type: 'of_tomorrow' });
  assert.deepEqual(read({ rateLimitType: undefined }), { ...refused, type: undefined });
  for (const fields of [{ isUsingOverage: true }, { status: 'allowed_warning' }]) {
    assert.deepEqual(read(fields), { kind: 'other' });
  }
});
