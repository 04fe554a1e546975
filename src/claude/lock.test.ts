import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { unexpectedInInit } from './breach.ts';
import { lockedArgs, lockedEnv, standInHost } from './lock.ts';

describe('the environment', () => {
  const host = {
    HOME: '/home/owner',
    LC_ALL: 'C',
    CLAUDE_CODE_OAUTH_TOKEN: 'token',
    HTTPS_PROXY: 'http://proxy',
    CLAUDECODE: '1',
    CLAUDE_CODE_SSE_PORT: '1',
    CLAUDE_CODE_MANAGED_SETTINGS_PATH: '/x',
    NODE_OPTIONS: '--require /x',
    LD_PRELOAD: '/x',
    XDG_RUNTIME_DIR: '/run/user/1',
    CLAUDE_CODE_DISABLE_ATTACHMENTS: '0',
    CLAUDE_CODE_RESTRICTED: '0',
    TMPDIR: '/x',
    ANTHROPIC_BASE_URL: undefined,
  };

  test('lockedEnv passes the listed variables and sets the fixed ones', () => {
    const env = lockedEnv(host, '/own');
    assert.equal(env['HOME'], '/home/owner');
    assert.equal(env['LC_ALL'], 'C');
    assert.equal(env['CLAUDE_CODE_OAUTH_TOKEN'], 'token');
    assert.equal(env['TMPDIR'], '/own');
    assert.equal(env['CLAUDE_CODE_DISABLE_ATTACHMENTS'], '1');
    assert.equal(env['CLAUDE_CODE_RESTRICTED'], '1');
    for (const name of [
      'CLAUDECODE',
      'CLAUDE_CODE_SSE_PORT',
      'CLAUDE_CODE_MANAGED_SETTINGS_PATH',
      'NODE_OPTIONS',
      'LD_PRELOAD',
      'XDG_RUNTIME_DIR',
      'ANTHROPIC_BASE_URL',
    ])
      assert.ok(!(name in env), name);
  });

  test('the way through the valve replaces the proxies of the host, in both spellings', () => {
    const proxied = {
      ...host,
      https_proxy: 'http://proxy',
      HTTP_PROXY: 'http://proxy',
      http_proxy: 'http://proxy',
      NO_PROXY: '*',
      no_proxy: '*',
    };
    const proxies = (env: Record<string, string>): string[][] =>
      Object.entries(env).filter(([name]) => /proxy/i.test(name));
    const wayOut = { HTTPS_PROXY: 'http://relay:secret@127.0.0.1:1' };
    assert.deepEqual(proxies(lockedEnv(proxied, '/own', wayOut)), Object.entries(wayOut));
    assert.deepEqual(proxies(lockedEnv(proxied, '/own', {})), [], 'a way out without a variable');
    assert.equal(
      proxies(lockedEnv(proxied, '/own')).length,
      6,
      'a model elsewhere needs the proxy of the host',
    );
    const fixed = lockedEnv(host, '/own', { TMPDIR: '/y', CLAUDE_CODE_RESTRICTED: '0' });
    assert.deepEqual([fixed['TMPDIR'], fixed['CLAUDE_CODE_RESTRICTED']], ['/own', '1']);
  });

  test('standInHost has a dummy login and no other way to an upstream', () => {
    const env = standInHost(host, 'http://127.0.0.1:1');
    assert.equal(env['ANTHROPIC_API_KEY'], 'sk-ant-stub');
    assert.equal(env['ANTHROPIC_BASE_URL'], 'http://127.0.0.1:1');
    assert.equal(env['HOME'], '/home/owner');
    assert.ok(!('CLAUDE_CODE_OAUTH_TOKEN' in env));
    assert.ok(!('HTTPS_PROXY' in env));
    const token = standInHost(host, 'http://127.0.0.1:1', 'setup-token');
    assert.equal(token['CLAUDE_CODE_OAUTH_TOKEN'], 'sk-ant-oat01-stub');
    const stored = standInHost(host, 'http://127.0.0.1:1', 'stored-login');
    assert.ok(!('CLAUDE_CODE_OAUTH_TOKEN' in stored));
    for (const other of [token, stored]) assert.ok(!('ANTHROPIC_API_KEY' in other));
  });
});

test('lockedArgs depend on the model alone', () => {
  const [first, second] = [lockedArgs('opus'), lockedArgs('haiku')];
  assert.deepEqual(
    first.filter((arg, index) => arg !== second[index]),
    ['opus'],
  );
});

describe('unexpectedInInit', () => {
  const clean = {
    tools: [],
    mcp_servers: [],
    skills: [],
    slash_commands: [],
    plugins: [{ name: 'cc-plugin-agents-md', path: 'builtin' }],
    output_style: 'default',
  };
  const cases: { what: string; init: Record<string, unknown>; expected: string[] }[] = [
    { what: 'only known entries', init: clean, expected: [] },
    { what: 'the required lists alone', init: { tools: [], mcp_servers: [] }, expected: [] },
    { what: 'no list', init: {}, expected: ['tools: not a list', 'mcp_servers: not a list'] },
    { what: 'a tool', init: { ...clean, tools: ['Bash'] }, expected: ['tools: Bash'] },
    {
      what: 'a server',
      init: { ...clean, mcp_servers: [{ name: 'x' }] },
      expected: ['mcp_servers: {"name":"x"}'],
    },
    { what: 'a skill', init: { ...clean, skills: ['x'] }, expected: ['skills: x'] },
    { what: 'a command', init: { ...clean, slash_commands: ['x'] }, expected: ['slash_commands: x'] },
    {
      what: 'a plugin',
      init: { ...clean, plugins: [{ name: 'x', path: '/x' }] },
      expected: ['plugins: {"name":"x","path":"/x"}'],
    },
    { what: 'tools moved', init: { ...clean, tools: { Bash: true } }, expected: ['tools: not a list'] },
    {
      what: 'a style',
      init: { ...clean, output_style: 'Explanatory' },
      expected: ['output_style: Explanatory'],
    },
    {
      what: 'a permissive mode',
      init: { ...clean, permissionMode: 'bypassPermissions' },
      expected: ['permissionMode: bypassPermissions'],
    },
    {
      what: 'a socket',
      init: { ...clean, messaging_socket_path: '/tmp/1.sock' },
      expected: ['messaging_socket_path: /tmp/1.sock'],
    },
  ];
  for (const { what, init, expected } of cases) {
    test(`unexpectedInInit finds ${expected.join() || 'nothing'} in an init event with ${what}`, () => {
      assert.deepEqual(unexpectedInInit(init), expected);
    });
  }
});
