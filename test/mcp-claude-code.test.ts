/** Claude Code itself as a client of /mcp: it lists the relay's tools to its model, and gives it their results. */
import assert from 'node:assert/strict';
import { execFile, type ExecFileOptions } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { blocks, commands, documents } from './support/documents.ts';
import { startFailingModel, type FailingModel, type Reply } from './support/failing-model.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { clis, eventually } from './support/relay.ts';
import { sentBy } from './support/sent.ts';

const prefix = 'mcp__relay__';

const recipe =
  blocks(documents['docs/recipes.md'] ?? '', 'sh')
    .flatMap(commands)
    .find((command) => command.startsWith('claude mcp add ')) ?? '';

const askForever: Reply = {
  kind: 'tool_use',
  name: `${prefix}ask_claude`,
  input: { prompt: 'Where?' },
};

describe('Claude Code as a client of /mcp', () => {
  let relay: InProcessRelay;
  let model: FailingModel;
  let home: string;
  let replies: Reply[] = [];
  before(async () => {
    home = mkdtempSync(join(tmpdir(), 'mcp-home-'));
    relay = await startInProcess();
    model = await startFailingModel({
      keep: 100,
      reply: ({ json }) =>
        (json?.tools ?? []).length === 0
          ? { kind: 'text', text: 'A title' }
          : (replies.shift() ?? { kind: 'text', text: 'done' }),
    });
  });
  after(async () => {
    await Promise.all([relay.stop(), model.close()]);
    rmSync(home, { recursive: true });
  });

  /** A new project, with the relay added by the command of docs/recipes.md. */
  async function project(claudeBin: string, key: string): Promise<ExecFileOptions> {
    const cwd = mkdtempSync(join(home, 'project-'));
    mkdirSync(join(cwd, '.git'));
    const env = {
      HOME: home,
      PATH: process.env['PATH'],
      TMPDIR: home,
      ANTHROPIC_BASE_URL: model.url,
      ANTHROPIC_API_KEY: 'sk-ant-stub',
      DISABLE_AUTOUPDATER: '1',
      // Its first request waits for the tools, which a slow machine can list later.
      MCP_CONNECTION_NONBLOCKING: '0',
      MCP_TIMEOUT: '200000',
    };
    const add = recipe.replace(/^claude /, '"$CLAUDE" ').replace('http://127.0.0.1:8799', relay.url);
    await promisify(execFile)('sh', ['-c', add], {
      cwd,
      env: { ...env, CLAUDE: claudeBin, CLAUDE_RELAY_KEY: key },
    });
    return { cwd, env, timeout: 200_000 };
  }

  const asks = ['-p', 'Ask the other model.', '--output-format', 'json', '--model', 'opus'].concat([
    '--allowedTools',
    `${prefix}ask_claude,${prefix}fetch_page`,
  ]);

  const start = (claudeBin: string, options: ExecFileOptions) => {
    const running = promisify(execFile)(claudeBin, asks, options);
    running.child.stdin?.end();
    return running;
  };

  async function run(claudeBin: string, key: string): Promise<Record<string, unknown>> {
    const { stdout } = await start(claudeBin, await project(claudeBin, key));
    return JSON.parse(String(stdout)) as Record<string, unknown>;
  }

  for (const cli of clis) {
    test(`Claude Code ${cli.version} calls the tools, and its model reads their results`, async () => {
      relay.model.say({ kind: 'text', text: 'Oslo, says the other model.' });
      replies = [
        {
          kind: 'blocks',
          blocks: [
            { type: 'tool_use', id: 'toolu_1', name: `${prefix}ask_claude`, input: { prompt: 'Where?' } },
            {
              type: 'tool_use',
              id: 'toolu_2',
              name: `${prefix}fetch_page`,
              input: { url: 'http://127.0.0.1/' },
            },
          ],
        },
        { kind: 'text', text: 'It says Oslo.' },
      ];
      const result = await run(cli.path, relay.key);
      assert.equal(result['result'], 'It says Oslo.', JSON.stringify(result));
      const first = model.requests.find(({ json }) => (json?.tools ?? []).length > 0)?.body ?? '';
      // The newest one lists only the names until its model asks for a tool.
      for (const name of ['ask_claude', 'fetch_page']) assert.ok(first.includes(`${prefix}${name}`), name);
      const last = model.requests.findLast(({ body }) => body.includes('toolu_2'));
      assert.ok(last !== undefined);
      // They are in the order in which the tools end.
      const results = sentBy(last)
        .messages.flatMap(({ content }) => content)
        .filter((block) => 'tool_use_id' in block);
      assert.equal(results.length, 2);
      const of = (id: string): string =>
        JSON.stringify(results.find((block) => 'tool_use_id' in block && block.tool_use_id === id));
      assert.match(of('toolu_1'), /Oslo, says the other model\./);
      assert.match(of('toolu_2'), /not on the public internet.*"is_error":true/);
    });

    test(`Claude Code ${cli.version} that is interrupted ends its call`, async () => {
      replies = [askForever];
      relay.model.say({ kind: 'hang', after: 'text', text: 'so far' });
      const running = start(cli.path, await project(cli.path, relay.key));
      await eventually('the call runs', () => relay.model.running() === 1);
      running.child.kill('SIGINT');
      await running.catch(() => {});
      await eventually('the turn has ended', () => relay.model.running() === 0);
    });

    test(`Claude Code ${cli.version} with a wrong key tries at most twice`, async () => {
      const refused = (): number => relay.log().match(/"error":"unauthorized"/g)?.length ?? 0;
      const before = refused();
      replies = [];
      const result = await run(cli.path, 'crk_wrong');
      assert.equal(result['result'], 'done');
      assert.ok(refused() > before && refused() - before <= 2, `${refused() - before} tries`);
    });
  }
});
