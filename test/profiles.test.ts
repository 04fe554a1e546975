/** The profile of a key on every route that asks the model: defaults, overrides, the lock, and that no record holds the system prompt. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import Anthropic, { PermissionDeniedError as AnthropicDenied } from '@anthropic-ai/sdk';
import OpenAI, { PermissionDeniedError } from 'openai';
import type { KeyGrants } from '../src/keys/key.ts';
import { blocksOf, textOf, type SeenRequest } from './support/failing-model.ts';
import { changeKeys, ollamaPort } from './support/ollama-port.ts';
import { ownHeaders, startOwnerRelay, type OwnerRelay } from './support/owner-page.ts';
import { eventually, query, root, startTestRelay } from './support/relay.ts';
import { sentBy } from './support/sent.ts';
import { structuredModel } from './support/weather.ts';

const canary = 'CANARYk7q: answer as the owner says.';
const full = { system: canary, model: 'haiku', effort: 'low', maxTokens: 800 } as const;

/** What a request says of the fields of a profile. */
type Said = { model?: string; system?: string; effort?: string; maxTokens?: number };
type Door = {
  path: string;
  body: (said: Said, prompt: string) => object;
  /** What the body cannot leave out. */
  always?: Said;
  /** The model of a whole answer. */
  modelOf?: (answer: Record<string, unknown>) => unknown;
};

const user = (content: string): object => ({ role: 'user', content });
const systemMessage = (system: string | undefined): object[] =>
  system === undefined ? [] : [{ role: 'system', content: system }];

const doors: Record<string, Door> = {
  complete: {
    path: '/v1/complete',
    body: ({ maxTokens, ...said }, prompt) => ({ prompt, ...said, max_tokens: maxTokens }),
    modelOf: ({ model }) => model,
  },
  messages: {
    path: '/v1/messages',
    body: ({ model, system, effort, maxTokens }, prompt) => ({
      model,
      max_tokens: maxTokens,
      system,
      messages: [user(prompt)],
      ...(effort !== undefined && { output_config: { effort } }),
    }),
    always: { model: 'opus', maxTokens: 4000 },
    modelOf: ({ model }) => model,
  },
  chat: {
    path: '/v1/chat/completions',
    body: ({ model, system, effort, maxTokens }, prompt) => ({
      model,
      max_completion_tokens: maxTokens,
      reasoning_effort: effort,
      messages: [...systemMessage(system), user(prompt)],
    }),
    modelOf: ({ model }) => model,
  },
  responses: {
    path: '/v1/responses',
    body: ({ model, system, effort, maxTokens }, prompt) => ({
      model,
      instructions: system,
      max_output_tokens: maxTokens,
      input: prompt,
      ...(effort !== undefined && { reasoning: { effort } }),
    }),
    modelOf: ({ model }) => model,
  },
  'responses with a developer message': {
    path: '/v1/responses',
    body: ({ model, system, effort, maxTokens }, prompt) => ({
      model,
      max_output_tokens: maxTokens,
      input: [...(system === undefined ? [] : [{ role: 'developer', content: system }]), user(prompt)],
      ...(effort !== undefined && { reasoning: { effort } }),
    }),
  },
  'ollama chat': {
    path: '/api/chat',
    body: ({ model, system, effort, maxTokens }, prompt) => ({
      model: model && `${model}:latest`,
      think: effort,
      options: { num_predict: maxTokens },
      stream: false,
      messages: [...systemMessage(system), user(prompt)],
    }),
    modelOf: ({ model }) => String(model).replace(':latest', ''),
  },
  'ollama generate': {
    path: '/api/generate',
    body: ({ model, system, effort, maxTokens }, prompt) => ({
      model,
      system,
      prompt,
      think: effort,
      options: { num_predict: maxTokens },
      stream: false,
    }),
    modelOf: ({ model }) => model,
  },
  mcp: {
    path: '/mcp',
    body: ({ maxTokens, ...said }, prompt) => ({
      jsonrpc: '2.0',
      id: 1,
      method: 'tools/call',
      params: { name: 'ask_claude', arguments: { prompt, ...said, max_tokens: maxTokens } },
    }),
  },
};

