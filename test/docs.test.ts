/** The tables and samples of the documents match the program: codes, limits, routes, fields, answers. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { completeRequest } from '../src/api.ts';
import type { UsageWindows } from '../src/claude/usage-windows.ts';
import * as anthropicParameters from '../src/dialects/anthropic/parameters.ts';
import { messagesRequest } from '../src/dialects/anthropic/schema.ts';
import {
  chatCompletionRequest,
  parametersWithoutEffect,
  refusedParameters as refusedOfChat,
} from '../src/dialects/openai/request.ts';
import * as responsesParameters from '../src/dialects/openai/responses/request.ts';
import { errorTable, limitNames } from '../src/errors.ts';
import { jobBounds } from '../src/http/async/jobs.ts';
import { keptItemBounds } from '../src/http/async/kept-items.ts';
import { repeatBounds } from '../src/http/async/remembered-runs.ts';
import { pageRequest } from '../src/pages/request.ts';
import { mostPerKey } from '../src/webhooks/outbox.ts';
import { webhookBounds } from '../src/webhooks/webhooks.ts';
import type { PageResult } from '../src/pages/fetch.ts';
import { eventually, root, startTestRelay, type TestRelay } from './support/relay.ts';

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const readme = read('README.md');
const api = read('docs/api.md');
const fetchDoc = read('docs/fetch.md');

/** The fields of a fetched page; the compiler holds it to the type. */
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
} as const satisfies Record<keyof PageResult, true>;

/** The usage windows of a plan; the compiler holds them to the type. */
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

/** Both in the same order, whatever order they were in. */
function assertSame(documented: readonly unknown[], real: readonly unknown[]): void {
  const sorted = (items: readonly unknown[]): string[] =>
    items.map((item) => JSON.stringify(item)).toSorted((a, b) => a.localeCompare(b));
  assert.ok(real.length > 0);
  assert.deepEqual(sorted(documented), sorted(real));
}

function jsonBlocks(text: string): string[] {
  return [...text.matchAll(/^```json\n(.*?)^```$/gms)].map((match) => match[1] ?? '');
}

