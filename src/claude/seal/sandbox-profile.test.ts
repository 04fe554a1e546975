/** Parses the profile and reads its rules as the kernel of macOS does: the last rule that matches wins. Not run on a Mac. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sandboxProfile } from './sandbox-profile.ts';

type Expression = string | Expression[];

function parse(text: string): Expression[] {
  const tokens = text.match(/[()]|"(?:[^"\\]|\\.)*"|[^\s()"]+/g) ?? [];
  const stack: Expression[][] = [[]];
  for (const token of tokens) {
    if (token === '(') stack.push([]);
    else if (token === ')') {
      const done = stack.pop() ?? assert.fail();
      (stack.at(-1) ?? assert.fail('one parenthesis too many')).push(done);
    } else stack.at(-1)?.push(token.startsWith('"') ? (JSON.parse(token) as string) : token);
  }
  assert.equal(stack.length, 1, 'a parenthesis is open');
  return stack[0] ?? [];
}

const rules = parse(
  sandboxProfile({
    places: {
      read: ['/usr', '/home/me/.claude/settings.json'],
      write: ['/home/me/.claude', '/a "b" \\c'],
      hidden: ['/home/me/.claude/projects'],
    },
    own: '/tmp/relay-1-x',
    port: 4711,
  }),
) as Expression[][];

function verdict(operation: string, path: string): Expression | undefined {
  return rules.findLast((rule) => {
    const names = new Set(rule.slice(1).filter((part) => typeof part === 'string'));
    const paths = rule.filter((part) => Array.isArray(part)).map(([, each]) => String(each));
    return (
      names.has('default') ||
      (names.has(operation) && paths.some((each) => `${path}/`.startsWith(`${each}/`)))
    );
  })?.[0];
}

const cases: [path: string, read: string, write: string][] = [
  ['/usr/lib/x', 'allow', 'deny'],
  ['/home/me/.ssh/id', 'deny', 'deny'],
  ['/home/me/.claude/.credentials.json', 'allow', 'allow'],
  ['/home/me/.claude/settings.json', 'allow', 'deny'],
  ['/home/me/.claude/projects/x', 'deny', 'deny'],
  ['/home/me/.claude-else', 'deny', 'deny'],
  ['/a "b" \\c/d', 'allow', 'allow'],
  ['/tmp/relay-1-x/work', 'allow', 'allow'],
  ['/tmp/relay-1-y', 'deny', 'deny'],
];
for (const [path, read, write] of cases) {
  test(`the profile for macOS, never run there, has ${read} and ${write} for ${path}`, () => {
    assert.deepEqual([verdict('file-read*', path), verdict('file-write*', path)], [read, write]);
  });
}

test('the only network rule of the profile for macOS is the port of the valve', () => {
  const network = rules.filter((rule) => rule.some((part) => String(part).startsWith('network')));
  assert.deepEqual(network, [['allow', 'network-outbound', ['remote', 'ip', 'localhost:4711']]]);
});