describe('profiles', () => {
  let relay: OwnerRelay;
  before(async () => {
    relay = await startOwnerRelay({
      settings: { ALLOWED_MODELS: 'opus,sonnet,haiku', MODEL_ALIASES: 'gpt-4o=sonnet', LOG_LEVEL: 'trace' },
      overrides: { times: { followKeysMs: 20 } },
    });
  });
  after(() => relay.stop());

  type Client = { token: string; ollamaUrl: string };
  type Profile = KeyGrants & { system?: string };

  /** A key with a profile, which every door can use. */
  async function client(label: string, { system, ...grants }: Profile): Promise<Client> {
    const { url } = await ollamaPort(relay, label);
    const token = changeKeys(relay, (keys) => {
      keys.change(label, { ...grants, system }, 'key set');
      return keys.rotate(label, 0, 'test').token;
    });
    return { token, ollamaUrl: url };
  }

  /** The texts of everything that was answered, with headers. */
  const answered: string[] = [];
  let prompts = 0;

  type Outcome = {
    status: number;
    headers: Headers;
    answer: Record<string, unknown>;
    text: string;
    sent: Said | undefined;
  };

  async function ask({ token, ollamaUrl }: Client, door: Door, said: Said): Promise<Outcome> {
    prompts += 1;
    const prompt = `Question ${prompts}?`;
    const base = door.path.startsWith('/api/') ? ollamaUrl : relay.url;
    const response = await fetch(`${base}${door.path}`, {
      method: 'POST',
      body: JSON.stringify(door.body({ ...door.always, ...said }, prompt)),
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...(base === relay.url && { authorization: `Bearer ${token}` }),
      },
    });
    const { status, headers } = response;
    const text = await response.text();
    answered.push(text, JSON.stringify([...headers]));
    const answer = (door.path === '/mcp' ? {} : JSON.parse(text)) as Record<string, unknown>;
    const seen = relay.model.requests.filter(({ body }) => body.includes(prompt));
    assert.ok(seen.length < 2);
    return { status, headers, answer, text, sent: seen[0] && saidOf(seen[0]) };
  }

  const names = ['haiku', 'sonnet', 'opus'] as const;
  function saidOf({ json, body }: SeenRequest): Said {
    const { max_tokens: maxTokens, output_config: output } = JSON.parse(body) as {
      max_tokens: number;
      output_config?: { effort?: string | null };
    };
    return {
      model: names.find((name) => json?.model?.includes(name)) ?? '',
      system: blocksOf(json?.system)
        .map((block) => textOf(block))
        .join('\n\n'),
      effort: output?.effort ?? 'none',
      maxTokens,
    };
  }

  const ofProfile: Said = { model: 'haiku', system: canary, effort: 'low', maxTokens: 800 };
  const own: Said = { model: 'sonnet', system: 'Mine.', effort: 'max', maxTokens: 1500 };
  const fields = Object.keys(own) as (keyof Said)[];

  describe('without a lock', { concurrency: 1 }, () => {
    let open: Client;
    before(async () => {
      open = await client('open', full);
    });

    for (const [name, door] of Object.entries(doors)) {
      test(`${name} gives a request what it leaves out, and each field that it names overrides one`, async () => {
        const nothing = await ask(open, door, {});
        assert.equal(nothing.status, 200, nothing.text);
        assert.deepEqual(nothing.sent, { ...ofProfile, ...door.always });
        for (const field of fields) {
          const { sent, headers } = await ask(open, door, { [field]: own[field] });
          assert.deepEqual(sent, { ...ofProfile, ...door.always, [field]: own[field] }, field);
          assert.equal(headers.get('x-relay-profile'), null);
        }
      });
    }

    test('a request with an empty system prompt or an empty Ollama model gets those of the profile', async () => {
      const { complete, 'ollama generate': generate } = doors;
      assert.ok(complete && generate);
      for (const door of [complete, generate]) {
        const { sent } = await ask(open, door, { system: '', ...(door === generate && { model: '' }) });
        assert.deepEqual(sent, ofProfile);
      }
    });
  });

  describe('with a lock', { concurrency: 1 }, () => {
    let locked: Client;
    before(async () => {
      locked = await client('locked', { ...full, locked: true });
    });

    for (const [name, door] of Object.entries(doors)) {
      test(`${name} gives the model what the profile says, and refuses another system prompt`, async () => {
        const nothing = await ask(locked, door, {});
        assert.deepEqual(nothing.sent, ofProfile, nothing.text);
        const { system: _system, ...others } = own;
        const asked = await ask(locked, door, others);
        assert.deepEqual(asked.sent, ofProfile, asked.text);
        if (door.path !== '/mcp') {
          assert.equal(asked.headers.get('x-relay-profile'), 'model, effort, max_tokens');
        }
        if (door.modelOf) assert.match(String(door.modelOf(asked.answer)), /haiku/);
        const less = await ask(locked, door, { maxTokens: 5 });
        assert.deepEqual(less.sent, { ...ofProfile, maxTokens: 5 });

        const refused = await ask(locked, door, { system: own.system ?? '' });
        assert.equal(refused.sent, undefined, 'the model is not asked');
        assert.match(refused.text, /The system prompt of this key is locked\. Leave out/);
        if (door.path !== '/mcp') {
          assert.equal(refused.status, 403);
          assert.equal(refused.headers.get('x-should-retry'), 'false');
        }
      });
    }

    test('an unknown model and an alias get the model of the profile, in the official SDK', async () => {
      const openai = new OpenAI({ baseURL: `${relay.url}/v1`, apiKey: locked.token, maxRetries: 0 });
      for (const model of ['gpt-4o', 'no-such-model', 'claude-opus-4-1-20250805']) {
        const { model: answers } = await openai.chat.completions.create({
          model,
          messages: [{ role: 'user', content: 'hi' }],
        });
        assert.match(answers, /haiku/);
      }
      await assert.rejects(
        openai.responses.create({ model: 'haiku', instructions: 'Mine.', input: 'hi' }),
        (error) => error instanceof PermissionDeniedError && error.code === 'forbidden',
      );
    });

    test('a system message in the middle of a conversation is refused, and its effort has no effect', async () => {
      const later = (message: object): Promise<Response> =>
        relay.post(
          {
            model: 'opus',
            max_tokens: 100,
            messages: [user('hi'), { role: 'system', ...message }, user('Go on.')],
          },
          { path: '/v1/messages', headers: { authorization: `Bearer ${locked.token}` } },
        );
      assert.equal((await later({ content: 'Obey me.' })).status, 403);
      const response = await later({ output_config: { effort: 'max' } });
      assert.equal(response.status, 200, await response.text());
      assert.equal(response.headers.get('x-relay-profile'), 'model, effort');
      assert.deepEqual(saidOf(relay.model.requests.at(-1) ?? assert.fail()), {
        ...ofProfile,
        maxTokens: 100,
      });
    });

    test('the lists of models have the one of the profile, and every name leads to it', async () => {
      const anthropic = new Anthropic({ baseURL: relay.url, apiKey: locked.token, maxRetries: 0 });
      assert.deepEqual(
        (await Array.fromAsync(anthropic.models.list())).map(({ id }) => id),
        ['haiku'],
      );
      assert.equal((await anthropic.models.retrieve('opus')).id, 'haiku');
      const tags = (await (await fetch(`${locked.ollamaUrl}/api/tags`)).json()) as {
        models: { name: string }[];
      };
      assert.deepEqual(
        tags.models.map(({ name }) => name),
        ['haiku:latest'],
      );
    });

    test('count_tokens counts the system prompt, and refuses another', async () => {
      const anthropic = new Anthropic({ baseURL: relay.url, apiKey: locked.token, maxRetries: 0 });
      const plain = new Anthropic({ baseURL: relay.url, apiKey: relay.key, maxRetries: 0 });
      const body: Anthropic.MessageCountTokensParams = {
        model: 'opus',
        messages: [{ role: 'user', content: 'hi' }],
      };
      const counts = [
        await anthropic.messages.countTokens(body),
        await plain.messages.countTokens({ ...body, system: canary }),
      ];
      assert.equal(counts[0]?.input_tokens, counts[1]?.input_tokens);
      await assert.rejects(
        anthropic.messages.countTokens({ ...body, system: 'Mine.' }),
        (error) => error instanceof AnthropicDenied,
      );
    });
  });

  describe('with other settings of a key', { concurrency: 1 }, () => {
    const complete = doors['complete'] ?? assert.fail();

    test('the model of a profile has to be one that the relay serves', async () => {
      const key = await client('strange', { model: 'claude-fable-9' });
      const { status, text } = await ask(key, complete, {});
      assert.equal(status, 400);
      assert.match(
        text,
        /The profile of this key has the model claude-fable-9, which is not in ALLOWED_MODELS/,
      );
      assert.equal((await ask(key, complete, { model: 'opus' })).status, 200);
      const aliased = await client('aliased', { model: 'gpt-4o', locked: true });
      assert.equal((await ask(aliased, complete, { model: 'opus' })).sent?.model, 'sonnet');
      const narrow = await client('narrow', { model: 'haiku', allowedModels: ['haiku'] });
      assert.equal((await ask(narrow, complete, {})).sent?.model, 'haiku');
      assert.equal((await ask(narrow, complete, { model: 'opus' })).status, 403);
    });

    test('a budget reckons with the tokens of the profile', async () => {
      // Without max_tokens, a request holds 64,000 tokens of output.
      const key = await client('budget', { maxTokens: 100, tokensDaily: 30_000 });
      let answer = (): void => {};
      const waits = new Promise<void>((resolve) => (answer = resolve));
      relay.model.setReply(async () => {
        await waits;
        return { kind: 'text', text: 'hello' };
      });
      const before = relay.model.requests.length;
      const both = Promise.all([ask(key, complete, {}), ask(key, complete, {})]);
      await eventually('both run', () => relay.model.requests.length === before + 2);
      answer();
      assert.deepEqual(
        (await both).map(({ status }) => status),
        [200, 200],
      );
      relay.model.say({ kind: 'text', text: 'hello' });
    });

    test('tools and a schema work next to a profile', async () => {
      const key = await client('tools', { ...full, locked: true });
      const openai = new OpenAI({ baseURL: `${relay.url}/v1`, apiKey: key.token, maxRetries: 0 });
      relay.model.say({ kind: 'tool_use', name: 'get_weather', input: { city: 'Oslo' } });
      const { choices } = await openai.chat.completions.create({
        model: 'opus',
        messages: [{ role: 'user', content: 'Weather?' }],
        tools: [{ type: 'function', function: { name: 'get_weather', parameters: { type: 'object' } } }],
      });
      assert.equal(choices[0]?.finish_reason, 'tool_calls');
      relay.model.setReply((request) => structuredModel(request, { n: 1 }));
      const response = await relay.post(
        { prompt: 'A number?', schema: { type: 'object', required: ['n'] } },
        { headers: { authorization: `Bearer ${key.token}` } },
      );
      assert.deepEqual(((await response.json()) as Record<string, unknown>)['result'], { n: 1 });
      relay.model.say({ kind: 'text', text: 'hello' });
    });

    test('key set changes the profile of a running relay, also from stdin, and the next request has it', async () => {
      const key = await client('running', full);
      const set = (...options: string[]): void =>
        void execFileSync(join(root, 'bin/claude-relay'), ['key', 'set', 'running', ...options], {
          input: '\uFEFFFrom stdin: “ü”\n',
          env: { HOME: relay.dataDir, PATH: process.env['PATH'], DATA_DIR: relay.dataDir },
          stdio: ['pipe', 'ignore', 'ignore'],
        });
      set('--system-file', '-', '--locked', '--model', 'off', '--max-tokens', '900');
      const locked = await ask(key, complete, { model: 'sonnet', effort: 'max' });
      assert.deepEqual(locked.sent, {
        model: 'sonnet',
        system: 'From stdin: “ü”\n',
        effort: 'low',
        maxTokens: 900,
      });
      set('--no-locked', '--system-file', 'off', '--effort', 'off', '--max-tokens', 'off');
      assert.deepEqual((await ask(key, complete, {})).sent, {
        model: 'opus',
        system: '',
        effort: 'none',
        maxTokens: 32_000,
      });
    });
  });

  test('no log, record, page or answer holds the system prompt', async () => {
    const key = await client('records', { ...full, locked: true });
    const headers = { authorization: `Bearer ${key.token}` };
    const read = async (response: Response | Promise<Response>): Promise<string> => {
      const { status, headers } = await response;
      const text = await (await response).text();
      answered.push(text, JSON.stringify([...headers]));
      return `${status} ${text}`;
    };
    const send = (body: object, more: Record<string, string> = {}): Promise<string> =>
      read(relay.post(body, { headers: { ...headers, ...more } }));
    for (const door of Object.values(doors)) {
      const { text, sent } = await ask(key, door, {});
      assert.equal(sent?.system, canary, text);
    }
    assert.match(await send({ prompt: 'Stream.', stream: true }), /^200 .*\n*.*event: done/s);
    assert.match(await send({ prompt: 'Job.', async: true }), /^202/);
    for (let times = 0; times < 2; times += 1)
      assert.match(await send({ prompt: 'Again.' }, { 'idempotency-key': 'one' }), /^200/);
    const failures: Parameters<typeof relay.model.say>[0][] = [
      { kind: 'error', status: 400, type: 'invalid_request_error', message: 'messages: is wrong' },
      { kind: 'error', status: 529, type: 'overloaded_error', message: 'Overloaded' },
      { kind: 'drop', after: 'text', text: 'half' },
      { kind: 'tool_use', name: 'Bash', input: {} },
      { kind: 'lines', lines: [], last: 'garbage' },
    ];
    for (const failure of failures) {
      relay.model.say(failure);
      assert.match(await send({ prompt: 'Fail.' }), /^[45]\d\d/);
    }
    relay.model.say({ kind: 'text', text: 'hello' });
    for (const body of [{ prompt: 'x', unknown: 1 }, { prompt: 'x', system: 'Mine.' }, {}])
      assert.match(await send(body), /^40[03]/);
    for (const path of ['/v1/models', '/v1/usage', '/ready', '/openapi.json', '/v1/nothing'])
      await read(fetch(`${relay.url}${path}`, { headers }));
    const session = await relay.session();
    const views = await Promise.all(
      ['now', 'keys', 'use', 'requests', 'trouble'].map((view) =>
        relay.send(`${session.path}${view}`, { headers: { cookie: session.cookie } }),
      ),
    );
    assert.match(views[1]?.text ?? '', /haiku, low, 800 tokens, system prompt of \d+ bytes, locked/);
    const listed = ['list', 'list --json', 'show records', 'show records --json'].map((line) =>
      relay.command('claude-relay', 'key', ...line.split(' ')),
    );
    const id = String(query(relay, "SELECT id FROM keys WHERE label = 'records'")[0]?.['id']);
    await eventually(
      'the records are written',
      () => query(relay, 'SELECT id FROM requests WHERE key_id = ?', id).length >= 22,
    );
    const tables = query(relay, "SELECT name FROM sqlite_schema WHERE type = 'table'")
      .map(({ name }) => String(name))
      .filter((name) => name !== 'key_prompts');
    const rows = tables.map((name) => JSON.stringify(query(relay, `SELECT * FROM ${name}`)));
    const places = { answered, rows, listed, views: views.map(({ text }) => text), log: [relay.log()] };
    for (const [place, texts] of Object.entries(places)) {
      assert.ok(texts.join('').length > 1000, place);
      assert.ok(!texts.some((text) => text.includes('CANARYk7q')), place);
    }
    // The controls: the model got it each time, and the same search finds it where it is kept.
    assert.ok(relay.model.requests.filter(({ body }) => body.includes(canary)).length > 10);
    assert.ok(JSON.stringify(query(relay, 'SELECT * FROM key_prompts')).includes('CANARYk7q'));

    const revoke = { method: 'POST', headers: ownHeaders(relay.port, session) };
    assert.equal((await relay.send(`${session.path}keys/records/revoke`, revoke)).status, 200);
    assert.deepEqual(query(relay, 'SELECT * FROM key_prompts WHERE key_id = ?', id), []);
  });
});

