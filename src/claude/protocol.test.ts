import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unexpectedInInit } from './lock.ts';
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
  assert.equal(event.kind, 'init');
  assert.deepEqual(
    unexpectedInInit(event.init).map((found) => found.split(':')[0]),
    Object.keys(listings),
  );
});
