import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Answer } from '../../conversation.ts';
import { errorTable, RelayError, type ErrorCode } from '../../errors.ts';
import { anthropic } from './anthropic.ts';
import { ignoredParameters, refusedParameters } from './parameters.ts';
import { messagesRequest } from './schema.ts';

const hello = { role: 'user', content: 'hello' };
const base = { model: 'opus', max_tokens: 100, messages: [hello] };
const png = { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgo=' };
const tool = { name: 'get', input_schema: { type: 'object' } };
const use = (id: string): object => ({ type: 'tool_use', id, name: 'get', input: {} });
const result = (id: string): object => ({ type: 'tool_result', tool_use_id: id, content: 'ok' });
const assistant = (...content: object[]): object => ({ role: 'assistant', content });
const user = (...content: object[]): object => ({ role: 'user', content });

function asked(more: object): ReturnType<typeof anthropic.parse> {
  return anthropic.parse({ ...base, ...more });
}

function refusal(body: unknown): string {
  try {
    anthropic.parse(body);
  } catch (error) {
    assert.ok(error instanceof RelayError);
    assert.equal(error.code, 'bad_request');
    return error.message;
  }
  assert.fail(`it was accepted: ${JSON.stringify(body)}`);
}

describe('a Messages request', () => {
  test('in its smallest form becomes a conversation', () => {
    assert.deepEqual(anthropic.parse(base), {
      conversation: {
        system: [],
        messages: [{ role: 'user', content: [{ type: 'text', text: 'hello' }] }],
        maxTokens: 100,
      },
      model: 'opus',
      stream: false,
      ignored: [],
      responder: anthropic.parse(base).responder,
    });
  });

  test('passes on every parameter that has an effect', () => {
    const { conversation } = asked({
      stream: true,
      system: [
        { type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } },
        { type: 'text', text: 'Be kind.' },
      ],
      max_tokens: 5000,
      temperature: 0.5,
      top_p: 0.9,
      top_k: 5,
      stop_sequences: ['END'],
      thinking: { type: 'enabled', budget_tokens: 2000, display: null },
      tools: [{ ...tool, type: 'custom', description: 'd', strict: true, input_examples: [{ a: 1 }] }],
      tool_choice: { type: 'tool', name: 'get', disable_parallel_tool_use: true },
      output_config: { effort: 'low', format: { type: 'json_schema', schema: { type: 'object' } } },
      messages: [
        user(
          { type: 'image', source: png },
          {
            type: 'document',
            source: { type: 'base64', media_type: 'application/pdf', data: 'JVBE' },
            title: null,
            context: 'c',
          },
          {
            type: 'document',
            source: { type: 'text', media_type: 'text/plain', data: 'plain' },
            citations: { enabled: true },
          },
          { type: 'text', text: 'What is it?' },
        ),
        assistant(
          { type: 'thinking', thinking: 'hm', signature: 's' },
          { type: 'redacted_thinking', data: 'r' },
          { type: 'text', text: '\n\n', citations: null },
          { ...use('t1'), caller: { type: 'direct' }, cache_control: null },
        ),
        user({
          type: 'tool_result',
          tool_use_id: 't1',
          is_error: true,
          content: [
            { type: 'image', source: png },
            { type: 'text', text: 'no' },
          ],
        }),
      ],
    });
    assert.deepEqual(conversation, {
      system: ['Be brief.', 'Be kind.'],
      systemMark: { type: 'ephemeral' },
      maxTokens: 5000,
      temperature: 0.5,
      topP: 0.9,
      topK: 5,
      stopSequences: ['END'],
      thinking: { type: 'enabled', budget_tokens: 2000 },
      tools: [{ ...tool, description: 'd', strict: true, input_examples: [{ a: 1 }] }],
      toolChoice: { type: 'tool', name: 'get', disable_parallel_tool_use: true },
      effort: 'low',
      schema: { type: 'object' },
      messages: [
        user(
          { type: 'image', source: png },
          {
            type: 'document',
            source: { type: 'base64', media_type: 'application/pdf', data: 'JVBE' },
            context: 'c',
          },
          {
            type: 'document',
            source: { type: 'text', media_type: 'text/plain', data: 'plain' },
            citations: { enabled: true },
          },
          { type: 'text', text: 'What is it?' },
        ),
        assistant(
          { type: 'thinking', thinking: 'hm', signature: 's' },
          { type: 'redacted_thinking', data: 'r' },
          { type: 'text', text: '\n\n' },
          use('t1'),
        ),
        user({
          type: 'tool_result',
          tool_use_id: 't1',
          content: [
            { type: 'image', source: png },
            { type: 'text', text: 'no' },
          ],
          is_error: true,
        }),
      ],
    });
  });

  test('of Claude Code 2.1.330 is accepted, with system messages and deferred tools', () => {
    const ask = asked({
      max_tokens: 128000,
      thinking: { type: 'adaptive', display: 'omitted' },
      metadata: { user_id: '{"device_id":"x"}' },
      context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] },
      output_config: { effort: 'medium' },
      system: [
        {
          type: 'text',
          text: 'You are a Claude agent.',
          cache_control: { type: 'ephemeral', scope: 'global' },
        },
      ],
      tools: [
        { ...tool, name: 'Read' },
        { ...tool, name: 'WebFetch', defer_loading: true },
        { ...tool, name: 'DeferredToolPlaceholder', defer_loading: true },
      ],
      messages: [
        user({ type: 'text', text: 'hi' }),
        { role: 'system', content: '# Environment', output_config: { effort: 'high' } },
        assistant(use('t1')),
        user(
          {
            type: 'tool_result',
            tool_use_id: 't1',
            content: [{ type: 'tool_reference', tool_name: 'WebFetch' }],
          },
          { type: 'text', text: 'Tool loaded.' },
        ),
      ],
    });
    assert.deepEqual(ask.conversation, {
      system: ['You are a Claude agent.'],
      systemMark: { type: 'ephemeral' },
      maxTokens: 128000,
      effort: 'medium',
      thinking: { type: 'adaptive', display: 'omitted' },
      tools: [
        { ...tool, name: 'Read' },
        { ...tool, name: 'WebFetch' },
      ],
      messages: [
        user({ type: 'text', text: 'hi' }),
        { role: 'system', content: [{ type: 'text', text: '# Environment' }] },
        assistant(use('t1')),
        user({ type: 'tool_result', tool_use_id: 't1', content: [] }, { type: 'text', text: 'Tool loaded.' }),
      ],
    });
    assert.deepEqual(ask.ignored, ['context_management', 'metadata', 'system.cache_control.scope']);
  });

  test('of Claude Code 2.1.332 is accepted, with its reports and forms of thinking', () => {
    const thinking = {
      type: 'adaptive',
      display: 'updates',
      block_binding: { prefix_mismatch_behavior: 'x' },
    };
    const ask = asked({
      thinking,
      cache_control: { type: 'ephemeral', ttl: '1h', evict_on_complete: true },
      safeguards: [{ type: 'x', classifier_context: {} }],
      context_hint: { enabled: true },
      data_flow: {},
      program_use_case_id: 'x',
      tags: { a: 'b' },
    });
    assert.deepEqual(ask.conversation.thinking, { type: 'adaptive' });
    assert.deepEqual(ask.conversation.endMark, { type: 'ephemeral', ttl: '1h' });
    assert.deepEqual(ask.ignored, [
      'cache_control.evict_on_complete',
      'context_hint',
      'data_flow',
      'program_use_case_id',
      'safeguards',
      'tags',
      'thinking.block_binding',
      'thinking.display',
    ]);
  });

  test('takes the effort of the last system message, and drops a cleared one', () => {
    const messages = [
      hello,
      { role: 'system', content: 'old', clear_at: 'next_user_message', output_config: { effort: 'max' } },
      { role: 'assistant', content: 'yes?' },
      hello,
      { role: 'system', content: [{ type: 'text', text: 'new' }], clear_at: 'next_user_message' },
      { role: 'system', content: [], output_config: { effort: 'low' } },
    ];
    const { conversation } = asked({ messages, output_config: { effort: 'high' } });
    assert.deepEqual(
      conversation.messages.filter(({ role }) => role === 'system'),
      [{ role: 'system', content: [{ type: 'text', text: 'new' }] }],
    );
    assert.equal(conversation.effort, 'low');
  });

  test('accepts a schema as the older SDKs write it', () => {
    const format = { type: 'json_schema', schema: { type: 'object' } };
    assert.deepEqual(
      asked({ output_format: format, output_config: { effort: null } }).conversation.schema,
      format.schema,
    );
  });

  test('keeps every key of a tool input, whatever its name', () => {
    const input: unknown = JSON.parse('{"__proto__":{"a":1},"constructor":null,"":[]}');
    const { conversation } = asked({
      messages: [hello, assistant({ ...use('t1'), input }), user(result('t1'))],
    });
    assert.equal(
      JSON.stringify(conversation.messages[1]?.content[0]),
      `{"type":"tool_use","id":"t1","name":"get","input":${JSON.stringify(input)}}`,
    );
  });

  test('lists the parameters without effect', () => {
    assert.deepEqual(
      asked({
        service_tier: 'auto',
        speed: 'fast',
        metadata: { user_id: null },
        diagnostics: { previous_message_id: null },
        context_management: { edits: [{ type: 'clear_tool_uses_20250919' }] },
        tools: [{ ...tool, eager_input_streaming: true, allowed_callers: ['direct'] }],
        messages: [
          user({ type: 'image', source: png, transformations: { oversized_image: 'downsize' } }),
          assistant({ type: 'text', text: 'a', citations: [{}] }),
          hello,
        ],
      }).ignored,
      [
        'context_management',
        'diagnostics',
        'messages.content.transformations',
        'metadata',
        'service_tier',
        'speed',
        'tools.allowed_callers',
        'tools.eager_input_streaming',
      ],
    );
    const none = Object.fromEntries(
      Object.keys({ ...ignoredParameters, ...refusedParameters }).map((name) => [name, null]),
    );
    assert.deepEqual(asked({ ...none, mcp_servers: [], inference_geo: 'global' }).ignored, []);
  });

  test('keeps the marks for the prompt cache where they stood', () => {
    const mark = { cache_control: { type: 'ephemeral', ttl: '1h' } };
    const plain = { cache_control: { type: 'ephemeral' } };
    const marked = (fields: object): object => ({ ...fields, ...mark });
    const turns = [
      user(marked({ type: 'image', source: png }), marked({ type: 'text', text: 'a' })),
      assistant(marked({ type: 'text', text: 'b' }), marked(use('t1'))),
      user(marked({ ...result('t1'), content: [marked({ type: 'text', text: 'c' })] })),
      { role: 'system', content: [marked({ type: 'text', text: 'd' })] },
    ];
    const source = { type: 'text', media_type: 'text/plain', data: 'e' };
    const messages = [...turns, user(marked({ type: 'document', source }))];
    const ask = asked({
      system: [{ type: 'text', text: 's' }, marked({ type: 'text', text: 't' })],
      tools: [marked(tool), { ...tool, name: 'b', ...plain }],
      messages,
    });
    assert.deepEqual(ask.conversation.messages, messages);
    assert.deepEqual(ask.conversation.tools, [marked(tool), { ...tool, name: 'b', ...plain }]);
    assert.deepEqual(ask.conversation.systemMark, mark.cache_control);
    assert.deepEqual(ask.ignored, []);
  });

  test('lists a mark that has no effect: inside the system prompt, and on a tool reference', () => {
    const mark = { cache_control: { type: 'ephemeral' } };
    const reference = { type: 'tool_reference', tool_name: 'get', ...mark };
    const ask = asked({
      system: [
        { type: 'text', text: 's', ...mark },
        { type: 'text', text: 't' },
      ],
      messages: [hello, assistant(use('t1')), user({ ...result('t1'), content: [reference] })],
    });
    assert.deepEqual(ask.conversation.systemMark, { type: 'ephemeral' });
    assert.deepEqual(ask.ignored, ['messages.content.content.cache_control', 'system.cache_control']);
  });

  test('leaves out the tools that the API runs, and lists them', () => {
    const ask = asked({
      tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 5 }, tool],
      tool_choice: { type: 'any' },
    });
    assert.deepEqual(ask.conversation.tools, [tool]);
    assert.deepEqual(ask.ignored, ['tools.web_search_20250305']);
  });

  test('offers deferred tools at once where the API would have searched for them', () => {
    const ask = asked({
      tools: [
        { type: 'tool_search_tool_regex_20251119', name: 'tool_search_tool_regex' },
        { ...tool, defer_loading: true },
      ],
    });
    assert.deepEqual(ask.conversation.tools, [tool]);
  });

  test('takes unknown fields in messages and system blocks, and lists them', () => {
    const ask = asked({
      system: [{ type: 'text', text: 's', foo: 1 }],
      messages: [
        { ...hello, id: 'm1' },
        assistant({ ...use('t1'), toolset_name: 'x' }, { ...use('t2'), caller: { type: 'direct', foo: 1 } }),
        user({ ...result('t1'), content: [{ type: 'text', text: 'a', foo: 1 }] }, result('t2')),
        { role: 'system', content: 'x', output_config: { effort: 'low', foo: 1 } },
      ],
    });
    assert.deepEqual(ask.conversation.messages[1], assistant(use('t1'), use('t2')));
    assert.deepEqual(ask.ignored, [
      'messages.content.caller.foo',
      'messages.content.content.foo',
      'messages.content.toolset_name',
      'messages.id',
      'messages.output_config.foo',
      'system.foo',
    ]);
  });

  test('treats null as absent for every parameter', () => {
    const { model: _m, max_tokens: _t, messages: _s, ...optional } = messagesRequest.shape;
    const nulls = Object.fromEntries(Object.keys(optional).map((name) => [name, null]));
    assert.ok(Object.keys(nulls).length > 10);
    assert.deepEqual(asked(nulls), asked({}));
  });
});

