/** No content and no secret is written or printed: every door gets a marker, and then everything is searched for them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { rawExchange } from './support/raw.ts';
import { clis, descendants, eventually, startTestRelay, type TestRelay } from './support/relay.ts';

/** Each marker has one door, so that a finding names it. */
const marker = (door: string): string => `MARK${door}k7q`;
const doors = [
  'prompt',
  'system',
  'answer',
  'longprompt',
  'badmodel',
  'badfield',
  'badjson',
  'badformat',
  'query',
  'path',
  'header',
  'basic',
  'badkey',
  'upstreamerror',
  'toolname',
  'malformed',
  'gone',
  'stream',
  'job',
  'repeat',
  'mcpprompt',
  'mcptool',
  'mcpmethod',
  'mcpid',
] as const;

for (const cli of clis) {
  describe(`on Claude Code ${cli.version}`, () => {
    let relay: TestRelay;
    before(async () => {
      relay = await startTestRelay({
        claudeBin: cli.path,
        settings: { LOG_LEVEL: 'trace', MAX_INPUT_BYTES: '65536', WARM_SPARES: '0' },
        reply: () => ({ kind: 'text', text: ['an answer ', marker('answer')] }),
      });
    });
    after(() => relay.stop());

    test('a CLI’s arguments and environment hold no text of a caller', async () => {
      relay.model.setReply(() => ({ kind: 'hang', after: 'text', text: marker('answer') }));
      const client = new AbortController();
      const asking = relay
        .post({ prompt: marker('gone'), system: marker('system') }, { signal: client.signal })
        .catch(() => undefined);
      await eventually('the model is asked', () => relay.model.requests.length === 1);
      const pids = descendants(relay.process.pid ?? 0);
      assert.ok(pids.length >= 2, 'the CLI and its watcher');
      const shown = pids.map((pid) =>
        ['cmdline', 'environ', 'comm']
          .map((name) => readFileSync(`/proc/${pid}/${name}`, 'latin1'))
          .join('\n'),
      );
      // The control: these are the files that would show it.
      assert.ok(shown.some((text) => text.includes('--tools=') && text.includes('sk-ant-stub')));
      assert.deepEqual(found(shown.join('\n'), relay.key), []);
      const files = filesUnder(dirname(relay.dataDir)).filter((path) => holds(path, relay.key).length > 0);
      assert.deepEqual(files, [], 'no file of the running turn holds it');
      client.abort();
      await asking;
      await eventually('no process is left', () => relay.children().length === 0);
    });

    test('no text of a request or an answer is written or printed', async () => {
      await sendMarkersEverywhere(relay);
      const list = relay.command('claude-relay', 'key', 'list') + relay.command('claude-relay', 'usage');
      assert.deepEqual(found(list, relay.key), []);

      // While it runs, with what is in the write-ahead log; and after it has stopped.
      await eventually('the records are written', () => countRecords(relay.dataDir) >= 4);
      assertClean(relay);
      const { stdout } = relay.output();
      assert.match(stdout, /"status":200/);
      assert.match(stdout, /"error":"unauthorized"/);
      // The control: what may be there is found by the same search.
      assert.ok(filesUnder(relay.dataDir).some((path) => readFileSync(path).includes('complete')));
      relay.process.kill('SIGTERM');
      await eventually('stopped', () => relay.process.exitCode !== null);
      assertClean(relay);
      assert.deepEqual(
        readdirSync(dirname(relay.dataDir)).filter((name) => name.startsWith('relay-')),
        [],
        'no temporary directory is left',
      );
    });
  });
}

