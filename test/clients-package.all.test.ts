/** Our own clients as packages: built, installed, typed; and true to what the relay takes and tells. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { completeRequest } from '../src/api.ts';
import { pageRequest } from '../src/pages/request.ts';
import { bun, clientRuntimes, deno, installPackage, node18, npm } from './support/clients.ts';
import { root } from './support/relay.ts';

const project = mkdtempSync(join(tmpdir(), 'relay-clients-'));
const tsc = join(root, 'node_modules/.bin/tsc');
const run = promisify(execFile);

before(() => installPackage(project));
after(() => rmSync(project, { recursive: true, force: true }));

/** What was printed says why, where a program fails. */
async function passes(command: string, args: string[], cwd: string): Promise<string> {
  const { stdout } = await run(command, args, { cwd }).catch((error: { stdout: string; stderr: string }) => {
    throw new Error(`${command} ${args.join(' ')}:\n${error.stdout}${error.stderr}`);
  });
  return stdout;
}

describe('the TypeScript package', () => {
  test('dist in the repository equals a build of the one file', async () => {
    const built = join(project, 'built');
    await passes(tsc, ['-p', join(root, 'clients/ts'), '--outDir', built], root);
    const kept = join(root, 'clients/ts/dist');
    assert.deepEqual(readdirSync(kept), readdirSync(built));
    for (const name of readdirSync(built)) {
      assert.equal(
        readFileSync(join(kept, name), 'utf8'),
        `// Generated from claudeRelay.ts by npm run build:client.\n${readFileSync(join(built, name), 'utf8')}`,
        `${name}: npm run build:client`,
      );
    }
  });

  test('the one file imports nothing but modules of the runtime, and its types can be erased', () => {
    const text = readFileSync(join(root, 'clients/ts/claudeRelay.ts'), 'utf8');
    assert.doesNotMatch(text, /^import |\bimport\((?!'node:)|\brequire\(/m);
    assert.match(readFileSync(join(root, 'clients/ts/tsconfig.json'), 'utf8'), /"erasableSyntaxOnly": true/);
  });

  test('an installed package can be imported in each runtime, and required where that works', async () => {
    const linked = join(project, 'linked');
    mkdirSync(linked);
    writeFileSync(join(linked, 'package.json'), '{ "private": true }\n');
    npm(linked, 'install', '--offline', '--no-audit', '--no-fund', join(root, 'clients/ts'));
    const shows =
      'console.log(typeof complete, new ClaudeRelay({ url: "http://a", key: "b" }).constructor.name)';
    const imports = `import { complete, ClaudeRelay } from 'claude-relay-client'; ${shows}`;
    const requires = `const { complete, ClaudeRelay } = require('claude-relay-client'); ${shows}`;
    writeFileSync(join(linked, 'imports.mjs'), imports);
    writeFileSync(join(linked, 'requires.cjs'), requires);
    for (const [runtime, file] of [
      [process.execPath, 'imports.mjs'],
      [process.execPath, 'requires.cjs'],
      [node18, 'imports.mjs'],
      [bun, 'imports.mjs'],
      [deno, 'imports.mjs'],
    ] as const) {
      const args = runtime === deno ? ['run', '--quiet', '--allow-env', file] : [file];
      assert.equal(await passes(runtime, args, linked), 'function ClaudeRelay\n', `${runtime} ${file}`);
    }
  });

  test('the client throws in a browser, a web worker and React Native', async () => {
    const script = join(project, 'browser.mjs');
    writeFileSync(
      script,
      `import { readFileSync } from 'node:fs';
      import vm from 'node:vm';
      const source = readFileSync(${JSON.stringify(join(root, 'clients/ts/dist/claudeRelay.js'))}, 'utf8');
      for (const globals of [{ window: { document: {} } }, { importScripts() {} }, { navigator: { product: 'ReactNative' } }, {}]) {
        const module = new vm.SourceTextModule(source, { context: vm.createContext({ URL, ...globals }) });
        await module.link(() => {});
        await module.evaluate();
        const { ClaudeRelay } = module.namespace;
        try {
          new ClaudeRelay({ url: 'http://a', key: 'b' });
          console.log('works');
        } catch (error) {
          console.log(error.code, error.message);
        }
      }`,
    );
    const lines = (await passes(process.execPath, ['--experimental-vm-modules', script], project))
      .trim()
      .split('\n');
    assert.equal(lines.length, 4);
    for (const line of lines.slice(0, 3)) assert.match(line, /^bad_config .* server side only.* your key/);
    assert.equal(lines[3], 'works', 'in any other runtime');
  });

  test('the types compile in strict mode, with the types of Node.js or of the DOM', async () => {
    const typed = join(project, 'typed');
    mkdirSync(typed);
    // For the official SDKs, which some of the samples are about.
    symlinkSync(join(root, 'node_modules'), join(typed, 'node_modules'));
    const samples = ['README.md', 'docs/recipes.md', 'clients/ts/README.md'].flatMap((document) =>
      [...readFileSync(join(root, document), 'utf8').matchAll(/^```ts\n(.*?)^```$/gms)].map(
        (match) => match[1] ?? '',
      ),
    );
    assert.ok(samples.length >= 2);
    writeFileSync(
      join(typed, 'consumer.ts'),
      `import { ClaudeRelay, complete, stream, type Completion } from 'claude-relay-client';
      type Same<A, B> = [A, B] extends [B, A] ? true : false;
      declare const maybe: string | undefined;
      const text = complete({ prompt: 'x', system: maybe, outputFormat: 'text' });
      const value = complete<{ a: number }>({ prompt: 'x', outputFormat: 'json' });
      const checked = new ClaudeRelay().completeWithDetails<{ a: number }>({ messages: [{ role: 'user', content: 'x' }], schema: {} });
      const unknown = complete({ prompt: 'x', schema: { type: 'object' } });
      const pieces = stream({ prompt: 'x' })[Symbol.asyncIterator]();
      export const same: [
        Same<typeof text, Promise<string>>,
        Same<typeof value, Promise<{ a: number }>>,
        Same<typeof checked, Promise<Completion<{ a: number }>>>,
        Same<typeof unknown, Promise<unknown>>,
        Same<Awaited<ReturnType<typeof pieces.next>>['value'], string | void>,
      ] = [true, true, true, true, true];
      // @ts-expect-error a prompt or messages
      complete({ system: 'x' });
      // @ts-expect-error not both
      complete({ prompt: 'x', messages: [] });
      // @ts-expect-error no such level
      complete({ prompt: 'x', effort: 'extreme' });
      // @ts-expect-error a schema excludes another form of answer
      complete({ prompt: 'x', outputFormat: 'text', schema: {} });`,
    );
    for (const [index, sample] of samples.entries()) {
      writeFileSync(
        join(typed, `sample${index}.ts`),
        sample.replace("'./claudeRelay.ts'", "'claude-relay-client'"),
      );
    }
    const strict = `--noEmit --strict --module nodenext --target es2022 --exactOptionalPropertyTypes
      --noUncheckedIndexedAccess --verbatimModuleSyntax --isolatedModules --skipLibCheck false`.split(/\s+/);
    const node = ['--lib', 'es2022', '--types', 'node', '--typeRoots', join(root, 'node_modules/@types')];
    const files = ['consumer.ts', ...samples.keys().map((index) => `sample${index}.ts`)];
    await passes(tsc, [...strict.slice(0, -2), '--skipLibCheck', ...node, ...files], typed);
    await passes(tsc, [...strict, '--lib', 'es2022,dom', '--types', '', 'consumer.ts'], typed);
  });
});

describe('the Python package', () => {
  const source = join(root, 'clients/python');
  const isolated = { PYTHONDONTWRITEBYTECODE: '1', PATH: process.env['PATH'] };
  const python = (script: string, path: string, command = 'python3'): string =>
    execFileSync(command, ['-W', 'error', '-c', script], {
      encoding: 'utf8',
      env: { ...isolated, PYTHONPATH: path },
    });

  /** One that can build a package without a package index. */
  const builder = ['python3', '/usr/bin/python3'].find((command) => {
    try {
      execFileSync(command, ['-c', 'import setuptools, wheel, pip'], { stdio: 'ignore', env: isolated });
      return true;
    } catch {
      return false;
    }
  });

  test(
    'pip install of its folder: it is imported with its types',
    { skip: builder === undefined && 'there is no Python with pip, setuptools and wheel' },
    () => {
      const [copy, target] = [join(project, 'python-source'), join(project, 'python-target')];
      cpSync(source, copy, { recursive: true });
      const offline = '--no-index --no-deps --no-build-isolation --disable-pip-version-check --no-cache-dir';
      execFileSync(builder ?? '', ['-m', 'pip', 'install', ...offline.split(' '), '--target', target, copy], {
        env: { ...isolated, HOME: project },
        stdio: 'pipe',
      });
      const installed = readdirSync(join(target, 'claude_relay')).filter((name) => name !== '__pycache__');
      assert.deepEqual(installed.toSorted(), ['__init__.py', 'claude_relay.py', 'py.typed']);
      const shows = `import claude_relay
print(claude_relay.__file__)
print(claude_relay.complete.__name__, *sorted(claude_relay.__all__)[:2])`;
      assert.equal(
        python(shows, target, builder),
        `${join(target, 'claude_relay/__init__.py')}\ncomplete AsyncClaudeRelay AsyncCompletionStream\n`,
      );
    },
  );

  test('every public name has a docstring, and every function its types', () => {
    const lacking = python(
      `import claude_relay, inspect
for name in claude_relay.__all__:
    thing = getattr(claude_relay, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        members = [(name, thing)] + [(f"{name}.{n}", m) for n, m in vars(thing).items()
            if inspect.isclass(thing) and inspect.isfunction(m) and not n.startswith("_")]
        for path, each in members:
            if not each.__doc__: print(path, "has no docstring")
            if inspect.isfunction(each) and "return" not in each.__annotations__: print(path, "has no types")`,
      source,
    );
    assert.equal(lacking, '');
  });

  test('the Python types pass the strict checker', async () => {
    const checker = join(root, 'node_modules/pyright/index.js');
    await passes(process.execPath, [checker, '-p', source], root);
    const consumer = join(project, 'consumer');
    mkdirSync(consumer);
    cpSync(join(source, 'claude_relay.py'), join(consumer, 'claude_relay.py'));
    writeFileSync(
      join(consumer, 'pyrightconfig.json'),
      '{ "typeCheckingMode": "strict", "include": ["use.py"] }',
    );
    writeFileSync(
      join(consumer, 'use.py'),
      `import asyncio
from typing_extensions import assert_type
from typing import Any
import claude_relay
from claude_relay import AsyncClaudeRelay, ClaudeRelay, Completion

assert_type(claude_relay.complete("x", system="y"), str)
assert_type(ClaudeRelay().complete("x", output_format="json"), Any)
assert_type(ClaudeRelay().complete(messages=[{"role": "user", "content": "x"}], schema={}), Any)
assert_type(ClaudeRelay().complete_with_details("x", schema={}), Completion)
claude_relay.complete("x", effort="extreme")  # pyright: ignore[reportCallIssue, reportArgumentType]
claude_relay.complete("x", efort="low")  # pyright: ignore[reportCallIssue]
for text in claude_relay.stream("x"):
    assert_type(text, str)

async def main() -> None:
    assert_type(await AsyncClaudeRelay().complete("x"), str)
    async for text in AsyncClaudeRelay().stream("x"):
        assert_type(text, str)

asyncio.run(main())
`,
    );
    await passes(process.execPath, [checker, '-p', consumer], consumer);
  });

  test('an option that does not exist is an error', () => {
    const script = `import claude_relay
relay = claude_relay.ClaudeRelay("http://127.0.0.1:9", "k")
for call in (lambda: relay.complete("x", efort="low"), lambda: relay.fetch_page("x", sistem=1), lambda: relay.models(model=1)):
    try: call()
    except TypeError as error: print(error)`;
    assert.equal(
      python(script, source),
      "unknown option 'efort'\nunknown option 'sistem'\nunknown option 'model'\n",
    );
  });
});

describe('what goes over the wire', () => {
  const bodies: { path: string; body: Record<string, unknown> }[] = [];
  const page = (): Record<string, unknown> =>
    JSON.parse(
      /## POST \/v1\/fetch(?:.*?```json\n){2}(.*?)```/s.exec(
        readFileSync(join(root, 'docs/api.md'), 'utf8'),
      )?.[1] ?? '',
    ) as Record<string, unknown>;
  const fallbackAnswer = {
    ok: true,
    model: 'sonnet',
    fallback_from: 'opus',
    resolved_model: 'claude-sonnet-5',
    duration_ms: 1,
    result: 'hello',
    stop_reason: 'end_turn',
    usage: {},
  };
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (piece: Buffer) => (text += piece.toString()));
    request.on('end', () => {
      const body = JSON.parse(text) as Record<string, unknown>;
      bodies.push({ path: request.url ?? '', body });
      if (body['prompt'] === 'fallback') response.end(JSON.stringify(fallbackAnswer));
      else if (request.url === '/v1/fetch')
        response.end(JSON.stringify({ ...page(), json_ld: ['{"a_b": 1}'] }));
      else response.writeHead(400).end('{"ok":false,"error":"bad_request","message":"seen"}');
    });
  });
  let url: string;
  before(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => server.close().closeAllConnections());

  const asked = {
    system: 'x',
    model: 'opus',
    schema: { type: 'object' },
    effort: 'high',
    maxTokens: 5,
    temperature: 0.5,
    stop: ['x'],
  };
  const message = { role: 'user', content: [{ type: 'text', text: 'x' }] };

  for (const { name, skip, start } of clientRuntimes(project)) {
    test(`${name} sends every field of the relay by its name`, { skip }, async (t) => {
      bodies.length = 0;
      const { run, end } = start();
      t.after(end);
      const client = { url, key: 'k' };
      for (const what of [{ prompt: 'x' }, { messages: [message] }]) {
        await run({ client, call: 'complete', options: { ...asked, ...what } }).outcome;
      }
      const fetched = await run({
        client,
        call: 'fetchPage',
        options: {
          url: 'https://example.com/',
          format: 'markdown',
          maxBytes: 1000,
          strip: false,
          pageTimeoutMs: 2500,
          acceptLanguage: 'de',
          userAgent: 'x',
        },
      }).outcome;
      const fields = (index: number): string[] => Object.keys(bodies[index]?.body ?? {});
      for (const index of [0, 1]) {
        const parsed = completeRequest.safeParse(bodies[index]?.body);
        assert.ok(parsed.success, JSON.stringify(parsed.error));
      }
      // `async` and `webhook` are for those who cannot wait, and the time is the client's own: it hangs up.
      assert.deepEqual(
        [...new Set([...fields(0), ...fields(1), 'async', 'webhook', 'timeout'])].toSorted(),
        Object.keys(completeRequest.shape).toSorted(),
      );
      assert.ok(pageRequest.safeParse(bodies[2]?.body).success);
      assert.deepEqual(fields(2).toSorted(), Object.keys(pageRequest.shape).toSorted());
      assert.equal(bodies[2]?.body['timeout_ms'], 2500);

      const { ok: _, ...shown } = page();
      const camel = Object.entries(shown).map(([key, value]) => [
        key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
        value,
      ]);
      assert.deepEqual(fetched.value, { ...Object.fromEntries(camel), jsonLd: ['{"a_b": 1}'] });

      const { value } = await run({ client, call: 'completeWithDetails', options: { prompt: 'fallback' } })
        .outcome;
      assert.partialDeepStrictEqual(value, { value: 'hello', model: 'sonnet', fallbackFrom: 'opus' });
    });
  }
});