const refusals: Record<string, [body: object, message: string | RegExp]> = {
  'no model': [{ model: undefined }, 'model: is required'],
  'null in a required parameter': [{ max_tokens: null }, 'max_tokens: is required'],
  'null in an unknown parameter': [{ foo: null }, 'foo: is not a known field'],
  'no max_tokens': [{ max_tokens: undefined }, 'max_tokens: is required'],
  'no messages': [{ messages: undefined }, 'messages: is required'],
  'an unknown parameter': [{ foo: 1 }, 'foo: is not a known field'],
  'a parameter of another API': [{ n: 1 }, 'n: is not a known field'],
  'max_tokens as text': [{ max_tokens: '1' }, 'max_tokens: must be a number'],
  'max_tokens 0': [{ max_tokens: 0 }, 'max_tokens: must be at least 1'],
  'max_tokens 1.5': [{ max_tokens: 1.5 }, 'max_tokens: must be an integer'],
  'temperature 2': [{ temperature: 2 }, 'temperature: must be at most 1'],
  'an unknown effort': [
    { output_config: { effort: 'huge' } },
    'output_config.effort: must be one of low, medium, high, xhigh, max',
  ],
  'a task budget': [
    { output_config: { task_budget: { type: 'tokens', total: 1 } } },
    'output_config.task_budget: is not a known field',
  ],
  'empty messages': [{ messages: [] }, 'messages: must have at least 1 item'],
  'a message without content': [{ messages: [{ role: 'user' }] }, 'messages.0.content: is required'],
  'content of a number': [
    { messages: [{ role: 'user', content: 5 }] },
    'messages.0.content: must be a string or an array',
  ],
  'empty content': [{ messages: [user()] }, 'messages.0.content: must have at least 1 item'],
  'an empty text': [{ messages: [{ role: 'user', content: '' }] }, 'messages.0.content: must not be blank'],
  'an empty text block': [
    { messages: [user({ type: 'text', text: '' })] },
    'messages.0.content.0.text: must not be blank',
  ],
  'a blank text block': [
    { messages: [user({ type: 'text', text: ' \n' })] },
    'messages.0.content.0.text: must not be blank',
  ],
  'a blank system block': [{ system: [{ type: 'text', text: ' ' }] }, 'system.0.text: must not be blank'],
  'an unknown field of a tool': [{ tools: [{ ...tool, foo: 1 }] }, 'tools.0.foo: is not a known field'],
  'an unknown role': [
    { messages: [{ role: 'tool', content: 'x' }] },
    'messages.0.role: must be one of user, assistant, system; "tool" is not supported',
  ],
  'an unknown block': [
    { messages: [user({ type: 'video' })] },
    'messages.0.content.0.type: must be one of text, image, document, tool_result; "video" is not supported',
  ],
  'a block without a type': [
    { messages: [user({ text: 'x' })] },
    'messages.0.content.0.type: must be one of text, image, document, tool_result',
  ],
  'a server tool in the history': [
    {
      messages: [
        hello,
        assistant(
          { type: 'text', text: 'a' },
          { type: 'server_tool_use', id: 'x', name: 'web_search', input: {} },
        ),
        hello,
      ],
    },
    /^messages\.1\.content\.1\.type: .*"server_tool_use" is not supported$/,
  ],
  'a search result': [
    { messages: [user({ type: 'search_result', source: 's', title: 't', content: [] })] },
    /^messages\.0\.content\.0\.type: .*"search_result" is not supported$/,
  ],
  'a search result of a tool': [
    {
      messages: [
        hello,
        assistant(use('t1')),
        user({ ...result('t1'), content: [{ type: 'search_result' }] }),
      ],
    },
    /^messages\.2\.content\.0\.content\.0\.type: .*"search_result" is not supported$/,
  ],
  'an image by URL': [
    { messages: [user({ type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } })] },
    /^messages\.0\.content\.0\.source\.type: must be base64: the relay .* fetches nothing /,
  ],
  'a file': [
    { messages: [user({ type: 'document', source: { type: 'file', file_id: 'f' } })] },
    /^messages\.0\.content\.0\.source\.type: must be base64 or text: the relay keeps no files /,
  ],
  'an image whose data is not base64': [
    { messages: [user({ type: 'image', source: { ...png, data: 'a b' } })] },
    /^messages\.0\.content\.0\.source\.data: .*base64/,
  ],
  'an image of another type': [
    { messages: [user({ type: 'image', source: { ...png, media_type: 'image/svg+xml' } })] },
    /^messages\.0\.content\.0\.source\.media_type: must be one of image\/png, /,
  ],
  'an image of the assistant': [
    { messages: [hello, assistant({ type: 'image', source: png }), hello] },
    'messages.1.content.0.type: must be one of text, tool_use, thinking, redacted_thinking; "image" is not supported',
  ],
  'thinking of the user': [
    { messages: [user({ type: 'thinking', thinking: 'x', signature: 'y' })] },
    'messages.0.content.0.type: must be one of text, image, document, tool_result; "thinking" is not supported',
  ],
  'a prefill': [
    { messages: [hello, { role: 'assistant', content: 'The answer is (' }] },
    /^messages\.1\.role: must be user in the last message: .*prefill/,
  ],
  'a prefill before a system message': [
    { messages: [hello, { role: 'assistant', content: 'a' }, { role: 'system', content: 's' }] },
    /^messages\.1\.role: /,
  ],
  'an assistant message at the beginning': [
    { messages: [{ role: 'assistant', content: 'a' }, hello] },
    'messages.0.role: must be user in the first message',
  ],
  'an empty system message': [
    { messages: [hello, { role: 'system' }] },
    'messages.1.content: must not be empty',
  ],
  'a use without a result': [
    { messages: [hello, assistant(use('t1'), use('t2')), user(result('t1'))] },
    /^messages\.1\.content\.1: is tool_use t2, which has no tool_result/,
  ],
  'a result without a use': [
    { messages: [user(result('t9'))] },
    /^messages\.0\.content\.0\.tool_use_id: is t9, which is not an open tool_use/,
  ],
  'a result after another block': [
    { messages: [hello, assistant(use('t1')), user({ type: 'text', text: 'x' }, result('t1'))] },
    /^messages\.2\.content\.1: is a tool_result that must come before/,
  ],
  'two results of one use': [
    { messages: [hello, assistant(use('t1')), user(result('t1'), result('t1'))] },
    /^messages\.2\.content\.1\.tool_use_id: is t1, which is not an open tool_use/,
  ],
  'a repeated id': [
    { messages: [hello, assistant(use('t1'), use('t1')), user(result('t1'))] },
    /^messages\.1\.content\.1\.id: must be unique/,
  ],
  'an id with a space': [
    { messages: [hello, assistant(use('t 1')), user(result('t 1'))] },
    /^messages\.1\.content\.0\.id: must be of a-z/,
  ],
  'an input that is not an object': [
    { messages: [hello, assistant({ ...use('t1'), input: '{}' }), user(result('t1'))] },
    'messages.1.content.0.input: must be an object',
  ],
  'a tool use by a program': [
    {
      messages: [
        hello,
        assistant({ ...use('t1'), caller: { type: 'code_execution_20250825', tool_id: 'x' } }),
        user(result('t1')),
      ],
    },
    'messages.1.content.0.caller.type: must be direct',
  ],
  'a tool of the API': [
    { tools: [{ type: 'web_search_20250305', name: 'web_search' }] },
    /^tools\.0\.type: must be custom or absent: .* give your own a name/,
  ],
  'a tool of the API as the choice': [
    {
      tools: [tool, { type: 'web_search_20250305', name: 'web_search' }],
      tool_choice: { type: 'tool', name: 'web_search' },
    },
    'tool_choice.name: is not one of the offered tools: the relay has no tools that Anthropic runs',
  ],
  'a tool that Anthropic defines and the caller runs': [
    { tools: [tool, { type: 'bash_20250124', name: 'bash' }] },
    /^tools\.1\.type: must be custom or absent: /,
  ],
  'a tool that is not an object': [{ tools: [5] }, 'tools.0: must be an object'],
  'a custom tool without a name': [{ tools: [{ type: 'custom' }] }, 'tools.0.name: is required'],
  'a toolset': [
    { tools: [tool, { type: 'computer_toolset_20260801' }] },
    /^tools\.1\.type: must be custom or absent: /,
  ],
  'a tool without a schema': [{ tools: [{ name: 'get' }] }, 'tools.0.input_schema: is required'],
  'a tool schema of an array': [
    { tools: [{ name: 'get', input_schema: { type: 'array' } }] },
    'tools.0.input_schema.type: must be object',
  ],
  'a name with a space': [{ tools: [{ ...tool, name: 'a b' }] }, /^tools\.0\.name: must be 1 to 128 of a-z/],
  'a repeated tool name': [{ tools: [tool, tool] }, 'tools.1.name: must be unique among the tools'],
  'tools for programs only': [
    { tools: [{ ...tool, allowed_callers: ['code_execution_20260120'] }] },
    /^tools\.0\.allowed_callers: must include direct/,
  ],
  'a choice without tools': [{ tool_choice: { type: 'any' } }, 'tool_choice: requires tools'],
  'a choice of an unknown tool': [
    { tools: [tool], tool_choice: { type: 'tool', name: 'put' } },
    /^tool_choice\.name: is not one of the offered tools/,
  ],
  'an unknown tool choice': [
    { tools: [tool], tool_choice: { type: 'some' } },
    'tool_choice.type: must be one of auto, any, tool, none; "some" is not supported',
  ],
  'a blank stop': [{ stop_sequences: [' '] }, 'stop_sequences.0: must not be blank'],
  'a small budget': [
    { thinking: { type: 'enabled', budget_tokens: 1 } },
    'thinking.budget_tokens: must be at least 1024',
  ],
  'a budget above max_tokens': [
    { thinking: { type: 'enabled', budget_tokens: 1024 } },
    'max_tokens: must be greater than `thinking.budget_tokens`',
  ],
  'two schemas': [
    {
      output_config: { format: { type: 'json_schema', schema: {} } },
      output_format: { type: 'json_schema', schema: {} },
    },
    /^output_format: /,
  ],
  'a format without a schema': [
    { output_config: { format: { type: 'json_schema' } } },
    'output_config.format.schema: is required',
  ],
  'a container': [{ container: 'c' }, /^container: is not supported: /],
  'MCP servers': [{ mcp_servers: [{}] }, /^mcp_servers: is not supported: /],
  'a region': [{ inference_geo: 'eu' }, /^inference_geo: is not supported: /],
  'a compaction': [
    { context_management: { edits: [{ type: 'compact_20260112' }] } },
    /^context_management\.edits\.0\.type: must begin with clear_/,
  ],
  'metadata of text': [{ metadata: 'x' }, 'metadata: must be an object'],
  'a lone surrogate': [
    { messages: [user({ type: 'text', text: 'x' }, { type: 'text', text: 'a\ud800' })] },
    /^messages\.0\.content\.1\.text: holds a lone surrogate/,
  ],
  'a lone surrogate in a key': [
    { messages: [hello, assistant({ ...use('t1'), input: { '\ud800': 1 } }), user(result('t1'))] },
    /^messages\.1\.content\.0\.input: has a name that holds a lone surrogate/,
  ],
};

