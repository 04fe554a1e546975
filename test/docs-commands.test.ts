/** The commands and samples of the documents work: they run here, or the program parses them, or the list says which test runs them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { runInNewContext } from 'node:vm';
import { parse } from 'yaml';
import { completeRequest } from '../src/api.ts';
import { createProgram } from '../src/commands/program.ts';
import { cleanClone } from './support/clone.ts';
import { readCommandLine } from './support/command-line.ts';
import { blocks, commands, documents, inlineCode } from './support/documents.ts';
import { needs } from './support/needs.ts';
import { freePort } from './support/ports.ts';
import { root, startTestRelay, type TestRelay } from './support/relay.ts';

const recipes = documents['docs/recipes.md'] ?? '';
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** These run below, in order, in a clean clone on a relay. */
const ran = [/^curl (?!.*\/v1\/fetch)/s, /^KEY=/, /^claude-relay (?:key|usage|ask) /];

/** These run in another test, or not at all for a reason. */
const elsewhere: readonly (readonly [RegExp, string])[] = [
  [/^\.\/run\.sh(?: --demo(?: --once)?)?$/, 'test/terminal-session.all.test.ts'],
  [/^claude-relay doctor$/, 'test/doctor.test.ts'],
  [/^claude-relay login$/, 'test/login.test.ts'],
  [/^\.\/install\.sh$/, 'test/install.all.test.ts'],
  [/^claude-relay install(?: --print| --uninstall(?: --purge)?)?$/, 'test/install.all.test.ts'],
  [/^claude-relay update$/, 'src/commands/update.test.ts'],
  [/^claude-relay serve$/, 'test/start.test.ts'],
  [
    /^(?:npx claude-relay serve --demo|npm (?:install|uninstall) -g claude-relay)$/,
    'test/package.all.test.ts',
  ],
  [/^git clone https:\/\/github\.com\/claude-relay\/claude-relay /, 'it needs the internet'],
  [/^claude-relay expose /, 'test/expose.all.test.ts'],
  [/^(?:systemctl|journalctl) --user /, 'test/install-docs.all.test.ts'],
  [/^(?:tar|chmod|mkdir) .*~\//, 'test/install-docs.all.test.ts'],
  [/^export CLAUDE_RELAY_(?:URL|KEY)=/, 'test/clients-docs.test.ts'],
  [/^(?:pip|npm) install \/path\/to\/claude-relay\/clients/, 'test/clients-package.all.test.ts'],
  [/^ANTHROPIC_BASE_URL=/, 'test/claude-code.test.ts'],
  [/^claude mcp add /, 'test/mcp-claude-code.test.ts'],
  [
    /^npm run e2e:(?:systemd|image)$/,
    'it boots a machine or runs containers; test/docs.test.ts checks that the script exists',
  ],
  [/^install -m 600 \/dev\/null prometheus\.key$/, 'test/metrics-files.test.ts'],
  [/^claude-relay logs -f$/, 'src/commands/records.test.ts'],
  [/^claude-relay dashboard(?: --print)?$/, 'test/dashboard.test.ts'],
  [/^ssh -L /, 'it needs another machine'],
  [
    /^(?:chmod 700 \. && )?(?:chmod 644 claude-login|docker compose (?:run|up|stop|start) ?.*)$/,
    'test/image/e2e.ts',
  ],
  [/^sudo apt (?:install|remove) /, 'test/deb/e2e.sh installs, updates and removes the package'],
  [/^npm run e2e:deb$/, 'it boots a machine: minutes, and root'],
  [/^podman /s, 'it needs an engine; test/image/e2e.ts runs the same image with Docker'],
  [/^curl .*\/v1\/fetch/s, 'test/docs.test.ts'],
  [/^npm run release -- /, 'test/release.test.ts'],
  [/^(?:sha256sum|gh attestation|npm pack|npm audit|cosign) /, 'test/release-workflow.test.ts'],
  [/^npm cit$/, 'it runs this test'],
  [/^npm run test:all$/, 'it runs this test'],
  [/^npm run -s unit -- src\/claude\/proof\/canary\.test\.ts$/, 'it is a part of npm test'],
  [/^npm run -s unit -- src\/claude\/lock\.test\.ts$/, 'it is a part of npm test'],
  [/^npm run soak$/, 'it takes minutes; test/docs.test.ts checks that the script exists'],
  [/^npm run bench/, 'it takes minutes; its options are checked below'],
  [/^npm run clients/, 'it installs gigabytes; test/programs/table.test.ts checks what it wrote'],
];

/** The shell commands of all documents, with where they are. */
const typed = Object.entries(documents).flatMap(([name, text]) =>
  [
    ...blocks(text, 'sh'),
    ...blocks(text, 'bash'),
    ...blocks(text, '').filter((block) => /^(?:npm|bin\/|\.\/|curl) ?/.test(block)),
  ]
    .flatMap(commands)
    .map((command) => ({ name, command })),
);

describe('the shell commands of the documents', () => {
  test('every shell command of the documents runs in a test, or is listed with a reason', () => {
    assert.ok(typed.length > 20);
    const known = [...ran, ...elsewhere.map(([pattern]) => pattern)];
    assert.deepEqual(
      typed.filter(({ command }) => !known.some((pattern) => pattern.test(command))),
      [],
    );
  });

  test('every entry of the list matches a command, and its test exists', () => {
    for (const pattern of [...ran, ...elsewhere.map(([each]) => each)]) {
      assert.ok(
        typed.some(({ command }) => pattern.test(command)),
        String(pattern),
      );
    }
    for (const [, why] of elsewhere) if (/^\S+\.ts$/.test(why)) assert.ok(existsSync(join(root, why)), why);
  });

  test('npm run bench has every option that the documents use', () => {
    const known = read('bench/main.ts');
    const flags = typed.flatMap(({ command }) =>
      command.startsWith('npm run bench') ? (command.match(/--[a-z]+/g) ?? []) : [],
    );
    assert.ok(flags.length > 3);
    for (const flag of flags)
      assert.ok(known.includes(`'${flag.slice(2)}'`) || known.includes(`${flag.slice(2)}:`), flag);
  });

  describe('run unchanged', () => {
    let relay: TestRelay;
    let scratch: string;
    before(async () => {
      scratch = mkdtempSync(join(tmpdir(), 'docs-test-'));
      cleanClone(join(scratch, 'claude-relay'));
      relay = await startTestRelay({ proof: false });
    });
    after(async () => {
      await relay.stop();
      rmSync(scratch, { recursive: true, force: true });
    });

    for (const [name, text] of Object.entries(documents)) {
      const own = blocks(text, 'sh')
        .flatMap(commands)
        .filter((command) => ran.some((pattern) => pattern.test(command)));
      if (own.length === 0) continue;
      const skip = needs('bash', ...(own.some((command) => command.startsWith('curl')) ? ['curl'] : []));
      test(`the commands of ${name} run in one shell`, { skip }, async () => {
        const { port } = new URL(relay.url);
        // The ports of the documents can be in use on this machine.
        const ports = { '127.0.0.1:8799': `127.0.0.1:${port}`, 'port 11434': `port ${await freePort()}` };
        const here = (command: string): string =>
          Object.entries(ports).reduce(
            (text, [documented, free]) => text.replaceAll(documented, free),
            command,
          );
        // In one shell, as a reader would: `KEY` of the first is used by the others.
        const steps = own.map((command) => `echo '<<<'; ${here(command)}\n`);
        const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', steps.join('')], {
          cwd: join(scratch, 'claude-relay'),
          env: {
            PATH: `${scratch}/claude-relay/bin:${process.env['PATH']}`,
            HOME: relay.home,
            DATA_DIR: relay.dataDir,
            PORT: port,
          },
          maxBuffer: 16 * 1024 * 1024,
        });
        const outputs = stdout.split('<<<\n').slice(1);
        assert.equal(outputs.length, own.length);
        own.forEach((command, index) => {
          const output = outputs[index] ?? '';
          if (command.startsWith('curl -N'))
            assert.match(output, /^event: start\n[^]*\nevent: done\ndata: .*"text":"hello"/m, command);
          else if (command.startsWith('curl'))
            assert.equal((JSON.parse(output) as { ok: unknown }).ok, true, command);
          else if (/ ask /.test(command)) assert.equal(output, 'hello\n');
        });
      });
    }
  });
});