describe('the tables of the documents', () => {
  test('docs/api.md lists every error code with its status, and no other', () => {
    const documented = [
      ...rows(section(api, '## Errors').split('###')[0] ?? ''),
      ...rows(section(api, '### Errors of a page fetch')),
    ].map(([code, status]) => [code, status]);
    const real = Object.entries(errorTable).map(([code, { status }]) => [code, String(status)]);
    assertSame(documented, real);
  });

  test('docs/api.md says what the relay does with each parameter of a message', () => {
    const [parameters = ''] = section(api, '## POST /v1/messages').split('**Messages**');
    const named = (becomes: string): string[] =>
      rows(parameters).flatMap(([name = '', treatment]) => (treatment === becomes ? [name] : []));
    const special = { ...anthropicParameters.ignoredParameters, ...anthropicParameters.refusedParameters };
    assertSame(
      named('used'),
      Object.keys(messagesRequest.shape).filter((name) => !(name in special)),
    );
    assertSame(named('no effect'), Object.keys(anthropicParameters.ignoredParameters));
    assertSame(named('400'), Object.keys(anthropicParameters.refusedParameters));
  });

  test('docs/api.md lists every field of a completion, and no other', () => {
    const [request = ''] = section(api, '## POST /v1/complete').split('\nThe answer with');
    assertSame(
      rows(request).map(([field]) => field),
      Object.keys(completeRequest.shape),
    );
  });

  test('docs/api.md says what the relay does with each parameter of a chat completion', () => {
    const [parameters = ''] = section(api, '## POST /v1/chat/completions').split('**Messages**');
    const named = (becomes: string): string[] =>
      rows(parameters).flatMap(([name = '', treatment]) => (treatment === becomes ? [name] : []));
    const special = { ...parametersWithoutEffect, ...refusedOfChat };
    assertSame(
      named('used'),
      Object.keys(chatCompletionRequest.shape).filter((name) => !(name in special)),
    );
    assertSame(named('no effect'), Object.keys(parametersWithoutEffect));
    assertSame(named('400'), Object.keys(refusedOfChat));
  });

  test('docs/api.md says what the relay does with each parameter of a response', () => {
    const [parameters = ''] = section(api, '## POST /v1/responses').split('**Input**');
    const named = (becomes: string): string[] =>
      rows(parameters).flatMap(([name = '', treatment]) => (treatment === becomes ? [name] : []));
    const special = {
      ...responsesParameters.parametersWithoutEffect,
      ...responsesParameters.refusedParameters,
    };
    assertSame(
      named('used'),
      Object.keys(responsesParameters.responsesRequest.shape).filter((name) => !(name in special)),
    );
    assertSame(named('no effect'), Object.keys(responsesParameters.parametersWithoutEffect));
    assertSame(named('400'), Object.keys(responsesParameters.refusedParameters));
  });

  test('docs/fetch.md lists every field of a fetch with its default, and no other', () => {
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

  test('docs/fetch.md lists every field of a fetched page, and no other', () => {
    const documented = rows(section(fetchDoc, '## The answer').split('###')[0] ?? '').map(([field]) => field);
    assertSame(documented, Object.keys(pageFields));
  });

  test('the fetches of README and docs/api.md are valid, and the answer has every field', () => {
    const [asked = '', answered = ''] = jsonBlocks(section(api, '## POST /v1/fetch'));
    const inReadme = /\{"url".*\}/.exec(readme)?.[0] ?? '';
    for (const body of [asked, inReadme]) assert.ok(pageRequest.safeParse(JSON.parse(body)).success, body);
    const { ok, ...page } = JSON.parse(answered) as Record<string, unknown>;
    assert.equal(ok, true);
    const content = new Set(['html', 'text', 'markdown', 'metadata', 'body']);
    const shown = Object.keys(page);
    assert.equal(shown.filter((field) => content.has(field)).length, 1);
    assertSame(
      shown.filter((field) => !content.has(field)),
      Object.keys(pageFields).filter((field) => !content.has(field)),
    );
  });

  test('docs/api.md shows every usage window of a plan', () => {
    const shown = JSON.parse(jsonBlocks(section(api, '## GET /v1/usage')).at(-1) ?? '') as {
      plan: Record<string, object>;
    };
    assertSame(Object.keys(shown.plan), Object.keys(planFields));
  });

  test('docs/adr/001-dependencies.md lists every dependency, and no other', () => {
    const manifest = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
    assertSame(
      rows(read('docs/adr/001-dependencies.md')).map(([name]) => name),
      Object.keys(manifest.dependencies),
    );
  });

  test('docs/api.md says how many answers are kept, and for how long', () => {
    const mib = (bytes: number): string => `${bytes / 1024 / 1024} MiB`;
    const real = [
      ['jobs', 'JOB_TTL seconds', jobBounds],
      ['idempotent requests', `${repeatBounds.ttlMs / 60_000} minutes`, repeatBounds],
      ['items of responses', `${keptItemBounds.ttlMs / 3_600_000} hour after their last use`, keptItemBounds],
    ] as const;
    assertSame(
      rows(section(api, '### What is kept')),
      real.map(([name, time, { perKey, all, bytesPerKey, bytesInAll }]) => [
        name,
        time,
        String(perKey),
        String(all),
        mib(bytesPerKey),
        mib(bytesInAll),
      ]),
    );
  });

  test('docs/api.md lists the bounds of webhooks', () => {
    const time = (ms: number): string =>
      ms < 60_000 ? `${ms / 1000} s` : ms < 3_600_000 ? `${ms / 60_000} min` : `${ms / 3_600_000} h`;
    const { pausesMs, attemptMs, atOncePerKey, atOnce } = webhookBounds;
    const hours = pausesMs.reduce((sum, ms) => sum + ms) / 3_600_000;
    assert.deepEqual(rows(section(api, '## Webhooks').split('| Bound')[1] ?? ''), [
      ['pauses between attempts', pausesMs.map(time).join(', ')],
      ['attempts', `${pausesMs.length + 1}, in about ${hours.toFixed(1)} hours`],
      ['time of an attempt', time(attemptMs)],
      ['attempts at the same time', `${atOncePerKey} for one key, ${atOnce} in all`],
      ['undelivered webhooks of one key', `${mostPerKey}, then 429`],
    ]);
  });

  test('docs/api.md lists every limit of a 429, and no other', () => {
    const documented = rows(section(api, '### Limits of a 429')).map(([name]) => name);
    assertSame(documented, limitNames);
  });
});

describe('the files and links of the documents exist', () => {
  const documents = globSync(['*.md', 'docs/**/*.md'], { cwd: root });
  /** In backticks: a path from the root of the repository, where `*` stands for any name, or a test by its name alone. */
  const named =
    /`((?:src|test|docs|bin|scripts|bench(?!\/results)|\.ci|\.github)\/[\w./*-]*|[\w.-]+\.(?:sh|env\.example|test\.ts))`/g;
  const exists = (path: string): boolean =>
    globSync([path, `{src,test}/**/${path}`], { cwd: root }).length > 0;

  for (const document of documents) {
    test(`every file and link in ${document} exists`, () => {
      const text = read(document);
      const paths = [...text.matchAll(named)].map((match) => match[1] ?? '');
      const missing = paths.filter((path) => !exists(path));
      const links = [...text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map((match) => match[1] ?? '');
      const broken = links
        .filter((link) => !link.startsWith('https://'))
        .filter((link) => !existsSync(join(root, dirname(document), link)));
      assert.deepEqual([...new Set([...missing, ...broken])], []);
    });
  }

  test('package.json has every script that the documents name', () => {
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
});

test('ring 1 of docs/audit.md has at most 6,000 lines', () => {
  const [ring = ''] = read('docs/audit.md').split('\n## Ring 1')[1]?.split('\n## ') ?? [];
  const named = [...ring.matchAll(/`(src\/[^`]+)`/g)].map(([, path = '']) => path);
  const files = named.flatMap((path) => {
    const found = globSync(path.endsWith('/') ? `${path}**/*.ts` : path, { cwd: root });
    assert.ok(found.length > 0, `${path} does not exist`);
    return found.filter((file) => !file.endsWith('.test.ts'));
  });
  assert.equal(new Set(files).size, files.length, 'a file is named twice');
  const lines = files.map((file) => read(file).split('\n').length - 1);
  const total = lines.reduce((sum, each) => sum + each, 0);
  assert.ok(total > 4000 && total <= 6000, `${total} lines`);
});

describe('the routes and answers of the documents', () => {
  let relay: TestRelay;
  before(async () => {
    // On, so that the windows of /v1/usage are there.
    relay = await startTestRelay({
      proof: false,
      settings: { PER_KEY_RPM: '1000', PER_KEY_DAILY: '1000', GLOBAL_DAILY: '1000' },
    });
  });
  after(() => relay.stop());

  /** The routes of `GET /openapi.json`: `GET /health`. */
  const routes = async (): Promise<string[]> => {
    const { paths } = (await (await fetch(`${relay.url}/openapi.json`)).json()) as {
      paths: Record<string, object>;
    };
    return Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
    );
  };
  const answerTo = async (body: object): Promise<Record<string, unknown>> =>
    (await (await relay.post(body)).json()) as Record<string, unknown>;
  const parse = (block = ''): Record<string, object> => JSON.parse(block) as Record<string, object>;

  test('docs/api.md has every route in its overview and as a section, and no other', async () => {
    const real = await routes();
    const overview = rows(api.split('\n## ')[0] ?? '').map(([route]) => route);
    assertSame(overview, real);
    const sections = [...api.matchAll(/^## ((?:GET|POST|DELETE) .*)$/gm)].map((match) => match[1]);
    assertSame(sections, real);
  });

  test('a completion has the fields that README and docs/api.md show', async () => {
    const [text, json] = jsonBlocks(section(api, '## POST /v1/complete'));
    const asText = Object.keys(await answerTo({ prompt: 'Say hello.' }));
    assert.deepEqual(asText, Object.keys(parse(text)));
    assert.deepEqual(asText, Object.keys(parse(jsonBlocks(readme)[0])));
    const asJson = await answerTo({ prompt: 'Say hello.', output_format: 'json' });
    assert.deepEqual(Object.keys(asJson), Object.keys(parse(json)));
    assert.deepEqual(Object.keys(asJson['usage'] as object), Object.keys(parse(json)['usage'] ?? {}));
  });

  test('an error has the fields that docs/api.md shows', async () => {
    const shown = parse(jsonBlocks(section(api, '## Errors'))[0]);
    assert.deepEqual(Object.keys(await answerTo({ prompt: 'x', top_p: 1 })), Object.keys(shown));
  });

  test('each GET route answers with the fields that docs/api.md shows', async () => {
    const { job } = (await answerTo({ prompt: 'x', async: true })) as { job: { url: string } };
    const background = await relay.post({ input: 'hi', background: true }, { path: '/v1/responses' });
    const { id } = (await background.json()) as { id: string };
    const get = async (path: string): Promise<Record<string, object>> => {
      const response = await fetch(`${relay.url}${path}`, { headers: { 'x-api-key': relay.key } });
      assert.equal(response.status, 200, path);
      return (await response.json()) as Record<string, object>;
    };
    await eventually('the job is done', async () => JSON.stringify(await get(job.url)).includes('"done"'));
    for (const route of (await routes()).filter((each) => each.startsWith('GET '))) {
      const path = route
        .slice('GET '.length)
        .replace('/v1/jobs/:id', job.url)
        .replace('/v1/responses/:id', `/v1/responses/${id}`)
        .replace('/v1/models/:id', '/v1/models/opus');
      const body = await get(path);
      const shown = parse(jsonBlocks(section(api, `## ${route}`))[0]);
      assert.deepEqual(Object.keys(body), Object.keys(shown), route);
      for (const part of ['key', 'limits', 'fetch_limits', 'job']) {
        assert.deepEqual(Object.keys(body[part] ?? {}), Object.keys(shown[part] ?? {}), `${route} ${part}`);
      }
    }
  });
});
