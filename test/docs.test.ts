/** What the documents say is what the program has: settings, codes, routes, files, and commands that work as they are written. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { addKeyCommand } from '../src/commands/key.ts';
import { addLogsCommand } from '../src/commands/logs.ts';
import { addUsageCommand } from '../src/commands/usage.ts';
import { completeRequest } from '../src/api.ts';
import type { UsageWindows } from '../src/claude/usage-windows.ts';
import { settings } from '../src/settings.ts';
import * as anthropicParameters from '../src/dialects/anthropic/parameters.ts';
import { messagesRequest } from '../src/dialects/anthropic/schema.ts';
import {
  chatCompletionRequest,
  parametersWithoutEffect,
  refusedParameters as refusedOfChat,
} from '../src/dialects/openai/request.ts';
import { errorTable, limitNames } from '../src/errors.ts';
import { maxUnreadBytes } from '../src/http/event-stream.ts';
import { defaultTimes } from '../src/http/times.ts';
import { jobBounds } from '../src/http/async/jobs.ts';
import { maxKeptBytes } from '../src/http/async/kept-answer.ts';
import { largeBodies } from '../src/http/body-budget.ts';
import { repeatBounds } from '../src/http/async/repeats.ts';
import { pageRequest } from '../src/pages/request.ts';
import type { AnyPage } from './pages/network.ts';
import { eventually, root, startTestRelay, type TestRelay } from './support/relay.ts';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const readme = read('README.md');
const api = read('docs/api.md');
const fetchDoc = read('docs/fetch.md');

/** What a fetched page can come back with; the compiler holds it to the type. */
const pageFields = {
  status: true,
  final_url: true,
  truncated: true,
  html: true,
  text: true,
  markdown: true,
  metadata: true,
  body: true,
  content_type: true,
  charset: true,
  redirects: true,
  bytes: true,
  elapsed_ms: true,
  json_ld: true,
  about: true,
} as const satisfies Record<keyof AnyPage, true>;

/** So are these. */
const planFields = { five_hour: true, seven_day: true } as const satisfies Record<
  keyof NonNullable<UsageWindows>,
  true
>;

/** The text under a heading, up to the next one of the same or a higher level. */
function section(text: string, heading: string): string {
  const level = heading.indexOf(' ');
  const [, rest] = text.split(`\n${heading}\n`);
  assert.ok(rest !== undefined, `there is no heading "${heading}"`);
  return rest.split(new RegExp(`^#{1,${level}} `, 'm'))[0] ?? '';
}

/** The rows of a section's tables, by cell, without backticks, head and ruler. */
function rows(text: string): string[][] {
  const lines = text.split('\n').filter((line) => line.startsWith('|'));
  const cells = lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  );
  const rulers = new Set(
    cells.flatMap((row, index) => (/^-+$/.test(row[0] ?? '') ? [index - 1, index] : [])),
  );
  return cells.filter((_row, index) => !rulers.has(index));
}

/** `a, b | 403` -> a with 403, b with 403. */
function codes(text: string): (string | undefined)[][] {
  return rows(text).flatMap(([names = '', http]) => names.split(', ').map((name) => [name, http]));
}

/** Both in the same order, whatever order they were in. */
function assertSame(documented: readonly unknown[], real: readonly unknown[]): void {
  const sorted = (items: readonly unknown[]): string[] =>
    items.map((item) => JSON.stringify(item)).toSorted((a, b) => a.localeCompare(b));
  assert.ok(real.length > 0);
  assert.deepEqual(sorted(documented), sorted(real));
}

/** The shell commands of a document, one a code block. */
function shellBlocks(text: string): string[] {
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '');
}

function jsonBlocks(text: string): string[] {
  return [...text.matchAll(/^```json\n(.*?)^```$/gms)].map((match) => match[1] ?? '');
}

/** The list of routes, out of the source: `GET /health`. */
function routesOfApp(): string[] {
  const list = /const routes[^=]*= \{\n(.*?)^\};/ms.exec(read('src/http/app.ts'))?.[1] ?? '';
  return [...list.matchAll(/^ {2}'(\/[^']*)': \{(.*)\},$/gm)].flatMap(([, path = '', handlers = '']) =>
    [...handlers.matchAll(/\b(GET|POST|DELETE):/g)].map(([, method = '']) => `${method} ${path}`),
  );
}

