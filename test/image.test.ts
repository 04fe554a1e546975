/** The files of the image. `npm run e2e:image` builds and runs it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { loadConfig } from '../src/config.ts';
import { root } from './support/relay.ts';

const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const { version, devDependencies } = JSON.parse(read('package.json')) as {
  version: string;
  devDependencies: Record<string, string>;
};
const dockerfile = read('packaging/image/Dockerfile');
const { services } = parse(read('packaging/image/compose.yaml')) as {
  services: { relay: Record<string, unknown> };
};
const { relay } = services;

test('the compose file names the image of this version with the tested CLI', () => {
  const cli = devDependencies['@anthropic-ai/claude-code'];
  assert.equal(relay['image'], `ghcr.io/claude-relay/claude-relay:${version}-claude-${cli}`);
  const named = read('docs/install.md').match(/\d[\d.]*-claude-\d[\d.]*\d/g) ?? [];
  assert.deepEqual([...new Set(named)], [`${version}-claude-${cli}`], 'docs/install.md');
});

test('the compose file publishes the port on loopback only, and confines the container', () => {
  const { ports, read_only, cap_drop, security_opt, privileged, network_mode } = relay;
  assert.deepEqual(
    { ports, read_only, cap_drop, security_opt, privileged, network_mode },
    {
      ports: ['127.0.0.1:8799:8799'],
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      privileged: undefined,
      network_mode: undefined,
    },
  );
});

test('the compose file has no secret in the environment', () => {
  assert.deepEqual(relay['environment'], { CLAUDE_CODE_OAUTH_TOKEN_FILE: '/run/secrets/claude-login' });
});

test('the grace of a stop is longer than a drain', () => {
  const seconds = Number(/^(\d+)s$/.exec(String(relay['stop_grace_period']))?.[1]);
  assert.ok(seconds * 1000 > loadConfig({ env: {} }).drainTimeoutMs + 10_000);
});

test('the image runs as a user with a number, behind an init, on Debian 13', () => {
  assert.match(dockerfile, /^ARG BASE=docker\.io\/library\/debian:13-slim$/m);
  assert.match(dockerfile, /^USER 1000:1000$/m);
  assert.match(dockerfile, /^ENTRYPOINT \["tini", "--", "claude-relay"\]$/m);
  assert.deepEqual(/^VOLUME (.*)$/m.exec(dockerfile)?.[1], '/home/relay');
});

test('the image listens on its network by the documented setting, on the port that it checks and publishes', () => {
  const [, settings = ''] = /^ENV (.*)$/m.exec(dockerfile) ?? [];
  const env = Object.fromEntries(settings.split(' ').map((pair) => pair.split('='))) as Record<
    string,
    string
  >;
  const { host, port, claudeBin } = loadConfig({ env });
  assert.deepEqual([host, port, claudeBin], ['0.0.0.0', 8799, '/usr/local/bin/claude']);
  assert.match(dockerfile, new RegExp(`^EXPOSE ${port}$`, 'm'));
  assert.ok(dockerfile.includes(`http://127.0.0.1:${port}/ready`));
});
