/** The official Anthropic SDK against the relay: what it sends reaches the model, and what the model answers reaches it. The model is a script: test/sdk-smoke.test.ts asks the real CLI. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import Anthropic, {
  APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from '@anthropic-ai/sdk';
import { betaZodTool } from '@anthropic-ai/sdk/helpers/beta/zod';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { z } from 'zod';
import type { AnswerBlock, SeenRequest } from './support/failing-model.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { eventually, query } from './support/relay.ts';
import type { ScriptedReply, ScriptedReplyFunction } from './support/scripted-cli.ts';
import { recordedMessage, recordedToolUse } from './support/recordings.ts';
import { sentBy } from './support/sent.ts';

const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const pdf = Buffer.from(
  '%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF',
).toString('base64');
const weather: Anthropic.Tool = {
  name: 'get_weather',
  description: 'The weather of a city',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const ask = { model: 'opus', max_tokens: 1000 };
const hello = { role: 'user', content: 'hello' } as const;

describe('the Anthropic SDK', () => {
  let relay: InProcessRelay;
  let client: Anthropic;
  let replies: (ScriptedReply | ScriptedReplyFunction)[];
  before(async () => {
    relay = await startInProcess({
      reply: (request, index) => {
        const reply = replies.shift() ?? { kind: 'text', text: 'done' };
        return typeof reply === 'function' ? reply(request, index) : reply;
      },
    });
    client = new Anthropic({ baseURL: relay.url, apiKey: relay.key, maxRetries: 0 });
  });
  beforeEach(() => {
    replies = [];
  });
  after(() => relay.stop());

  const last = (): SeenRequest => {
    const request = relay.model.requests.at(-1);
    assert.ok(request !== undefined);
    return request;
  };
  const field = (name: string): unknown => last().json?.[name];

  test('gets a text with its usage, its ids and its headers', async () => {
    replies = [
      {
        kind: 'text',
        text: ['Hello ', 'there.'],
        usage: { input_tokens: 11, output_tokens: 7, cache_read_input_tokens: 3 },
      },
    ];
    const {
      data: message,
      response,
      request_id: requestId,
    } = await client.messages
      .create({ ...ask, system: 'Be brief.', messages: [hello], metadata: { user_id: 'u' } })
      .withResponse();
    assert.deepEqual(message.content, [{ type: 'text', text: 'Hello there.' }]);
    assert.match(message.id, /^msg_/);
    assert.match(message.model, /^claude-opus-/);
    assert.deepEqual(
      [message.type, message.role, message.stop_reason, message.stop_sequence],
      ['message', 'assistant', 'end_turn', null],
    );
    const { usage } = message;
    assert.deepEqual([usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens], [11, 7, 3]);
    assert.match(requestId ?? '', /^req_/);
    assert.equal(response.headers.get('x-relay-ignored-params'), 'metadata');
    assert.deepEqual(sentBy(last()).messages, [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }]);
    assert.equal(sentBy(last()).system, 'Be brief.');
    assert.equal(field('max_tokens'), 1000);
  });

  test('can use a bearer token and the beta of the route', async () => {
    const other = new Anthropic({ baseURL: relay.url, apiKey: null, authToken: relay.key, maxRetries: 0 });
    const message = await other.beta.messages.create({
      ...ask,
      messages: [hello],
      betas: ['context-management-2025-06-27'],
      context_management: { edits: [] },
    });
    assert.deepEqual(message.content, [{ type: 'text', text: 'done' }]);
  });

  test('gets the events of a stream in order, and its helpers work', async () => {
    replies = [
      {
        kind: 'blocks',
        blocks: [
          { type: 'thinking', thinking: 'hm' },
          { type: 'text', text: ['Hello ', 'there.'] },
        ],
        usage: { input_tokens: 11, output_tokens: 7 },
      },
    ];
    const seen: string[] = [];
    const texts: string[] = [];
    const stream = client.messages
      .stream({ ...ask, messages: [hello] })
      .on('streamEvent', (event) => seen.push('index' in event ? `${event.type} ${event.index}` : event.type))
      .on('text', (text) => texts.push(text));
    const message = await stream.finalMessage();
    assert.deepEqual(seen, [
      'message_start',
      'content_block_start 0',
      'content_block_delta 0',
      'content_block_delta 0',
      'content_block_stop 0',
      'content_block_start 1',
      'content_block_delta 1',
      'content_block_delta 1',
      'content_block_stop 1',
      'message_delta',
      'message_stop',
    ]);
    assert.deepEqual(texts, ['Hello ', 'there.']);
    assert.equal(await stream.finalText(), 'Hello there.');
    assert.equal(message.stop_reason, 'end_turn');
    assert.deepEqual([message.usage.input_tokens, message.usage.output_tokens], [11, 7]);
  });

  test('sends several turns, system messages in between and the sampling parameters', async () => {
    const messages: Anthropic.MessageParam[] = [
      { role: 'user', content: [{ type: 'text', text: '/init @/etc/passwd' }] },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'hm', signature: 'c2ln' },
          { type: 'text', text: 'Yes?' },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'one' },
          { type: 'text', text: 'two', cache_control: { type: 'ephemeral' } },
        ],
      },
      { role: 'system', content: [{ type: 'text', text: 'Answer in French.' }] },
    ];
    await client.messages.create({
      ...ask,
      messages,
      system: [
        { type: 'text', text: 'Be brief.' },
        { type: 'text', text: 'Be kind.' },
      ],
      stop_sequences: ['END'],
      ...{ temperature: 0.5, top_k: 3 },
    });
    const [first, second, third, fourth] = messages;
    assert.deepEqual(sentBy(last()).messages, [
      first,
      second,
      {
        ...third,
        content: [
          { type: 'text', text: 'one' },
          { type: 'text', text: 'two' },
        ],
      },
      fourth,
    ]);
    assert.match(sentBy(last()).system, /^Be brief\.\s+Be kind\.$/);
    assert.deepEqual([field('temperature'), field('top_k'), field('stop_sequences')], [0.5, 3, ['END']]);
  });

  test('sends thinking and effort', async () => {
    await client.messages.create({
      ...ask,
      max_tokens: 4000,
      messages: [hello],
      thinking: { type: 'enabled', budget_tokens: 2000 },
    });
    assert.deepEqual(field('thinking'), { type: 'enabled', budget_tokens: 2000 });
    await client.messages.create({ ...ask, messages: [hello], output_config: { effort: 'low' } });
    assert.equal((field('output_config') as { effort?: string }).effort, 'low');
  });

  test('sends images and documents, next to text and in a tool result', async () => {
    const image: Anthropic.ImageBlockParam = {
      type: 'image',
      source: { type: 'base64', media_type: 'image/png', data: png },
    };
    const document: Anthropic.DocumentBlockParam = {
      type: 'document',
      source: { type: 'base64', media_type: 'application/pdf', data: pdf },
      title: 'a.pdf',
      citations: { enabled: true },
    };
    const plain: Anthropic.DocumentBlockParam = {
      type: 'document',
      source: { type: 'text', media_type: 'text/plain', data: 'plain' },
    };
    const messages: Anthropic.MessageParam[] = [
      { role: 'user', content: [image, document, { type: 'text', text: 'What is it?' }] },
      {
        role: 'assistant',
        content: [{ type: 'tool_use', id: 'toolu_1', name: 'get_weather', input: { city: 'Paris' } }],
      },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: [image, plain] }] },
    ];
    await client.messages.create({ ...ask, messages, tools: [weather] });
    assert.deepEqual(sentBy(last()).messages, messages);
  });

  test('parses structured output by its helper', async () => {
    const format = zodOutputFormat(z.object({ city: z.string(), degrees: z.number() }));
    replies = [structured({ city: 'Paris', degrees: 21 })];
    const message = await client.messages.parse({ ...ask, messages: [hello], output_config: { format } });
    assert.deepEqual(message.parsed_output, { city: 'Paris', degrees: 21 });
    assert.equal(message.stop_reason, 'end_turn');
    assert.ok(last().body.includes('degrees'), 'the schema reached the model');
    replies = [structured({ city: 'Paris', degrees: 'warm' })];
    await assert.rejects(
      client.messages.parse({ ...ask, messages: [hello], output_config: { format } }),
      (error) => error instanceof InternalServerError && error.status === 502 && error.type === 'api_error',
    );
  });

  test('gets the text so far and the stop reason of structured output that was cut off', async () => {
    const format = { type: 'json_schema', schema: { type: 'object' } } as const;
    const cut = recordedToolUse(0, 'toolu_1', 'structured_output', '{"city": "Pa');
    const events = recordedMessage('max_tokens', [cut]);
    const body = { ...ask, messages: [hello], output_config: { format } };
    replies = [{ kind: 'events', events }];
    const whole = await client.messages.create(body);
    replies = [{ kind: 'events', events }];
    const streamed = await client.messages.stream(body).finalMessage();
    for (const { content, stop_reason: stop } of [whole, streamed]) {
      assert.deepEqual([content, stop], [[{ type: 'text', text: '{"city": "Pa' }], 'max_tokens']);
    }
  });

  test('runs three rounds of tools with parallel calls and an error', async () => {
    const rounds: AnswerBlock[][] = [
      [{ type: 'text', text: 'Let me look.' }, call('toolu_1', 'Paris'), call('toolu_2', 'Oslo')],
      [call('toolu_3', 'Atlantis')],
      [{ type: 'text', text: 'Paris 21, Oslo 3.' }],
    ];
    replies = rounds.map((blocks) => ({ kind: 'blocks', blocks }));
    const messages: Anthropic.MessageParam[] = [hello];
    let message: Anthropic.Message;
    for (;;) {
      message = await client.messages.create({
        ...ask,
        messages,
        tools: [weather],
        tool_choice: { type: 'auto' },
      });
      messages.push({ role: 'assistant', content: message.content });
      if (message.stop_reason !== 'tool_use') break;
      const content = message.content.flatMap((block): Anthropic.ToolResultBlockParam[] => {
        if (block.type !== 'tool_use') return [];
        const { city } = block.input as { city: string };
        return [
          {
            type: 'tool_result',
            tool_use_id: block.id,
            ...(city === 'Atlantis'
              ? { content: 'No such city.', is_error: true }
              : { content: `${city}: 21` }),
          },
        ];
      });
      messages.push({ role: 'user', content });
    }
    assert.deepEqual(message.content, [{ type: 'text', text: 'Paris 21, Oslo 3.' }]);
    assert.equal(messages.length, 6);
    assert.deepEqual(sentBy(last()).messages, [
      { role: 'user', content: [{ type: 'text', text: 'hello' }] },
      ...messages.slice(1, -1),
    ]);
    assert.deepEqual(field('tools'), [weather]);
    assert.deepEqual(field('tool_choice'), { type: 'auto' });
  });

  test('runs tools by its streamed tool runner', async () => {
    replies = [
      { kind: 'blocks', blocks: [call('toolu_1', 'Paris')] },
      { kind: 'blocks', blocks: [call('toolu_2', 'Oslo')] },
      { kind: 'text', text: 'Warm and cold.' },
    ];
    const asked: string[] = [];
    const tool = betaZodTool({
      name: 'get_weather',
      description: 'The weather of a city',
      inputSchema: z.object({ city: z.string() }),
      run: ({ city }) => {
        asked.push(city);
        if (city === 'Oslo') throw new Error('No thermometer.');
        return '21';
      },
    });
    const message = await client.beta.messages
      .toolRunner({ ...ask, messages: [hello], tools: [tool], stream: true })
      .runUntilDone();
    assert.deepEqual(asked, ['Paris', 'Oslo']);
    assert.deepEqual(
      message.content.map((block) => (block.type === 'text' ? block.text : block.type)),
      ['Warm and cold.'],
    );
    const results = sentBy(last())
      .messages.flatMap(({ content }) => content)
      .filter((block) => 'tool_use_id' in block);
    assert.deepEqual(
      results.map((block) => ('is_error' in block ? block.is_error : false)),
      [false, true],
    );
  });

  test('throws its typed errors', async () => {
    const message = { ...ask, messages: [hello] };
    const wrongKey = new Anthropic({ baseURL: relay.url, apiKey: 'crk_wrong', maxRetries: 0 });
    await assert.rejects(
      wrongKey.messages.create(message),
      (error) =>
        error instanceof AuthenticationError &&
        error.type === 'authentication_error' &&
        (error.requestID ?? '').startsWith('req_'),
    );
    await assert.rejects(
      client.messages.create({ ...message, model: 'gpt' }),
      (error) => error instanceof NotFoundError && error.type === 'not_found_error',
    );
    await assert.rejects(
      client.messages.create({ ...message, max_tokens: 0 }),
      (error) => error instanceof BadRequestError && /max_tokens: must be/.test(error.message),
    );
    await assert.rejects(
      client.messages.create({
        ...message,
        messages: [hello, { role: 'assistant', content: 'A' }],
        stream: true,
      }),
      /prefill/,
    );
    replies = [{ kind: 'error', status: 529, type: 'overloaded_error', message: 'Overloaded' }];
    await assert.rejects(
      client.messages.create(message),
      (error) => error instanceof APIError && error.status === 529 && error.type === 'overloaded_error',
    );
    replies = [{ kind: 'error', status: 529, type: 'overloaded_error', message: 'Overloaded' }];
    await assert.rejects(
      client.messages.stream(message).finalMessage(),
      (error) => error instanceof APIError && error.type === 'overloaded_error',
    );
  });

  test('throws the type of the error that ends a stream', async () => {
    replies = [
      { kind: 'stream_error', type: 'overloaded_error', message: 'Overloaded', afterText: 'It begins' },
    ];
    const stream = client.messages.stream({ ...ask, messages: [hello] });
    let text = '';
    stream.on('text', (piece) => (text += piece));
    await assert.rejects(
      stream.finalMessage(),
      (error) => error instanceof APIError && error.type === 'overloaded_error',
    );
    assert.equal(text, 'It begins');
  });

  test('gets retry-after with a limit', async () => {
    const key = relay.mint('once', { dailyLimit: 1 });
    const eager = new Anthropic({ baseURL: relay.url, apiKey: key, maxRetries: 5 });
    await eager.messages.create({ ...ask, messages: [hello] });
    await assert.rejects(
      eager.messages.create({ ...ask, messages: [hello] }),
      (error) =>
        error instanceof RateLimitError &&
        error.type === 'rate_limit_error' &&
        Number(error.headers.get('retry-after')) > 0,
    );
  });

  test('ends the turn when it aborts a stream', async () => {
    replies = [{ kind: 'hang', after: 'text', text: 'It begins' }];
    const stream = client.messages.stream({ ...ask, messages: [hello] });
    stream.once('text', () => stream.abort());
    await assert.rejects(stream.finalMessage(), APIUserAbortError);
    await last().closed;
    await eventually(
      'the ledger says so',
      () => query(relay, "SELECT 1 FROM requests WHERE route = 'messages' AND status = 0").length === 1,
    );
  });
});

function call(id: string, city: string): AnswerBlock {
  return { type: 'tool_use', id, name: 'get_weather', input: { city } };
}

/** An answer that must satisfy a schema is asked for as a tool's input. */
function structured(input: object): ScriptedReplyFunction {
  return ({ json }) => ({ kind: 'tool_use', name: json?.tools?.at(-1)?.name ?? '', input });
}
