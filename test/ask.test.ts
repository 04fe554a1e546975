/** `claude-relay ask`, as a process, through a relay in the test's process: what it prints, its key, and how it ends. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { eventData } from '../src/commands/loopback.ts';
import { printable } from '../src/commands/text/terminal.ts';
import { lastUserTexts } from './support/failing-model.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { eventually, query, root, startTestRelay } from './support/relay.ts';
import { openTerminal } from './support/terminal.ts';

let relay: InProcessRelay;
let scratch: string;
before(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'ask-test-'));
  relay = await startInProcess();
});
after(async () => {
  await relay.stop();
  rmSync(scratch, { recursive: true });
});
beforeEach(() => relay.model.setReply(() => ({ kind: 'text', text: 'hello' })));

/** The settings of the relay's owner, and what the test adds. */
function environment(more: Record<string, string> = {}): Record<string, string> {
  return {
    HOME: scratch,
    PATH: process.env['PATH'] ?? '',
    DATA_DIR: relay.dataDir,
    PORT: new URL(relay.url).port,
    ...more,
  };
}

type Ran = { status: number; stdout: string; stderr: string };

async function ask(
  args: readonly string[],
  { input = '', env = {} }: { input?: string; env?: Record<string, string> } = {},
): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(
      join(root, 'bin/claude-relay'),
      ['--config', join(scratch, 'none'), 'ask', ...args],
      { env: environment(env), encoding: 'utf8', timeout: 60_000 },
      (error, stdout, stderr) => resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
    child.stdin?.end(input);
  });
}

const prompts = (): string[] =>
  relay.model.requests.flatMap(({ json }) => (json === undefined ? [] : lastUserTexts(json).slice(-1)));
const lastPrompt = (): string => prompts().at(-1) ?? '';
const keysOf = (): Record<string, unknown>[] => query(relay, "SELECT * FROM keys WHERE label = 'ask'");