describe('a refused Messages request names the place', () => {
  for (const [name, [more, message]] of Object.entries(refusals)) {
    test(`for ${name}`, () => {
      const said = refusal(JSON.parse(JSON.stringify({ ...base, ...more })));
      if (typeof message === 'string') assert.equal(said, message);
      else assert.match(said, message);
    });
  }

  test('of a body that is not an object', () => {
    for (const body of [undefined, null, 'x', 1, [], [base]]) {
      assert.equal(refusal(body), 'The request body must be a JSON object');
    }
  });

  test('of a number that JSON would write as null', () => {
    const input = JSON.parse('{"a":[1e308,-1e400]}') as object;
    const messages = [hello, assistant({ ...use('t1'), input }), user(result('t1'))];
    assert.match(refusal({ ...base, messages }), /^messages\.1\.content\.0\.input\.a\.1: is a number/);
  });

  test('of a part that is nested too deep', () => {
    const deep: unknown = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
    assert.match(
      refusal({ ...base, tools: [{ ...tool, input_schema: { type: 'object', deep } }] }),
      /^tools\.0\.input_schema\.deep\.0.*: is nested more than 200 levels deep$/,
    );
  });

  test('and shortens a long name', () => {
    assert.ok(refusal({ ...base, ['x'.repeat(10_000)]: 1 }).length < 200);
  });

  test('of 20 MB with one wrong base64 character, and accepts 20 MB of base64', () => {
    const data = 'A'.repeat(20 * 1024 * 1024);
    asked({ messages: [user({ type: 'image', source: { ...png, data } })] });
    assert.match(
      refusal({
        ...base,
        messages: [user({ type: 'image', source: { ...png, data: `${data.slice(0, -1)}*` } })],
      }),
      /base64/,
    );
  });
});

