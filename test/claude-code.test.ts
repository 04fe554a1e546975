/**
 * Claude Code itself as a client: pointed at the relay, it answers a prompt, and runs its own tools where it runs. The Claude Code
 * behind the relay is offered them as tools of the caller's, and runs none.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { AnswerBlock } from './support/failing-model.ts';
import { clis, eventually, newest, startTestRelay, type TestRelay } from './support/relay.ts';
import { sentBy } from './support/sent.ts';

const secret = 'walnut-5f0c1e';

describe('Claude Code as a client', () => {
  let relay: TestRelay;
  let directory: string;
  let home: string;
  let answers: AnswerBlock[][];
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'claude-code-test-'));
    home = mkdtempSync(join(tmpdir(), 'claude-code-home-'));
    mkdirSync(join(directory, '.git'));
    writeFileSync(join(directory, 'note.txt'), `${secret}\n`);
    relay = await startTestRelay({
      proof: false,
      claudeBin: newest,
      // 2.1.197 also asks for a title of the session: a schema without tools, so there is only the relay's tool.
      reply: ({ json }) => {
        const tools = json?.tools ?? [];
        // The check of a tool call in auto mode.
        if (tools.length === 0) return { kind: 'text', text: '<block>no</block>' };
        if (tools.length < 2)
          return { kind: 'tool_use', name: tools[0]?.name ?? '', input: { title: 'A note' } };
        return { kind: 'blocks', blocks: answers.shift() ?? [{ type: 'text', text: 'done' }] };
      },
    });
  });
  beforeEach(() => {
    answers = [];
  });
  after(async () => {
    await relay.stop();
    for (const each of [directory, home]) rmSync(each, { recursive: true });
  });

  async function ask(
    claudeBin: string,
    prompt: string,
    login: Record<string, string>,
    ...options: string[]
  ): Promise<Record<string, unknown>> {
    const { stdout } = await promisify(execFile)(
      claudeBin,
      ['-p', prompt, '--output-format', 'json', '--model', 'opus', '--allowedTools', 'Read,Bash', ...options],
      {
        cwd: directory,
        env: {
          HOME: home,
          PATH: process.env['PATH'],
          TMPDIR: directory,
          ANTHROPIC_BASE_URL: relay.url,
          DISABLE_AUTOUPDATER: '1',
          ...login,
        },
        timeout: 300_000,
      },
    );
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  for (const cli of clis) {
    test(`Claude Code ${cli.version} answers a prompt through the relay`, async () => {
      answers = [[{ type: 'text', text: 'Hello from the model.' }]];
      const result = await ask(cli.path, 'Say hello.', { ANTHROPIC_API_KEY: relay.key });
      assert.equal(result['is_error'], false, JSON.stringify(result));
      assert.equal(result['result'], 'Hello from the model.');
    });

    test(`Claude Code ${cli.version} with a wrong key stops without a second try`, async () => {
      const refused = (): number => relay.output().stdout.match(/"error":"unauthorized"/g)?.length ?? 0;
      const before = refused();
      // It exits with status 1; its output is on the error.
      const failed = ask(cli.path, 'Say hello.', { ANTHROPIC_API_KEY: 'crk_wrong' });
      await assert.rejects(failed, ({ stdout }: { stdout: string }) =>
        /Send a valid key|API key/i.test(stdout),
      );
      await eventually('the refusal is logged', () => refused() > before);
      // 2.1.197 also asks for a title of the session. Without the header there are 11 tries.
      assert.ok(refused() - before <= 2);
    });

    test(`Claude Code ${cli.version} runs the tools that the model calls and sends their results`, async () => {
      answers = [
        [
          { type: 'thinking', thinking: 'A note.' },
          { type: 'text', text: 'Let me look.' },
          {
            type: 'tool_use',
            id: 'toolu_1',
            name: 'Read',
            input: { file_path: join(directory, 'note.txt') },
          },
        ],
        [
          {
            type: 'tool_use',
            id: 'toolu_2',
            name: 'Bash',
            input: { command: 'cat note.txt; pwd', description: 'Show the note' },
          },
          {
            type: 'tool_use',
            id: 'toolu_3',
            name: 'Bash',
            input: { command: 'exit 3', description: 'Fail' },
          },
        ],
        [{ type: 'text', text: 'It says walnut.' }],
      ];
      const result = await ask(cli.path, 'What does note.txt say?', { ANTHROPIC_AUTH_TOKEN: relay.key });
      assert.equal(result['is_error'], false, JSON.stringify(result));
      assert.equal(result['result'], 'It says walnut.');
      const last = relay.model.requests.findLast(({ json }) => (json?.tools ?? []).length > 2);
      assert.ok(last !== undefined);
      const names = (last.json?.tools ?? []).map(({ name }) => name);
      assert.ok(names.includes('Read') && names.includes('Bash'), names.join());
      const turns = sentBy(last).messages;
      assert.deepEqual(
        turns.filter(({ role }) => role !== 'system').map(({ role }) => role),
        ['user', 'assistant', 'user', 'assistant', 'user'],
      );
      const results = turns.flatMap(({ content }) => content).filter((block) => 'tool_use_id' in block) as {
        tool_use_id: string;
        content: unknown;
        is_error?: boolean;
      }[];
      assert.deepEqual(
        results.map(({ tool_use_id: id }) => id),
        ['toolu_1', 'toolu_2', 'toolu_3'],
      );
      assert.ok(JSON.stringify(results[0]).includes(secret));
      assert.ok(
        JSON.stringify(results[1]).includes(secret) && JSON.stringify(results[1]).includes(directory),
      );
      assert.equal(results[2]?.is_error, true);
    });
  }

  test('Claude Code in auto mode has no request refused, and checks a command by itself', async () => {
    const input = { command: 'touch made.txt && git push origin main', description: 'Publish' };
    answers = [[{ type: 'tool_use', id: 'toolu_1', name: 'Bash', input }], [{ type: 'text', text: 'done' }]];
    const before = relay.model.requests.length;
    const printed = relay.output().stdout.length;
    const login = { ANTHROPIC_AUTH_TOKEN: relay.key };
    const result = await ask(newest, 'Publish it.', login, '--permission-mode', 'auto');
    assert.equal(result['result'], 'done');
    const asked = relay.model.requests.slice(before).map(({ body }) => body);
    assert.ok(
      asked.some((body) => body.includes('"stop_sequences"') && body.includes('git push origin main')),
      'the API gave no verdict',
    );
    const statuses = (): string[] =>
      relay
        .output()
        .stdout.slice(printed)
        .split('\n')
        .flatMap((line) => /"route":"messages".*"status":(\d+)/.exec(line)?.[1] ?? []);
    await eventually('each request is in the log', () => statuses().length >= asked.length);
    assert.deepEqual(new Set(statuses()), new Set(['200']));
  });
});