describe('the answer', () => {
  test('ask prints the answer alone on stdout, with a line end', async () => {
    assert.deepEqual(await ask(['Say', 'hello.']), { status: 0, stdout: 'hello\n', stderr: '' });
    assert.equal(lastPrompt(), 'Say hello.');
  });

  for (const flags of [[], ['--no-stream']]) {
    test(`ask ${flags.join(' ')} prints control characters to a pipe unchanged`, async () => {
      const text = 'a\x1b]0;title\x07b — שלום 🐤\n\n';
      relay.model.setReply(() => ({ kind: 'text', text }));
      assert.equal((await ask([...flags, 'x'])).stdout, text);
    });
  }

  test('ask prints each part of the answer as it arrives', async () => {
    const parts = ['one ', 'two ', 'three'];
    relay.model.setReply(() => ({ kind: 'text', text: parts, deltaDelayMs: 1000 }));
    const child = spawn(join(root, 'bin/claude-relay'), ['--config', join(scratch, 'none'), 'ask', 'x'], {
      env: environment(),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const seen: string[] = [];
    child.stdout.setEncoding('utf8').on('data', (text: string) => seen.push(text));
    await once(child, 'close');
    assert.equal(seen.join(''), 'one two three\n');
    assert.ok(seen.length >= 3, JSON.stringify(seen));
  });

  test('ask --json prints the whole answer', async () => {
    const { status, stdout } = await ask(['--json', '--model', 'haiku', 'x']);
    const body = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual([status, body['ok'], body['model'], body['result']], [0, true, 'haiku', 'hello']);
    assert.ok((body['usage'] as Record<string, unknown>)['output_tokens']);
  });

  test('the --model, --system and --effort of ask reach the model', async () => {
    await ask(['--model', 'sonnet', '--system', 'You are brief.', '--effort', 'low', 'x']);
    const { json, body } = relay.model.requests.at(-1) ?? assert.fail();
    assert.match(json?.model ?? '', /sonnet/);
    assert.ok(body.includes('"You are brief."'));
    assert.match(body, /"effort":"low"/);
  });

  test('ask reports a stop at max_tokens and exits with status 0', async () => {
    relay.model.setReply(() => ({ kind: 'text', text: 'half', stopReason: 'max_tokens' }));
    for (const flags of [[], ['--no-stream']]) {
      const { status, stdout, stderr } = await ask([...flags, 'x']);
      assert.deepEqual([status, stdout], [0, 'half\n']);
      assert.equal(stderr, 'claude-relay: The model stopped early: max_tokens\n');
    }
  });
});

describe('the prompt', () => {
  test('ask sends a long prompt from stdin byte for byte', async () => {
    const text = `@/etc/passwd\n/cost\n${'ä'.repeat(200_000)}\n`;
    for (const args of [['-'], []]) {
      assert.equal((await ask(args, { input: text })).status, 0);
      assert.equal(lastPrompt(), text);
    }
  });

  test('ask sends words and stdin as separate paragraphs', async () => {
    await ask(['Review - this:', '-'], { input: 'diff\n' });
    assert.equal(lastPrompt(), 'Review - this:\n\ndiff\n');
    await ask(['-', 'Thank', 'you.'], { input: 'diff' });
    assert.equal(lastPrompt(), 'diff\n\nThank you.');
  });

  test('ask without a prompt on a terminal exits with an error', async () => {
    const terminal = openTerminal(`'${join(root, 'bin/claude-relay')}' ask`, { env: environment() });
    await terminal.until(/Pass a prompt: bin\/claude-relay ask "Say hello\."/);
    assert.equal(await terminal.exited, 1);
  });
});

describe('the key', () => {
  test('ask creates its key once, removes the secret after each call and is counted', async () => {
    await ask(['x']);
    await ask(['y']);
    const keys = keysOf();
    assert.equal(keys.length, 1);
    const id = String(keys[0]?.['id']);
    assert.deepEqual(query(relay, 'SELECT * FROM key_secrets WHERE key_id = ?', id), []);
    const events = query(relay, 'SELECT action, command FROM key_events WHERE key_id = ? ORDER BY id', id);
    assert.deepEqual({ ...events[0] }, { action: 'created', command: 'ask' });
    assert.ok(events.slice(1).every(({ action, command }) => action === 'lent' && command === 'ask'));
    await eventually(
      'the ledger has them',
      () => query(relay, 'SELECT * FROM requests WHERE key_id = ?', id).length >= 2,
    );
  });

  test('the daily limit applies to the key of ask', async () => {
    const limited = await startInProcess({ settings: { PER_KEY_DAILY: '2' } });
    try {
      const env = { DATA_DIR: limited.dataDir, PORT: new URL(limited.url).port };
      assert.equal((await ask(['x'], { env })).status, 0);
      assert.equal((await ask(['--no-stream', 'x'], { env })).status, 0);
      const third = await ask(['x'], { env });
      assert.deepEqual([third.status, third.stdout], [1, '']);
      assert.match(third.stderr, /^claude-relay: .*\(rate_limited, req_\w+\)\n$/);
    } finally {
      await limited.stop();
    }
  });

  test('ask prefers --key to CLAUDE_RELAY_KEY and creates no key', async () => {
    const before = keysOf().length;
    const mine = relay.mint('mine');
    assert.equal((await ask(['--key', mine, 'x'], { env: { CLAUDE_RELAY_KEY: 'wrong' } })).status, 0);
    assert.equal(
      (await ask(['x'], { env: { CLAUDE_RELAY_KEY: mine, DATA_DIR: join(scratch, 'nowhere') } })).status,
      0,
    );
    assert.equal(keysOf().length, before);
    const wrong = await ask(['x'], { env: { CLAUDE_RELAY_KEY: 'crk_wrong' } });
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /\(unauthorized, req_\w+\)/);
    assert.doesNotMatch(wrong.stderr, /crk_wrong/);
  });

  test('ask with another DATA_DIR than the relay asks for --key', async () => {
    const { status, stderr } = await ask(['x'], {
      env: { DATA_DIR: join(scratch, 'others'), PORT: '0', CLAUDE_RELAY_URL: relay.url },
    });
    assert.equal(status, 1);
    assert.match(stderr, /does not use the keys in .*others.*--key/);
  });

  test('ask removes its secret after a call that fails', async () => {
    relay.model.setReply(() => ({
      kind: 'error',
      status: 400,
      type: 'invalid_request_error',
      message: 'no',
    }));
    assert.equal((await ask(['x'])).status, 1);
    const id = String(keysOf()[0]?.['id']);
    assert.deepEqual(query(relay, 'SELECT * FROM key_secrets WHERE key_id = ?', id), []);
  });
});

describe('where it asks', () => {
  test('ask refuses an address of another machine', async () => {
    for (const url of [
      'https://relay.example',
      'http://192.0.2.1:8799',
      'http://127.0.0.1.example:80',
      'nonsense',
      'http://user@relay.example',
    ]) {
      const { status, stderr } = await ask(['--url', url, 'x']);
      assert.equal(status, 1, url);
      assert.match(stderr, /^claude-relay: This command calls only the relay of this machine/);
      assert.match(
        (await ask(['x'], { env: { CLAUDE_RELAY_URL: url } })).stderr,
        /calls only the relay of this machine/,
      );
    }
  });

  test('ask uses --url, then CLAUDE_RELAY_URL, then HOST and PORT', async () => {
    assert.equal(
      (await ask(['x'], { env: { CLAUDE_RELAY_URL: '', CLAUDE_RELAY_KEY: '' } })).stdout,
      'hello\n',
    );
    assert.equal((await ask(['x'], { env: { PORT: '1', CLAUDE_RELAY_URL: relay.url } })).stdout, 'hello\n');
    assert.equal((await ask(['--url', `${relay.url}/`, 'x'], { env: { PORT: '1' } })).stdout, 'hello\n');
    assert.match((await ask(['x'], { env: { PORT: '0' } })).stderr, /PORT is 0.*--url/);
  });

  test('ask reports that no relay listens', async () => {
    const { status, stderr } = await ask(['x'], { env: { PORT: '1' } });
    assert.equal(status, 1);
    assert.equal(
      stderr,
      'claude-relay: No relay listens at http://127.0.0.1:1. Start it with ./run.sh, or run bin/claude-relay doctor.\n',
    );
  });

  test('ask ignores the proxy of the environment', async () => {
    const asked: string[] = [];
    const proxy = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.end('proxied');
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const env = { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: url, http_proxy: url };
    assert.equal((await ask(['x'], { env })).stdout, 'hello\n');
    assert.deepEqual(asked, []);
    proxy.close();
  });

  test('ask reports an answer that is not from claude-relay', async () => {
    const server = createServer((_request, response) => response.writeHead(404).end('<html>'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const env = { CLAUDE_RELAY_KEY: 'x', PORT: String((server.address() as AddressInfo).port) };
    const { status, stderr } = await ask(['x'], { env });
    assert.deepEqual(
      [status, stderr],
      [
        1,
        'claude-relay: The answer, with status 404, is not from claude-relay. Does another program listen there?\n',
      ],
    );
    server.close();
  });
});

describe('how it ends', () => {
  test('ask prints the text that arrived before an error', async () => {
    const hurried = await startInProcess({
      overrides: { times: { requestTimeoutMs: 500 } },
      reply: () => ({ kind: 'hang', after: 'text', text: 'some' }),
    });
    try {
      const env = { DATA_DIR: hurried.dataDir, PORT: new URL(hurried.url).port };
      const { status, stdout, stderr } = await ask(['x'], { env });
      assert.deepEqual([status, stdout], [1, 'some\n']);
      assert.match(stderr, /^claude-relay: .*\(upstream_timeout, req_\w+\)\n$/);
    } finally {
      await hurried.stop();
    }
  });

  test('ask reports that the answer broke off when the relay is killed', async () => {
    const dying = await startTestRelay({
      proof: false,
      reply: () => ({ kind: 'text', text: ['first', 'never'], deltaDelayMs: 60_000 }),
    });
    const env = { DATA_DIR: dying.dataDir, PORT: new URL(dying.url).port };
    const child = spawn(join(root, 'bin/claude-relay'), ['--config', join(scratch, 'none'), 'ask', 'x'], {
      env: environment(env),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    child.stdout.on('data', (text: Buffer) => (out += String(text)));
    child.stderr.on('data', (text: Buffer) => (err += String(text)));
    await eventually('the first part', () => out.includes('first'));
    await dying.stop('SIGKILL');
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(code, 1, err);
    assert.match(err, /^claude-relay: The answer broke off/);
  });

  test('Ctrl-C ends ask with status 130, and the relay ends the turn', async () => {
    relay.model.setReply(() => ({ kind: 'text', text: ['first', 'never'], deltaDelayMs: 60_000 }));
    const terminal = openTerminal(`'${join(root, 'bin/claude-relay')}' ask x`, { env: environment() });
    await terminal.until(/first/);
    terminal.type('\x03');
    assert.equal(await terminal.exited, 130);
    assert.doesNotMatch(terminal.output(), /Error|\n\s+at /);
    await eventually('the turn has ended', () => relay.model.running() === 0);
    const id = String(keysOf()[0]?.['id']);
    assert.deepEqual(query(relay, 'SELECT * FROM key_secrets WHERE key_id = ?', id), []);
  });

  test('ask exits with status 0 when the reader of stdout has gone', async () => {
    relay.model.setReply(() => ({
      kind: 'text',
      text: Array.from({ length: 50 }, (_, i) => `line ${i}\n`),
      deltaDelayMs: 100,
    }));
    const script = `'${join(root, 'bin/claude-relay')}' ask x | head -n 1`;
    const { promise, resolve } = Promise.withResolvers<Ran>();
    execFile('bash', ['-c', script], { env: environment() }, (error, stdout, stderr) =>
      resolve({ status: error === null ? 0 : 1, stdout, stderr }),
    );
    assert.deepEqual(await promise, { status: 0, stdout: 'line 0\n', stderr: '' });
    await eventually('the turn has ended', () => relay.model.running() === 0);
  });
});

test(
  'ask exits with status 1 if the answer cannot be written',
  { skip: !existsSync('/dev/full') },
  async () => {
    relay.model.setReply(() => ({ kind: 'text', text: 'hello' }));
    const script = `'${join(root, 'bin/claude-relay')}' ask x > /dev/full`;
    const { promise, resolve } = Promise.withResolvers<[number, string]>();
    execFile('sh', ['-c', script], { env: environment() }, (error, _stdout, stderr) =>
      resolve([Number(error?.code ?? 0), stderr]),
    );
    const [status, stderr] = await promise;
    assert.equal(status, 1);
    assert.match(stderr, /^claude-relay: the output could not be written \(ENOSPC\)\.\n$/);
  },
);

describe('a terminal', () => {
  test('ask prints no control characters to a terminal', async () => {
    const text = ['a\x1b]52;c;AAAA\x07b\x1b[31m', 'c\r\x9bd\n\te'];
    relay.model.setReply(() => ({ kind: 'text', text }));
    const terminal = openTerminal(`'${join(root, 'bin/claude-relay')}' ask x`, { env: environment() });
    assert.equal(await terminal.exited, 0);
    assert.equal(terminal.output(), 'a]52;c;AAAAb[31mcd\r\n\te\r\n');
  });

  test('printable removes every control character except tab and newline', () => {
    const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('');
    assert.equal(printable(all), all.replaceAll(/[^\x20-\x7e\xa0-\xff\t\n]/g, ''));
  });
});

test('eventData parses events that arrive in pieces of any size', async () => {
  const bytes = Buffer.from('event: delta\ndata: {"text":"ä\\n🐤"}\n\n: ping\n\ndata: {"a":1}\n\n');
  for (let size = 1; size <= bytes.length; size++) {
    async function* chunks(): AsyncGenerator<Buffer> {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    }
    assert.deepEqual(await Array.fromAsync(eventData(chunks())), [{ text: 'ä\n🐤' }, { a: 1 }]);
  }
});