async function sendMarkersEverywhere(relay: TestRelay): Promise<void> {
  relay.model.setReply(() => ({ kind: 'text', text: ['an answer ', marker('answer')] }));
  const headers = { 'x-relay-marker': marker('header'), cookie: marker('header') };
  const good = await relay.post(
    { prompt: marker('prompt'), system: marker('system') },
    { path: `/v1/complete?token=${marker('query')}`, headers },
  );
  assert.equal(good.status, 200);
  assert.ok((await good.text()).includes(marker('answer')), 'the marker went through');
  assert.equal((await relay.complete({ prompt: marker('prompt'), output_format: 'json' })).status, 200);
  await sendToBeKept(relay);
  await sendToMcp(relay);

  relay.model.setReply(() => ({
    kind: 'error',
    status: 400,
    type: 'invalid_request_error',
    message: `messages: ${marker('upstreamerror')} is wrong`,
  }));
  assert.equal((await relay.complete({ prompt: marker('prompt') })).status, 400);
  relay.model.setReply(() => ({
    kind: 'tool_use',
    name: marker('toolname'),
    input: { a: marker('answer') },
  }));
  assert.equal((await relay.complete({ prompt: marker('prompt') })).status, 502);

  const refused: [body: unknown, status: number][] = [
    [{ prompt: marker('prompt'), model: marker('badmodel') }, 400],
    [{ prompt: marker('prompt'), [marker('badfield')]: 1 }, 400],
    [{ prompt: marker('prompt'), output_format: marker('badformat') }, 400],
    [`{"prompt": ${marker('badjson')}`, 400],
    [{ prompt: marker('longprompt').repeat(10_000) }, 413],
  ];
  for (const [body, status] of refused) assert.equal((await relay.post(body)).status, status);
  for (const authorization of [`Basic ${marker('basic')}`, `Bearer crk_${marker('badkey')}`]) {
    const response = await relay.post({ prompt: marker('prompt') }, { headers: { authorization } });
    assert.equal(response.status, 401);
  }
  assert.equal((await fetch(`${relay.url}/${marker('path')}?q=${marker('query')}`)).status, 404);
  await rawExchange(relay.url, [`${marker('malformed')} / HTTP/9\r\n\r\n`]);
}

/** A call, a call of an unknown tool, and a method that the protocol does not know. */
async function sendToMcp(relay: TestRelay): Promise<void> {
  const input = { prompt: marker('mcpprompt') };
  const messages: [message: object, expected: string][] = [
    [{ method: 'tools/call', params: { name: 'ask_claude', arguments: input } }, marker('answer')],
    [{ method: 'tools/call', params: { name: marker('mcptool'), arguments: input } }, 'There is no tool'],
    [{ method: marker('mcpmethod') }, 'Method not found'],
  ];
  for (const [message, expected] of messages) {
    const id = marker('mcpid');
    const headers = { accept: 'application/json, text/event-stream', 'mcp-session-id': id };
    const response = await relay.post({ jsonrpc: '2.0', id, ...message }, { path: '/mcp', headers });
    const text = await response.text();
    assert.ok(text.includes(expected), text);
  }
}

/** A stream, a repeat of it, and a job: their answers are kept for a while, in memory. */
async function sendToBeKept(relay: TestRelay): Promise<void> {
  for (let times = 0; times < 2; times += 1) {
    const stream = await relay.post(
      { prompt: marker('stream'), stream: true },
      { headers: { 'idempotency-key': marker('repeat') } },
    );
    assert.ok((await stream.text()).includes(marker('answer')));
  }
  const accepted = await relay.post({ prompt: marker('job'), async: true });
  const { job } = (await accepted.json()) as { job: { url: string } };
  await eventually('the job is done', async () => {
    const shown = await fetch(`${relay.url}${job.url}`, { headers: { 'x-api-key': relay.key } });
    return (await shown.text()).includes(marker('answer'));
  });
}

function assertClean(relay: TestRelay): void {
  const { stdout, stderr } = relay.output();
  assert.deepEqual(found(stdout + stderr, relay.key), [], 'printed');
  // The whole scratch directory: the home, the data directory and the temporary files.
  for (const path of filesUnder(dirname(relay.dataDir))) assert.deepEqual(holds(path, relay.key), [], path);
}

/** The markers, and the key or the secret in it, that a text holds. */
function found(text: string, key: string): string[] {
  const secret = key.split('_')[2] ?? key;
  return [...doors.map(marker), key, secret].filter((needle) => text.includes(needle));
}

function holds(path: string, key: string): string[] {
  return found(readFileSync(path, 'latin1'), key);
}

function filesUnder(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path, { throwIfNoEntry: false })?.isFile() === true);
}

function countRecords(dataDir: string): number {
  const sql = 'SELECT count(*) AS n FROM requests';
  const out = execFileSync(process.execPath, [
    '-e',
    `const { DatabaseSync } = require('node:sqlite');
     console.log(new DatabaseSync(process.argv[1], { readOnly: true }).prepare(${JSON.stringify(sql)}).get().n)`,
    join(dataDir, 'relay.db'),
  ]);
  return Number(out.toString());
}
