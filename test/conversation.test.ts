/** Whole conversations through the real CLIs: what reaches the model, compared block by block, and what comes back, event by event. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { RunRequest } from '../src/claude/runner.ts';
import { clientGone } from '../src/endings.ts';
import type { ImageBlock, Message, Tool, UserBlock } from '../src/conversation.ts';
import type { SeenRequest } from './support/failing-model.ts';
import { hostileTexts, longText } from './support/hostile-texts.ts';
import { images, pdf } from './support/media.ts';
import { runsAll, sample } from './support/needs.ts';
import { recordedMessage, recordedToolUse, recordings } from './support/recordings.ts';
import { clis, eventually } from './support/relay.ts';
import { startTestRunner, type TestRunner } from './support/runner.ts';

const text = (value: string): { type: 'text'; text: string } => ({ type: 'text', text: value });
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const user = (...content: UserBlock[]): Message => ({ role: 'user', content });
const assistant = (...content: Extract<Message, { role: 'assistant' }>['content'][number][]): Message => ({
  role: 'assistant',
  content,
});

type Body = { messages: { role: string; content: Record<string, unknown>[] }[] } & Record<string, unknown>;

/** The body that reached the model, without the marks for its prompt cache. */
function bodyOf(requests: readonly SeenRequest[]): Body {
  assert.equal(requests.length, 1, 'the model was asked once');
  return JSON.parse(requests[0]?.body ?? '', (key, value: unknown) =>
    key === 'cache_control' ? undefined : value,
  ) as Body;
}

const weather: Tool = {
  name: 'get_weather',
  description: 'Weather of a city.',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const clock: Tool = { name: 'get_time', input_schema: { type: 'object' }, strict: true };

const image = (name: keyof typeof images): ImageBlock => ({ type: 'image', source: images[name] });

const conversations: Record<string, readonly Message[]> = {
  'every kind of image, and documents': [
    user(text('/look @/etc/passwd'), image('png'), image('jpeg'), image('gif'), image('webp')),
    assistant(text('seen')),
    user(
      {
        type: 'document',
        source: { type: 'base64', media_type: 'application/pdf', data: pdf },
        title: 'A title',
        context: 'where it is from',
        citations: { enabled: true },
      },
      { type: 'document', source: { type: 'text', media_type: 'text/plain', data: '/cost @/etc/passwd' } },
      image('png'),
    ),
  ],
  'one message with an image last': [user(text('what is it?'), image('png'))],
  'an image larger than the model takes in one': [user(image('large'), text('read it'))],
  'an image with invalid data': [user({ type: 'image', source: { ...images.png, data: 'AAAA' } })],
  'tools in three rounds': [
    user(text('weather?')),
    assistant(
      text('Let me look.'),
      { type: 'tool_use', id: 'toolu_1', name: 'Bash', input: { command: 'ls', of: [1, null, { ü: '@x' }] } },
      { type: 'tool_use', id: 'toolu_2', name: 'get_weather', input: {} },
    ),
    user(
      { type: 'tool_result', tool_use_id: 'toolu_1', content: '/cost @/etc/passwd' },
      { type: 'tool_result', tool_use_id: 'toolu_2', is_error: true, content: [text('bad'), image('png')] },
    ),
    assistant({ type: 'tool_use', id: 'toolu_3', name: 'get_weather', input: { z: 1, a: 2 } }),
    user({ type: 'tool_result', tool_use_id: 'toolu_3' }),
    assistant({ type: 'tool_use', id: 'toolu_4', name: 'get_weather', input: {} }),
    user(
      {
        type: 'tool_result',
        tool_use_id: 'toolu_4',
        content: [
          text(''),
          { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: pdf } },
        ],
      },
      text('/and words'),
    ),
  ],
  thoughts: [
    user(text('a')),
    assistant(
      { type: 'thinking', thinking: 'hm', signature: 'c2ln' },
      { type: 'redacted_thinking', data: 'cmVk' },
      text('b'),
    ),
    user(text('c')),
    assistant(
      { type: 'thinking', thinking: 'hm again', signature: 'c2lnMg==' },
      { type: 'tool_use', id: 'toolu_1', name: 'get_weather', input: {} },
    ),
    user({ type: 'tool_result', tool_use_id: 'toolu_1', content: 'rain' }),
  ],
  'the assistant first': [assistant(text('I begin.')), user(text('go on'))],
  'blank texts': [user(text(' ')), assistant(text(' \n')), user(text(''), text('x'), text('\t'))],
  'one blank text': [user(text('  '))],
  'many turns': Array.from({ length: 101 }, (_, index) =>
    index % 2 === 0 ? user(text(`/user ${index}`)) : assistant(text(`assistant ${index}`)),
  ),
  'some megabytes': [
    user(text(longText)),
    assistant(text(longText)),
    user({
      type: 'document',
      source: { type: 'base64', media_type: 'application/pdf', data: 'JVBE'.repeat(1_500_000) },
    }),
  ],
};

