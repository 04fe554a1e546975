/** There is one way out of the program, src/pages/guard/transport.ts, and one that asks name servers, src/pages/guard/resolve.ts. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '../../src');
const sources = globSync('**/*.ts', { cwd: root }).filter((file) => !file.endsWith('.test.ts'));

/** What reaches a network, and the files that may. */
const ways: readonly (readonly [way: RegExp, allowed: readonly string[]])[] = [
  [/(?<![\w.#])fetch\s*\(|globalThis\.fetch|(?<![\w.])new (WebSocket|EventSource)\b/, []],
  // A server is no way out; a client, or the whole module by a name, is one.
  [/import ([\w*]|[^;]*\b(request|get|connect|\w*Agent)\b)[^;]*from '(node:)?https?2?'/, []],
  // What only looks at an address, lists some or listens is no way out.
  [
    /import (?!\{ *((isIP|isIPv4|isIPv6|BlockList|createServer),? *)+\} from)[^;]*from '(node:)?(net|tls)'/,
    ['pages/guard/transport.ts'],
  ],
  [
    /(?<![\w.])connect(Tcp|Tls)?\s*\(|createConnection|new (Socket|TLSSocket)\b/,
    ['pages/guard/transport.ts'],
  ],
  [/from '(node:)?dgram'/, []],
  [/from '(node:)?dns(\/promises)?'/, ['pages/guard/resolve.ts']],
  [/(from |import\()'undici'/, ['pages/guard/transport.ts']],
  // No rule above sees these: nothing else that reaches a network is loaded while the program runs.
  [
    /(import|require)\s*\(\s*['"`](node:)?(https?|http2|net|tls|dgram|dns)\b|createRequire|process\.binding/,
    [],
  ],
  [/setGlobalDispatcher|ProxyAgent|EnvHttpProxyAgent/, []],
];

/** The relay's servers and clients that are not on the way to a page, each with the reason why it is no way out. */
const others: Readonly<Record<string, string>> = {
  'claude/valve/proxy.ts': 'forwards the requests of the CLI to the API of the owner, and to nothing else',
  'claude/valve/dial.ts': 'connects the CLI to the API of the owner, and to nothing else',
  'claude/seal/checks.ts': 'listens where the probe must not come',
  'claude/seal/probe.ts':
    'runs in the seal, in a process alone, and tries to reach what the proof has put outside',
  'service/call.ts':
    'calls the relay of this machine, for ask, doctor and the demo; and on the command line only, `expose` asks the public URL that its owner has given it, and `update` the changelog',
};

test('only the transport of page fetches opens connections to other hosts', () => {
  assert.ok(sources.includes('pages/guard/transport.ts'));
  for (const file of sources.filter((file) => !(file in others))) {
    const text = readFileSync(join(root, file), 'utf8').replace(
      /\/\*[^]*?\*\/|\/\/.*|^import type [^;]*;/gm,
      '',
    );
    for (const [way, allowed] of ways) {
      if (allowed.includes(file)) continue;
      assert.doesNotMatch(
        text,
        way,
        `${file} reaches a network: pages go through src/pages/guard/transport.ts`,
      );
    }
  }
});

test('each file that may reach a network does so', () => {
  for (const [way, allowed] of ways) {
    for (const file of allowed) {
      assert.match(readFileSync(join(root, file), 'utf8'), way, file);
    }
  }
});

test('the modules that judge import only isIP and BlockList from node:net', () => {
  for (const file of ['pages/guard/address.ts', 'pages/guard/url.ts']) {
    const text = readFileSync(join(root, file), 'utf8');
    assert.match(text, /import \{ (BlockList, )?isIP \} from 'node:net'/);
  }
});

test('the rules recognise each way to reach a network', () => {
  const seen = (text: string): boolean => ways.some(([way, allowed]) => allowed.length < 3 && way.test(text));
  for (const text of [
    "await fetch('http://x')",
    'globalThis.fetch(x)',
    "import { request } from 'node:http';",
    "import https from 'node:https';",
    "import * as http from 'http';",
    "import { Client } from 'undici';",
    "const { Client } = await import('undici');",
    'const socket = connect(80, host);',
    "import { lookup } from 'node:dns';",
    'new WebSocket(url)',
    "const { connect } = await import('node:net');",
    "require('https').get(url)",
  ]) {
    assert.ok(seen(text), text);
  }
  for (const text of [
    "import { createServer } from 'node:http';",
    'fetchPage(x)',
    'this.fetch(x)',
    'routes.fetch(x)',
  ]) {
    assert.ok(!seen(text), text);
  }
});