describe('the tables', () => {
  test('README: every setting with its default, and no other', () => {
    const documented = rows(section(readme, '## Configuration')).map(([name, value]) => [name, value]);
    const real = [...settings.values()].map((setting) => [setting.name, setting.default || 'empty']);
    assertSame(documented, real);
  });

  test('docs/api.md: every error code with its status, and no other', () => {
    const documented = [
      ...codes(section(api, '## Errors').split('###')[0] ?? ''),
      ...codes(section(api, '### Errors of a page fetch')),
    ];
    const real = Object.entries(errorTable).map(([code, { status }]) => [code, String(status)]);
    assertSame(documented, real);
  });

  test('docs/api.md: what becomes of each parameter of a message, and no other', () => {
    const [parameters = ''] = section(api, '## POST /v1/messages').split('**Messages**');
    const named = (becomes: string): string[] =>
      rows(parameters).flatMap(([name = '', told]) => (told === becomes ? [name] : []));
    const special = { ...anthropicParameters.ignoredParameters, ...anthropicParameters.refusedParameters };
    assertSame(
      named('used'),
      Object.keys(messagesRequest.shape).filter((name) => !(name in special)),
    );
    assertSame(named('no effect'), Object.keys(anthropicParameters.ignoredParameters));
    assertSame(named('400'), Object.keys(anthropicParameters.refusedParameters));
  });

  test('docs/fetch.md: the error codes of a fetch, as in docs/api.md', () => {
    const documented = codes(section(fetchDoc, '## Errors')).filter(([code]) => code !== 'rate_limited');
    assertSame(documented, codes(section(api, '### Errors of a page fetch')));
  });

  test('README: every error code that a caller can see, with its status, and no other', () => {
    const documented = codes(section(readme, '## Errors'));
    const seen = Object.entries(errorTable).filter(([code]) => code !== 'client_closed_request');
    assertSame(
      documented,
      seen.map(([code, { status }]) => [code, String(status)]),
    );
  });

  test('docs/api.md: every field of a completion, and no other', () => {
    const [request = ''] = section(api, '## POST /v1/complete').split('\nAnswer with');
    assertSame(
      rows(request).map(([field]) => field),
      Object.keys(completeRequest.shape),
    );
  });

  test('docs/api.md: what becomes of each parameter of a chat completion, and no other', () => {
    const [parameters = ''] = section(api, '## POST /v1/chat/completions').split('**Messages**');
    const named = (becomes: string): string[] =>
      rows(parameters).flatMap(([name = '', told]) => (told === becomes ? [name] : []));
    const special = { ...parametersWithoutEffect, ...refusedOfChat };
    assertSame(
      named('used'),
      Object.keys(chatCompletionRequest.shape).filter((name) => !(name in special)),
    );
    assertSame(named('no effect'), Object.keys(parametersWithoutEffect));
    assertSame(named('400'), Object.keys(refusedOfChat));
  });

  test('docs/fetch.md: every field of a fetch with its default, and no other', () => {
    const defaults: Record<string, unknown> = pageRequest.parse({ url: 'https://example.com/' });
    assertSame(
      rows(section(fetchDoc, '## The request')).map(([field, value]) => [field, value]),
      Object.keys(pageRequest.shape).map((field) => {
        if (field === 'url') return [field, ''];
        if (field === 'user_agent') return [field, "the relay's setting"];
        const value = defaults[field] ?? 'none sent';
        return [field, typeof value === 'string' ? value : JSON.stringify(value)];
      }),
    );
  });

  test('docs/fetch.md: every field of a fetched page is told of', () => {
    const told = section(fetchDoc, '## The answer');
    assert.deepEqual(
      Object.keys(pageFields).filter((field) => !told.includes(`\`${field}\``)),
      [],
    );
  });

  test('README and docs/api.md: the fetches that are shown are ones, and so are the answers', () => {
    for (const text of [section(readme, '## Fetch a page'), section(api, '## POST /v1/fetch')]) {
      const [asked, answered] = [/\{"url".*\}|\{ "url".*\}/.exec(text)?.[0], jsonBlocks(text).at(-1)];
      assert.ok(pageRequest.safeParse(JSON.parse(asked ?? '')).success, asked);
      const { ok, ...page } = JSON.parse(answered ?? '') as Record<string, unknown>;
      assert.equal(ok, true);
      const content = new Set(['html', 'text', 'markdown', 'metadata', 'body']);
      const shown = Object.keys(page);
      assert.equal(shown.filter((field) => content.has(field)).length, 1);
      assertSame(
        shown.filter((field) => !content.has(field)),
        Object.keys(pageFields).filter((field) => !content.has(field)),
      );
    }
  });

  test('docs/api.md: the windows of a plan', () => {
    const shown = JSON.parse(jsonBlocks(section(api, '## GET /v1/usage')).at(-1) ?? '') as {
      plan: Record<string, object>;
    };
    assertSame(Object.keys(shown.plan), Object.keys(planFields));
  });

  test('docs/adr/001-dependencies.md: every dependency, and no other', () => {
    const manifest = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
    assertSame(
      rows(read('docs/adr/001-dependencies.md')).map(([name]) => name),
      Object.keys(manifest.dependencies),
    );
  });

  test('docs/architecture.md: every folder of the source, and every end-to-end test', () => {
    const text = read('docs/architecture.md');
    const tests = globSync('test/**/*.test.ts', { cwd: root });
    const folders = globSync('src/*/', { cwd: root }).map((path) => `${path.replace(/\/$/, '')}/`);
    assert.ok(tests.length > 20 && folders.length > 8);
    assert.deepEqual(
      [...tests.map((path) => `\`${path}\``), ...folders.map((path) => `\`${path}`)].filter(
        (name) => !text.includes(name),
      ),
      [],
    );
  });

  test('docs/api.md: the bounds of streams, jobs, repeats and large bodies', () => {
    const mib = (bytes: number): string => `${bytes / 1024 / 1024} MiB`;
    const s = (ms: number): string => `${ms / 1000} s`;
    const told: [heading: string, ...bounds: string[]][] = [
      [
        '## Streams',
        `After ${s(defaultTimes.pingAfterMs)} without`,
        `more than ${mib(maxUnreadBytes)} unread`,
        `for ${s(defaultTimes.maxUnreadMs)}`,
      ],
      [
        '## Jobs',
        `${jobBounds.perKey} of a key and ${jobBounds.all} in all, ${mib(jobBounds.bytesPerKey)} and ${mib(jobBounds.bytesInAll)}`,
      ],
      [
        '## Idempotency-Key',
        `come within ${s(defaultTimes.graceMs)}`,
        `${repeatBounds.ttlMs / 60_000} minutes after`,
        `${repeatBounds.perKey} of a key and ${repeatBounds.all} in all, ${mib(repeatBounds.bytesPerKey)} and ${mib(repeatBounds.bytesInAll)}`,
        `more than ${mib(maxKeptBytes)} is not kept`,
      ],
      ['## POST /v1/complete', `${largeBodies.perKey} of a key and ${largeBodies.all} in all`],
    ];
    for (const [heading, ...bounds] of told) {
      const text = section(api, heading).replaceAll(/\s+/g, ' ');
      assert.deepEqual(
        bounds.filter((bound) => !text.includes(bound)),
        [],
        heading,
      );
    }
  });

  test('docs/api.md: every limit that a 429 can name, and no other', () => {
    const documented = rows(section(api, '### Limits of a 429')).map(([name]) => name);
    assertSame(documented, limitNames);
  });

  test('docs/api.md: every route, in the overview and with a section, and no other', () => {
    const real = routesOfApp();
    const overview = rows(api.split('\n## ')[0] ?? '').map(([route]) => route);
    assertSame(overview, real);
    const sections = [...api.matchAll(/^## ((?:GET|POST|DELETE) .*)$/gm)].map((match) => match[1]);
    assertSame(sections, real);
  });
});

describe('the files that are named exist', () => {
  const documents = globSync(['*.md', 'docs/**/*.md'], { cwd: root });
  /** In backticks: a file of the top, or one in a folder of the repository; `*` stands for any. */
  const named =
    /`((?:src|test|docs|bin|bench(?!\/results)|\.ci|\.github)\/[\w./*-]*|[\w.-]+\.(?:sh|env\.example))`/g;

  for (const document of documents) {
    test(document, () => {
      const text = read(document);
      const paths = [...text.matchAll(named)].map((match) => match[1] ?? '');
      const missing = paths.filter((path) => globSync(path, { cwd: root }).length === 0);
      const links = [...text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map((match) => match[1] ?? '');
      const broken = links
        .filter((link) => !link.startsWith('https://'))
        .filter((link) => !existsSync(join(root, dirname(document), link)));
      assert.deepEqual([...new Set([...missing, ...broken])], []);
    });
  }

  test('docs/fetch.md: the files that it names without their folder', () => {
    const names = [...fetchDoc.matchAll(/`([\w-]+(?:\.test)?\.ts)`/g)].map((match) => match[1] ?? '');
    assert.ok(names.length > 10);
    assert.deepEqual(
      names.filter((name) => globSync(`{src,test}/pages/${name}`, { cwd: root }).length === 0),
      [],
    );
  });

  test('the scripts of package.json that they name exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const asked = documents.flatMap((document) =>
      [...read(document).matchAll(/npm run (?:-s )?([\w:]+)/g)].map((match) => match[1] ?? ''),
    );
    assert.ok(asked.length > 2);
    assert.deepEqual(
      asked.filter((name) => !(name in scripts)),
      [],
    );
  });

  test('the documents that must be there are', () => {
    for (const name of [
      'README.md',
      'SECURITY.md',
      'docs/architecture.md',
      'docs/api.md',
      'docs/fetch.md',
      'docs/warm-up.md',
      'docs/adr/README.md',
    ])
      assert.ok(documents.includes(name), name);
  });
});

describe('the commands work as they are written', () => {
  let relay: TestRelay;
  before(async () => {
    // On, so that the windows of /v1/usage are there.
    relay = await startTestRelay({
      settings: { PER_KEY_RPM: '1000', PER_KEY_DAILY: '1000', GLOBAL_DAILY: '1000' },
    });
  });
  after(() => relay.stop());

  const run = async (script: string): Promise<string> => {
    const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: root,
      env: { PATH: process.env['PATH'], KEY: relay.key },
    });
    return stdout;
  };
  const calls = shellBlocks(readme).filter((block) => block.startsWith('curl '));

  test('README: the first curl call gets the fields that it shows', async () => {
    const answer = JSON.parse(await run(onRelay(calls[0]))) as Record<string, unknown>;
    assert.deepEqual([answer['ok'], answer['model'], answer['text']], [true, 'opus', 'hello']);
    assert.deepEqual(Object.keys(answer), Object.keys(shownAfter(calls[0])));
  });

  test('README: so does the one for the json form', async () => {
    const answer = JSON.parse(await run(onRelay(calls[1]))) as Record<string, unknown>;
    const shown = shownAfter(calls[1]);
    assert.equal(answer['result'], 'hello');
    assert.equal(answer['model'], shown['model']);
    assert.match(String(answer['resolved_model']), /^claude-haiku-/);
    assert.match(String(shown['resolved_model']), /^claude-haiku-/);
    assert.deepEqual(Object.keys(answer), Object.keys(shown));
    assert.deepEqual(Object.keys(answer['usage'] as object), Object.keys(shown['usage'] as object));
  });

  test('README: the error that is shown has the fields of an error', async () => {
    const response = await relay.post({ prompt: 'x', top_p: 1 });
    const body = (await response.json()) as Record<string, unknown>;
    const shown = JSON.parse(jsonBlocks(section(readme, '## Errors'))[0] ?? '') as Record<string, unknown>;
    const optional = new Set(['retry_after', 'limit']);
    assert.deepEqual(
      Object.keys(body),
      Object.keys(shown).filter((field) => !optional.has(field)),
    );
  });

  test('docs/api.md: each GET route answers with the fields that are shown', async () => {
    const made = (await (await relay.post({ prompt: 'x', async: true })).json()) as { job: { url: string } };
    await eventually('the job is done', async () =>
      (
        await (await fetch(`${relay.url}${made.job.url}`, { headers: { 'x-api-key': relay.key } })).text()
      ).includes('"done"'),
    );
    for (const route of routesOfApp().filter((each) => each.startsWith('GET '))) {
      const path = route
        .slice('GET '.length)
        .replace('/v1/jobs/:id', made.job.url)
        .replace('/v1/models/:id', '/v1/models/opus');
      const response = await fetch(`${relay.url}${path}`, { headers: { 'x-api-key': relay.key } });
      assert.equal(response.status, 200, route);
      const body = (await response.json()) as Record<string, object>;
      const shown = JSON.parse(jsonBlocks(section(api, `## ${route}`))[0] ?? '') as Record<string, object>;
      assert.deepEqual(Object.keys(body), Object.keys(shown), route);
      for (const part of ['key', 'limits', 'fetch_limits', 'job']) {
        assert.deepEqual(Object.keys(body[part] ?? {}), Object.keys(shown[part] ?? {}), `${route} ${part}`);
      }
    }
  });

  function onRelay(call = ''): string {
    assert.match(call, /http:\/\/127\.0\.0\.1:8799\//);
    return call.replaceAll('http://127.0.0.1:8799', relay.url);
  }

  function shownAfter(call = ''): Record<string, unknown> {
    return JSON.parse(jsonBlocks(readme.split(call)[1] ?? '')[0] ?? '') as Record<string, unknown>;
  }
});

test('README: each key command is one that the program knows, with options that it knows', () => {
  const context = { dataDir: () => '' };
  const program = new Command();
  for (const add of [addKeyCommand, addUsageCommand, addLogsCommand]) add(program, context);
  const block = shellBlocks(section(readme, '## Keys'))[0] ?? '';
  const lines = block.split('\n').filter((line) => /^bin\/claude-relay (?:key|usage|logs) /.test(line));
  assert.ok(lines.length >= 6);
  for (const line of lines) {
    const words = line.replace(/ #.*/, '').trim().split(/ +/).slice(1);
    let command: Command = program;
    for (const word of words) command = command.commands.find((each) => each.name() === word) ?? command;
    assert.equal(command.commands.length, 0, line);
    const known = new Set(command.options.flatMap(({ short, long }) => [short, long]));
    for (const option of words.filter((word) => word.startsWith('-'))) assert.ok(known.has(option), line);
  }
});