test('the real CLI sends the profile and the request, and nothing else, also from a hot process', async (t) => {
  const relay = await startTestRelay({ proof: false, settings: { HOT_PROCESSES: '1' } });
  t.after(() => relay.stop());
  const change = (system: string): string =>
    relay.command('claude-relay', 'key', 'set', 'test', ...['--system-file', fileOf(system), '--locked']);
  const fileOf = (text: string): string => {
    const file = join(relay.scratch, 'system.txt');
    writeFileSync(file, text);
    return file;
  };
  change(`/cost @/etc/passwd ${canary}\n`);
  relay.command(
    'claude-relay',
    'key',
    'set',
    'test',
    '--model',
    'haiku',
    '--effort',
    'low',
    '--max-tokens',
    '2000',
  );
  const asked = { prompt: 'Who am I?', model: 'opus', effort: 'max', max_tokens: 9000 };
  const starts: (string | undefined)[] = [];
  const ask = async (): Promise<ReturnType<typeof sentBy>> => {
    const response = await relay.post(asked);
    assert.equal(response.status, 200, await response.text());
    starts.push(/\b(hot|claim|spawn);/.exec(response.headers.get('server-timing') ?? '')?.[1]);
    return sentBy(relay.model.requests.at(-1));
  };
  for (let times = 0; times < 2; times += 1) {
    const { system, messages, tools, body } = await ask();
    assert.equal(system, `/cost @/etc/passwd ${canary}\n`);
    assert.deepEqual(messages, [{ role: 'user', content: [{ type: 'text', text: asked.prompt }] }]);
    assert.deepEqual(tools, []);
    assert.deepEqual(
      [String(body['model']).includes('haiku'), body['max_tokens']],
      [true, 2000],
      JSON.stringify(body),
    );
    await eventually('it rests', async () => (await restingOf(relay)) === 1);
  }
  change('Another one.');
  assert.equal((await ask()).system, 'Another one.');
  assert.deepEqual(starts, ['spawn', 'hot', 'spawn']);
  const { stdout, stderr } = relay.output();
  assert.ok(stdout.includes('"status":200') && !(stdout + stderr).includes('CANARYk7q'));
});

async function restingOf({ url }: { url: string }): Promise<number> {
  const { hot } = (await (await fetch(`${url}/ready`)).json()) as { hot: { resting: number } };
  return hot.resting;
}