const answer: Answer = {
  messageId: 'msg_1',
  content: [
    { type: 'thinking', thinking: 'hm', signature: 's' },
    { type: 'text', text: 'cited', citations: [{ type: 'char_location', cited_text: 'c' }] },
    { type: 'tool_use', id: 't1', name: 'get', input: { a: 1 } },
  ],
  text: 'cited',
  stopReason: 'tool_use',
  stopSequence: null,
  resolvedModel: 'claude-opus-5-5',
  usage: { input_tokens: 9, output_tokens: 5, cache_read_input_tokens: 3, cache_creation_input_tokens: 0 },
  rawUsage: {
    input_tokens: 9,
    output_tokens: 5,
    cache_read_input_tokens: 3,
    cache_creation_input_tokens: 0,
    service_tier: 'standard',
    output_tokens_details: { thinking_tokens: 2 },
  },
  costUsd: 0.1,
};
const facts = { requestId: 'req_1', model: 'opus', at: 0, durationMs: 1 };
const { responder } = anthropic.parse(base);

describe('an answer to a Messages request', () => {
  test('is the API’s message', () => {
    assert.deepEqual(responder.body(answer, facts), {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'claude-opus-5-5',
      container: null,
      content: answer.content,
      stop_reason: 'tool_use',
      stop_sequence: null,
      stop_details: null,
      diagnostics: null,
      usage: answer.rawUsage,
    });
    const refused = {
      ...answer,
      stopReason: 'refusal',
      stopDetails: { type: 'refusal', category: 'cyber', explanation: null },
    };
    assert.deepEqual(
      (responder.body(refused, facts) as { stop_details: unknown }).stop_details,
      refused.stopDetails,
    );
  });

  test('is streamed event by event, and then ended', () => {
    const stream = responder.stream(() => facts);
    const ping = {
      type: 'content_block_start',
      index: 0,
      content_block: { type: 'text', text: '', later: 1 },
    };
    assert.equal(stream.event(ping), `event: content_block_start\ndata: ${JSON.stringify(ping)}\n\n`);
    assert.equal(
      stream.end({ ...answer, stopReason: 'stop_sequence', stopSequence: 'END' }),
      'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"stop_sequence","stop_sequence":"END","stop_details":null,"container":null},' +
        '"usage":{"input_tokens":9,"output_tokens":5,"cache_read_input_tokens":3,"cache_creation_input_tokens":0,"output_tokens_details":{"thinking_tokens":2}}}\n\n' +
        'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    );
  });
});

describe('an error of a Messages request', () => {
  const overloaded = new RelayError('upstream_overloaded', 'The model is overloaded.');

  test('has the shape and the type of the API', () => {
    assert.deepEqual(anthropic.errorBody(overloaded, 'req_1'), {
      type: 'error',
      error: { type: 'overloaded_error', message: 'The model is overloaded.' },
      request_id: 'req_1',
    });
    assert.equal(
      anthropic.errorEvents(overloaded, 'req_1'),
      `event: error\ndata: ${JSON.stringify(anthropic.errorBody(overloaded, 'req_1'))}\n\n`,
    );
  });

  test('has the status of the table, except for an overload', () => {
    for (const code of Object.keys(errorTable) as ErrorCode[]) {
      const status = anthropic.errorStatus?.(new RelayError(code, ''));
      assert.equal(status, code === 'upstream_overloaded' ? 529 : errorTable[code].status, code);
    }
  });
});