describe('claude-relay commands in the text', () => {
  for (const [name, text] of Object.entries(documents)) {
    const lines = [
      ...inlineCode(text).filter((code) =>
        /^(?:\S+ \| |source <\(|.* \| )?(?:bin\/)?claude-relay(?: |$)/.test(code),
      ),
      ...[...blocks(text, 'sh'), ...blocks(text, 'cron')]
        .flatMap(commands)
        .filter((command) => /(?:^|[\s(/])claude-relay /.test(command)),
    ].filter((line) => /claude-relay \w/.test(line));
    if (lines.length === 0) continue;
    test(`every claude-relay command in ${name} parses`, () => {
      for (const line of lines) readCommandLine(line, createProgram());
    });
  }
});

describe('the samples of docs/recipes.md', () => {
  const section = (heading: string): string =>
    recipes.split(`\n${heading}\n`)[1]?.split(/^## /m)[0] ?? assert.fail(heading);
  const accepts = (body: unknown): void => {
    const parsed = completeRequest.safeParse(body);
    assert.ok(parsed.success, JSON.stringify(body));
  };

  test('the n8n node sends a valid request', () => {
    const { nodes } = JSON.parse(blocks(section('## n8n'), 'json')[0] ?? '') as {
      nodes: { type: string; parameters: Record<string, unknown> }[];
    };
    const [node] = nodes;
    assert.equal(node?.type, 'n8n-nodes-base.httpRequest');
    const { url, method, jsonBody } = node.parameters;
    assert.deepEqual([url, method], ['http://127.0.0.1:8799/v1/complete', 'POST']);
    const expression = /^=\{\{ (.*) \}\}$/.exec(String(jsonBody))?.[1] ?? assert.fail();
    // As n8n does: the expression in JavaScript, with the item as $json.
    const $json = { text: 'a "quoted"\ntext' };
    accepts(JSON.parse(String(runInNewContext(expression, { $json }))));
  });

  test('the Home Assistant command sends a valid request, and the script uses its answer', () => {
    const text = blocks(section('## Home Assistant'), 'yaml')[0] ?? '';
    const secret = { tag: '!secret', resolve: (name: string) => `secret ${name}` };
    const { rest_command: commands, script } = parse(text, { customTags: [secret] }) as {
      rest_command: Record<
        string,
        { url: string; method: string; payload: string; headers: Record<string, string> }
      >;
      script: Record<
        string,
        { sequence: { action: string; data: Record<string, string>; response_variable?: string }[] }
      >;
    };
    const command = commands['ask_claude'] ?? assert.fail();
    assert.deepEqual([command.url, command.method], ['http://127.0.0.1:8799/v1/complete', 'post']);
    assert.equal(command.headers['authorization'], 'secret claude_relay');
    // The template is a literal with one variable in it, made JSON by `tojson`.
    const literal = /^\{\{ (.*) \| tojson \}\}$/.exec(command.payload)?.[1] ?? assert.fail();
    accepts(JSON.parse(literal.replace(/: prompt\b/, `: ${JSON.stringify('a "quoted"\ntext')}`)));
    const [asks, tells] = script['good_morning']?.sequence ?? [];
    assert.equal(asks?.action, 'rest_command.ask_claude');
    assert.deepEqual(Object.keys(asks.data), ['prompt']);
    assert.ok(tells?.data['message']?.includes(`${asks.response_variable}.content.text`));
  });

  describe('cron', () => {
    const lines = blocks(section('## The shell and cron'), 'cron').flatMap((block) =>
      block.trim().split('\n'),
    );
    let relay: TestRelay;
    let home: string;
    before(async () => {
      relay = await startTestRelay({ proof: false });
      home = mkdtempSync(join(tmpdir(), 'docs-test-'));
      cleanClone(join(home, 'claude-relay'));
      writeFileSync(join(home, 'notes.md'), 'one\ntwo\n');
      writeFileSync(join(home, '.relay-key'), relay.key);
      chmodSync(join(home, '.relay-key'), 0o600);
      mkdirSync(join(home, 'tmp'));
    });
    after(async () => {
      await relay.stop();
      rmSync(home, { recursive: true, force: true });
    });

    test('each crontab line runs under sh', { skip: needs('curl') }, async () => {
      assert.equal(lines.length, 2);
      for (const line of lines) {
        const [, command = assert.fail(line)] = /^(?:[\d*/,-]+ ){5}(.*)$/.exec(line) ?? [];
        assert.doesNotMatch(command, /%/, 'cron takes it for a line end');
        await promisify(execFile)('/bin/sh', ['-c', command], {
          cwd: home,
          env: {
            HOME: home,
            PATH: `${home}/claude-relay/bin:${process.env['PATH']}`,
            DATA_DIR: relay.dataDir,
            PORT: new URL(relay.url).port,
            CLAUDE_RELAY_URL: relay.url,
          },
        });
      }
      assert.equal(readFileSync(join(home, 'summary.txt'), 'utf8'), 'hello\n');
      assert.equal(
        (JSON.parse(readFileSync(join(home, 'thought.json'), 'utf8')) as { text: string }).text,
        'hello',
      );
    });
  });
});