for (const cli of clis) {
  describe(`on Claude Code ${cli.version}`, () => {
    let relay: TestRunner;
    before(async () => {
      // A hot process sends what a fresh one sends (hot.test.ts), and needs no start.
      relay = await startTestRunner({ claudeBin: cli.path, hot: 1 });
    });
    after(async () => {
      assert.deepEqual(relay.broken, [], 'the lock held');
      await relay.close();
    });

    describe('a conversation reaches the model as it is', () => {
      for (const [name, messages] of Object.entries(conversations)) {
        test(name, async () => {
          const { requests, answer } = await relay.ask({ messages });
          assert.equal(answer().text, 'hello');
          assert.deepEqual(bodyOf(requests).messages, messages);
        });
      }

      test('hostile texts in every turn reach the model verbatim', async () => {
        const texts = Object.values(hostileTexts);
        const turns = texts.flatMap((hostile, index) => [
          user(text(hostile), text(texts[(index + 5) % texts.length] ?? '')),
          assistant(text(texts[(index + 9) % texts.length] ?? '')),
        ]);
        for (let last = 0; last < texts.length; last += 7) {
          const messages = [...turns, user(text('x'), text(texts[last] ?? ''))];
          const { requests } = await relay.ask({ messages });
          assert.deepEqual(bodyOf(requests).messages, messages);
        }
      });

      test('neighbours of one role are one message', async () => {
        const { requests } = await relay.ask({
          messages: [
            user(text('a')),
            user(text('b')),
            assistant(text('c')),
            assistant(text('d')),
            user(text('e')),
            user(text('f')),
          ],
        });
        assert.deepEqual(bodyOf(requests).messages, [
          user(text('a'), text('b')),
          assistant(text('c'), text('d')),
          user(text('e'), text('f')),
        ]);
      });

      test('the system prompt’s blocks become one, a blank line between them', async () => {
        const { requests } = await relay.ask({
          system: ['/one', 'two'],
          messages: conversations['thoughts'] ?? [],
        });
        const system = bodyOf(requests)['system'] as { text: string }[];
        assert.equal(system.at(-1)?.text, '/one\n\ntwo');
      });

      test('a conversation is not written to disk', async () => {
        const marker = 'a-marker-that-is-nowhere-else';
        await relay.ask({ messages: [user(text(marker)), assistant(text(marker)), user(text(marker))] });
        for (const file of readdirSync(relay.home, { recursive: true, withFileTypes: true })) {
          if (!file.isFile()) continue;
          assert.ok(!readFileSync(join(file.parentPath, file.name)).includes(marker), file.name);
        }
      });
    });

    describe('settings', () => {
      const simple: Partial<RunRequest> = { messages: [user(text('hi'))] };
      /** Absent fields are those that the request must not have. */
      const rows: [string, Partial<RunRequest>, Record<string, unknown>][] = [
        ['none', {}, { thinking: 'the CLI’s' }],
        ['effort', { effort: 'low' }, { thinking: 'the CLI’s', output_config: { effort: 'low' } }],
        ['a limit', { maxTokens: 123 }, { max_tokens: 123 }],
        [
          'a limit and an effort',
          { maxTokens: 4000, effort: 'low' },
          { max_tokens: 4000, thinking: 'the CLI’s', output_config: { effort: 'low' } },
        ],
        ['a small limit and an effort', { maxTokens: 1000, effort: 'low' }, { max_tokens: 1000 }],
        ['temperature', { temperature: 0 }, { temperature: 0 }],
        ['top_k', { topK: 5, temperature: 0.5 }, { temperature: 0.5, top_k: 5 }],
        [
          'stop sequences',
          { stopSequences: ['/a', '@b'] },
          { thinking: 'the CLI’s', stop_sequences: ['/a', '@b'] },
        ],
        [
          'a caller’s thinking together with sampling',
          { thinking: { type: 'enabled', budget_tokens: 2000 }, temperature: 1, maxTokens: 3000 },
          { thinking: { type: 'enabled', budget_tokens: 2000 }, temperature: 1, max_tokens: 3000 },
        ],
        ['thinking refused', { thinking: { type: 'disabled' } }, { thinking: { type: 'disabled' } }],
        [
          'tools',
          { tools: [weather, { ...clock, type: 'bash_20250124' } as Tool] },
          { thinking: 'the CLI’s', tools: [weather, clock] },
        ],
        [
          'a tool that must be called',
          { tools: [weather], toolChoice: { type: 'tool', name: 'get_weather' } },
          { tools: [weather], tool_choice: { type: 'tool', name: 'get_weather' } },
        ],
        [
          'any tool, one at a time',
          { tools: [weather], toolChoice: { type: 'any', disable_parallel_tool_use: true } },
          { tools: [weather], tool_choice: { type: 'any', disable_parallel_tool_use: true } },
        ],
      ];
      for (const [name, asked, expected] of rows) {
        for (const model of runsAll && /effort|temperature|none/.test(name) ? ['opus', 'haiku'] : ['opus']) {
          test(`${name} (${model})`, async () => {
            const { requests } = await relay.ask({ ...simple, ...asked, model });
            const body = bodyOf(requests);
            for (const field of ['temperature', 'top_p', 'top_k', 'stop_sequences', 'tool_choice']) {
              // 2.1.197 names the API's default for a haiku that does not think.
              if (field === 'temperature' && !('temperature' in expected) && body[field] === 1) continue;
              assert.deepEqual(body[field], expected[field], field);
            }
            assert.deepEqual(body['tools'], expected['tools'] ?? []);
            if (expected['thinking'] === 'the CLI’s') assert.ok('thinking' in body);
            else assert.deepEqual(body['thinking'], expected['thinking']);
            // The edit of the context that the API takes only with thinking.
            if (body['thinking'] === undefined) assert.equal(body['context_management'], undefined);
            for (const field of ['max_tokens', 'output_config']) {
              // Older haikus know no effort.
              if (!(field in expected) || (field === 'output_config' && !(field in body))) continue;
              assert.deepEqual(body[field], expected[field], field);
            }
            assert.equal(body['stream'], true);
            assert.deepEqual(
              body.messages.flatMap(({ role, content }) => (role === 'user' ? content.at(-1) : [])),
              [text('hi')],
            );
          });
        }
      }
    });

    describe('a message of the model comes out as it came', () => {
      for (const [name, recorded] of sample(Object.entries(recordings))) {
        if (name === 'errorMidStream') continue;
        test(name, async () => {
          // Paced like a model: the CLI must have time to read that it must not ask again.
          relay.model.setReply(() => ({ kind: 'events', events: recorded, eventDelayMs: 40 }));
          const { events, answer, requests } = await relay.ask({ tools: [weather, clock] });
          // After a limit the CLI goes on at once: on a busy machine its next request may leave before it is killed.
          const most = /^(?:maxTokens|contextWindow)/.test(name) ? 2 : 1;
          assert.ok(requests.length >= 1 && requests.length <= most, `${requests.length} requests`);
          const hidden = new Set(['ping', 'message_delta', 'message_stop']);
          assert.deepEqual(
            events,
            recorded.filter(({ type }) => !hidden.has(type)),
          );
          const { delta } = recorded.findLast(({ type }) => type === 'message_delta') as unknown as {
            delta: { stop_reason: string; stop_sequence: string | null };
          };
          const { messageId, stopReason, stopSequence, resolvedModel, usage, rawUsage } = answer();
          assert.deepEqual(
            { messageId, stopReason, stopSequence, resolvedModel },
            {
              messageId: 'msg_recorded',
              stopReason: delta.stop_reason,
              stopSequence: delta.stop_sequence,
              resolvedModel: 'claude-opus-recorded-1',
            },
          );
          assert.equal(usage.output_tokens, 15);
          assert.equal(rawUsage['service_tier'], 'standard');
        });
      }

      test('an error in the middle is an error of the turn', async () => {
        relay.model.setReply(() => ({ kind: 'events', events: recordings.errorMidStream }));
        const { events, error } = await relay.ask({});
        assert.equal(error().code, 'upstream_overloaded');
        assert.equal(events[0]?.type, 'message_start');
        assert.ok(events.every(({ type }) => type !== 'error' && type !== 'message_stop'));
      });
    });

    describe('the caller’s tools', () => {
      let directory: string;
      before(() => {
        directory = mkdtempSync(join(tmpdir(), 'conversation-test-'));
      });
      after(() => rmSync(directory, { recursive: true }));

      test('tools with the names of the CLI’s come back to the caller, and nothing runs', async () => {
        const at = (name: string): string => join(directory, name);
        const inputs: Record<string, object> = {
          Bash: { command: `touch '${at('bash')}'`, description: 'Make a file' },
          Write: { file_path: at('write'), content: 'written' },
          Read: { file_path: '/etc/hostname' },
          WebFetch: { url: `${relay.model.url}/fetched`, prompt: 'What does it say?' },
          Task: { description: 'x', prompt: 'x', subagent_type: 'general-purpose' },
          Agent: { description: 'x', prompt: 'x', subagent_type: 'general-purpose' },
          Skill: { skill: 'init' },
          StructuredOutput: {},
        };
        const names = Object.keys(inputs);
        const tools = names.map((name) => ({ name, input_schema: { type: 'object' } }));
        for (const asked of [...(runsAll ? names : ['Bash']).map((name) => [name]), names]) {
          // The end comes late: a CLI that runs a tool as soon as its input is whole has the time for it.
          const events = recordedMessage(
            'tool_use',
            asked.map((name, index) =>
              recordedToolUse(index, `toolu_${index}`, name, JSON.stringify(inputs[name])),
            ),
          );
          relay.model.setReply(() => ({ kind: 'events', events, eventDelayMs: 40 }));
          const { answer, requests } = await relay.ask({ tools });
          assert.equal(answer().stopReason, 'tool_use');
          assert.deepEqual(
            asJson(answer().content),
            asked.map((name, index) => ({
              type: 'tool_use',
              id: `toolu_${index}`,
              name,
              input: inputs[name],
            })),
          );
          assert.equal(requests.length, 1);
        }
        assert.deepEqual(readdirSync(directory), []);
        assert.ok(!existsSync(at('bash')));
        assert.ok(relay.model.otherRequests.every((other) => !other.includes('fetched')));
      });

      test('a call of a tool that was not offered is an error', async () => {
        relay.model.setReply(() => ({ kind: 'events', events: recordings.toolUse }));
        const { error } = await relay.ask({});
        assert.equal(error().code, 'upstream_error');
      });
    });

    describe('a schema', () => {
      const schema = {
        type: 'object',
        properties: { name: { type: 'string' }, age: { type: 'integer', minimum: 0 } },
        required: ['name', 'age'],
        additionalProperties: false,
      };
      const call = (...pieces: string[]) =>
        recordedMessage('tool_use', [recordedToolUse(0, 'toolu_1', 'structured_output', ...pieces)]);
      const says = (events: ReturnType<typeof call>): void =>
        relay.model.setReply(() => ({ kind: 'events', events }));

      test('a schema is the input of one tool, and its answer is one text block', async () => {
        says(call('{"name": "Jo",', ' "age": 7}'));
        const { answer, requests, events } = await relay.ask({ schema });
        const body = bodyOf(requests);
        assert.deepEqual(
          (body['tools'] as Tool[]).map((tool) => [tool.name, tool.input_schema]),
          [['structured_output', schema]],
        );
        assert.deepEqual(body['tool_choice'], {
          type: 'tool',
          name: 'structured_output',
          disable_parallel_tool_use: true,
        });
        assert.equal(body['thinking'], undefined);
        const { content, text: whole, stopReason, structured } = answer();
        assert.deepEqual(structured?.value, { name: 'Jo', age: 7 });
        assert.equal(whole, '{"name": "Jo", "age": 7}');
        assert.deepEqual(content, [{ type: 'text', text: whole }]);
        assert.equal(stopReason, 'end_turn');
        assert.deepEqual(events.slice(1), [
          { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
          { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: '{"name": "Jo",' } },
          { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: ' "age": 7}' } },
          { type: 'content_block_stop', index: 0 },
        ]);
      });

      test('a schema of something other than an object is wrapped', async () => {
        says(call('{"value": [{"next": null}]}'));
        const list = {
          type: 'array',
          items: { $ref: '#/$defs/item' },
          $defs: {
            item: { type: 'object', properties: { next: { anyOf: [{ $ref: '#' }, { type: 'null' }] } } },
          },
        };
        const { answer, requests } = await relay.ask({ schema: list });
        assert.deepEqual(answer().structured?.value, [{ next: null }]);
        assert.equal(answer().text, '[{"next":null}]');
        const [tool] = bodyOf(requests)['tools'] as Tool[];
        assert.match(JSON.stringify(tool?.input_schema), /"\$ref":"#\/properties\/value\/\$defs\/item"/);
      });

      const failures: [string, ReturnType<typeof call>, RegExp][] = [
        ['a wrong value', call('{"name": "Jo", "age": -1}'), /: \/age must be >= 0\.$/],
        ['a missing one', call('{"name": "Jo"}'), /required property 'age'\.$/],
        ['text instead', recordings.text, /with text instead\.$/],
      ];
      for (const [name, events, message] of failures) {
        test(`${name} is not an answer`, async () => {
          says(events);
          const { error, turn } = await relay.ask({ schema });
          assert.equal(error().code, 'invalid_output');
          assert.match(error().message, message);
          assert.equal(turn.mayHaveSpent, true);
        });
      }

      const stops: [string, ReturnType<typeof call>, string, string][] = [
        ['cut off before it', recordings.maxTokens, 'max_tokens', ''],
        [
          'cut off in it',
          recordedMessage('max_tokens', [recordedToolUse(0, 'toolu_1', 'structured_output', '{"na')]),
          'max_tokens',
          '{"na',
        ],
        ['declined', recordings.refusal, 'refusal', ''],
      ];
      for (const [name, events, stopReason, text] of stops) {
        test(`${name} has its stop reason and no value`, async () => {
          says(events);
          const told = (await relay.ask({ schema })).answer();
          assert.deepEqual([told.stopReason, told.text, 'structured' in told], [stopReason, text, false]);
        });
      }

      test('a schema comes after the caller’s tools', async () => {
        says(recordings.toolUse);
        const tools = [weather, { ...weather, name: 'structured_output' }];
        const { answer, requests, events } = await relay.ask({ schema, tools });
        assert.deepEqual(bodyOf(requests)['tool_choice'], { type: 'any' });
        assert.deepEqual(
          (bodyOf(requests)['tools'] as Tool[]).map(({ name }) => name),
          ['get_weather', 'structured_output', 'structured_output_'],
        );
        assert.equal(answer().stopReason, 'tool_use');
        assert.deepEqual(asJson(answer().content), [
          { type: 'tool_use', id: 'toolu_1', name: 'get_weather', input: { city: 'Zürich' } },
        ]);
        assert.ok(!('structured' in answer()));
        assert.equal(events[1]?.['index'], 0);
      });
    });

    describe('a turn that is ended from outside', () => {
      const hang = (): void => relay.model.setReply(() => ({ kind: 'hang', after: 'text' }));

      test('a client that leaves ends the connection to the model and the process', async () => {
        hang();
        const stop = new AbortController();
        const asked = relay.ask({ messages: conversations['thoughts'] ?? [] }, stop.signal);
        const before = relay.model.requests.length;
        await eventually('the model is asked', () => relay.model.requests.length > before);
        const { closed } = relay.model.requests.at(-1) ?? {};
        stop.abort(clientGone());
        await closed;
        const { error } = await asked;
        assert.equal(error().code, 'client_closed_request');
      });

      test('a request that reaches its own timeout is upstream_timeout', async () => {
        hang();
        const { error } = await relay.ask({ timeoutMs: 2500 });
        assert.equal(error().code, 'upstream_timeout');
        assert.match(error().message, /3 seconds, the timeout of the request/);
      });
    });
  });
}
