import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Conversation } from '../../../conversation.ts';
import { RelayError } from '../../../errors.ts';
import { readResponsesRequest } from './conversation.ts';
import { pack } from './packed.ts';

const png = 'iVBORw0KGgo=';
const pdf = 'JVBERi0xLjQK';

function conversation(fields: object): Conversation {
  return readResponsesRequest({ model: 'opus', input: 'hi', ...fields }).conversation;
}

function messages(...input: object[]): Conversation['messages'] {
  return conversation({ input }).messages;
}

function ignored(fields: object): string[] {
  return [...readResponsesRequest({ model: 'opus', input: 'hi', ...fields }).ignored];
}

/** The message of the refusal. */
function refusal(fields: object): string {
  try {
    readResponsesRequest({ model: 'opus', input: 'hi', ...fields });
  } catch (error) {
    assert.ok(error instanceof RelayError, String(error));
    assert.equal(error.code, 'bad_request');
    return error.message;
  }
  return assert.fail('it was taken');
}

const thinking = { type: 'thinking', thinking: 'hm', signature: 's1' };
const user = (...content: unknown[]): object => ({ role: 'user', content });
const assistant = (...content: unknown[]): object => ({ role: 'assistant', content });
const text = (text: string): object => ({ type: 'text', text });
const message = (role: string, content: unknown): object => ({ type: 'message', role, content });
const call = (call_id: string, args = '{}', more = {}): object => ({
  type: 'function_call',
  call_id,
  name: 'weather',
  arguments: args,
  ...more,
});
const output = (call_id: string, output: unknown): object => ({
  type: 'function_call_output',
  call_id,
  output,
});
const use = (id: string, input: object = {}, name = 'weather'): object => ({
  type: 'tool_use',
  id,
  name,
  input,
});
const result = (tool_use_id: string, content: unknown): object => ({
  type: 'tool_result',
  tool_use_id,
  content,
});

describe('the input of a response', () => {
  test('as a text is one message of the user', () => {
    assert.deepEqual(conversation({}), {
      system: [],
      messages: [user(text('hi'))],
    });
  });

  test('takes messages with and without a type, with contents of every kind', () => {
    const given = messages(
      { role: 'user', content: 'look' },
      message('user', [
        { type: 'input_text', text: 'here', prompt_cache_breakpoint: {} },
        { type: 'input_text', text: ' ' },
        { type: 'input_image', image_url: `data:image/png;base64,${png}`, detail: 'auto' },
        { type: 'input_file', filename: 'a.pdf', file_data: `data:application/pdf;base64,${pdf}` },
      ]),
      message('assistant', [
        { type: 'output_text', text: 'seen', annotations: [], logprobs: [] },
        { type: 'refusal', refusal: 'no more' },
      ]),
      { role: 'assistant', content: 'really' },
      { role: 'user', content: 'why' },
    );
    assert.deepEqual(given, [
      user(
        text('look'),
        text('here'),
        { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } },
        {
          type: 'document',
          source: { type: 'base64', media_type: 'application/pdf', data: pdf },
          title: 'a.pdf',
        },
      ),
      assistant(text('seen'), text('no more'), text('really')),
      user(text('why')),
    ]);
  });

  test('puts the instructions before the system and developer messages', () => {
    const { system } = conversation({
      instructions: 'one',
      input: [
        message('developer', [
          { type: 'input_text', text: 'two' },
          { type: 'input_text', text: 'three' },
        ]),
        message('user', 'hi'),
        message('system', 'four'),
      ],
    });
    assert.deepEqual(system, ['one', 'two', 'three', 'four']);
  });

  test('takes null for a field that is absent', () => {
    assert.deepEqual(
      messages(
        { type: null, role: 'user', content: 'hi', id: null },
        message('assistant', null),
        call('a', '{}', { id: null, namespace: null }),
        output('a', null),
      ),
      [user(text('hi')), assistant(use('a')), user(result('a', ''))],
    );
  });

  test('pairs calls with their outputs, whatever order they have', () => {
    assert.deepEqual(
      messages(
        message('user', 'hi'),
        message('assistant', 'I look.'),
        call('a', '{"city":"Rome"}', { id: 'fc_1', status: 'completed' }),
        call('b', ' '),
        output('b', ''),
        message('user', 'faster'),
        output('a', [
          { type: 'input_text', text: 'sun' },
          { type: 'input_image', image_url: `data:image/png;base64,${png}` },
        ]),
        call('a', '{}'),
        output('a', 'rain'),
      ),
      [
        user(text('hi')),
        assistant(text('I look.'), use('a', { city: 'Rome' }), use('b')),
        user(
          result('a', [
            text('sun'),
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } },
          ]),
          result('b', ''),
          text('faster'),
        ),
        assistant(use('a_2')),
        user(result('a_2', 'rain')),
      ],
    );
  });

  test('keeps thinking in its place, and leaves out that of another API', () => {
    const redacted = { type: 'redacted_thinking', data: 'r' };
    const reasoning = (encrypted_content: unknown): object => ({
      type: 'reasoning',
      id: 'rs_1',
      summary: [],
      encrypted_content,
    });
    const input = [
      message('user', 'hi'),
      reasoning(pack(thinking)),
      reasoning(pack(redacted)),
      reasoning('gAAAAABpM0Yj'),
      reasoning(null),
      reasoning(pack({ type: 'thinking', thinking: '\ud800', signature: 's' })),
      reasoning(`${pack(thinking)?.slice(0, 20)}`),
      call('a'),
      output('a', 'x'),
    ];
    assert.deepEqual(messages(...input), [
      user(text('hi')),
      assistant(thinking, redacted, use('a')),
      user(result('a', 'x')),
    ]);
    assert.deepEqual(ignored({ input }), ['input.reasoning']);
  });

  test('gets a custom tool call as a call with one text, and a namespace as a part of the name', () => {
    assert.deepEqual(
      messages(
        message('user', 'hi'),
        { type: 'custom_tool_call', call_id: 'a', name: 'apply_patch', input: '*** Begin' },
        call('b', '{}', { namespace: 'agents', name: 'spawn' }),
        { type: 'custom_tool_call_output', call_id: 'a', output: 'done', name: 'apply_patch' },
        output('b', 'ok'),
      ).slice(1),
      [
        assistant(use('a', { input: '*** Begin' }, 'apply_patch'), use('b', {}, 'agents__spawn')),
        user(result('a', 'done'), result('b', 'ok')),
      ],
    );
  });

  test('that ends with a compaction trigger asks for a summary, and a compaction is one', () => {
    const tools = [{ type: 'function', name: 'weather' }];
    const format = { format: { type: 'json_object' } };
    const input = [message('user', 'hi'), call('a'), output('a', 'x'), { type: 'compaction_trigger' }];
    const { conversation, compact } = readResponsesRequest({ input, tools, text: format });
    assert.deepEqual(
      [compact, conversation.toolChoice, conversation.tools?.length, conversation.schema],
      [true, { type: 'none' }, 1, undefined],
    );
    const asked = conversation.messages.at(-1)?.content.at(-1) as { text: string };
    assert.match(asked.text, /your summary takes its place/);
    const compaction = {
      type: 'compaction',
      encrypted_content: pack({ type: 'summary', text: 'All went well.' }),
    };
    assert.deepEqual(messages(message('user', 'hi'), compaction), [
      user(text('hi'), text('The summary of our conversation so far:\n\nAll went well.')),
    ]);
    for (const encrypted_content of ['gAAAAABpM0Yj', pack(thinking)]) {
      assert.match(
        refusal({ input: [{ type: 'compaction', encrypted_content }] }),
        /^'input\[0\]\.encrypted_content' is another API's summary/,
      );
    }
    assert.match(
      refusal({ input: [...input, message('user', 'more')] }),
      /^'input\[4\]' comes after compaction_trigger, which must be the last item\.$/,
    );
  });

  test('finds an item of an earlier answer by its id', () => {
    const kept: Record<string, object> = {
      msg_abc_1: { ...message('assistant', 'before'), id: 'msg_abc_1' },
    };
    const { conversation } = readResponsesRequest(
      { input: [message('user', 'a'), { type: 'item_reference', id: 'msg_abc_1' }, message('user', 'b')] },
      (group, id) => (group === 'abc' ? kept[id] : undefined),
    );
    assert.deepEqual(conversation.messages, [user(text('a')), assistant(text('before')), user(text('b'))]);
    assert.match(refusal({ input: [{ id: 'x' }] }), /^'input\[0\]\.id' is not an item that the relay keeps/);
  });

  test('leaves out what tools of an API did, and names it', () => {
    const input = [
      message('user', 'hi'),
      { type: 'web_search_call', id: 'ws_1', status: 'completed', action: {} },
      message('assistant', 'found'),
      message('user', 'ok'),
    ];
    assert.deepEqual(messages(...input), [user(text('hi')), assistant(text('found')), user(text('ok'))]);
    assert.deepEqual(ignored({ input }), ['input.web_search_call']);
  });

  test('that is wrong is refused with its place', () => {
    const hi = message('user', 'hi');
    const cases: [input: unknown, RegExp][] = [
      [undefined, /^'input' is required\.$/],
      ['  ', /^'input' must not be blank\.$/],
      [[], /^'input' must have at least 1 item\.$/],
      [[{ content: 'x' }], /^'input\[0\]\.type' is required\.$/],
      [[{ type: 'mesage', role: 'user' }], /^'input\[0\]\.type' is not one of message, function_call,/],
      [
        [{ type: 'item_reference', id: 'msg_1' }],
        /^'input\[0\]\.id' is not an item that the relay keeps: send the items themselves/,
      ],
      [[message('robot', 'x')], /^'input\[0\]\.role' must be one of user, assistant, system, developer\.$/],
      [[message('user', [{ type: 'input_audio' }])], /^'input\[0\]\.content\[0\]\.type' must be one of /],
      [[message('user', ' ')], /^'input\[0\]\.content' must not be blank\.$/],
      [
        [message('system', [{ type: 'input_image' }])],
        /^'input\[0\]\.content\[0\]\.type' must be a text here/,
      ],
      [
        [message('user', [{ type: 'input_image', image_url: 'https://x/y.png' }])],
        /^'input\[0\]\.content\[0\]\.image_url' must hold an image as a data URL/,
      ],
      [
        [message('user', [{ type: 'input_image', file_id: 'file-1' }])],
        /^'input\[0\]\.content\[0\]\.file_id' names an uploaded file, but the relay keeps no files: send image_url/,
      ],
      [
        [message('user', [{ type: 'input_file', file_url: 'https://x/y.pdf' }])],
        /^'input\[0\]\.content\[0\]\.file_url' is not supported: the relay fetches nothing/,
      ],
      [[message('system', 'x')], /^'input' must contain a message with the role user\.$/],
      [[hi, message('assistant', 'x')], /^'input\[1\]' must be from the user/],
      [
        [hi, call('a'), message('user', 'x')],
        /^'input\[1\]\.call_id' is the id of a call without an output: send a function_call_output/,
      ],
      [[hi, call('a')], /^'input\[1\]\.call_id' is the id of a call without an output/],
      [[hi, output('a', 'x')], /^'input\[1\]\.call_id' is not the id of a call in the turn before it\.$/],
      [
        [hi, call('a'), output('a', ''), output('a', '')],
        /^'input\[3\]\.call_id' is the id of a call that has/,
      ],
      [[hi, call('a'), call('a')], /^'input\[2\]\.call_id' is the id of another call in this turn\.$/],
      [[hi, call('a', '[1]'), output('a', '')], /^'input\[1\]\.arguments' must be a JSON object\.$/],
      [[hi, { type: 'function_call', call_id: 'a', name: 'x' }], /^'input\[1\]\.arguments' is required\.$/],
    ];
    for (const [input, expected] of cases) assert.match(refusal({ input }), expected);
    assert.match(refusal({ input: '\ud800' }), /^'input' holds a lone surrogate/);
  });
});

describe('the parameters of a response', () => {
  test('that the model knows are passed on', () => {
    const { conversation, request } = readResponsesRequest({
      input: 'hi',
      max_output_tokens: 100,
      temperature: 0.5,
      top_p: 0.9,
      top_k: 5,
      stream: true,
      instructions: null,
      metadata: { a: 'b' },
      reasoning: { effort: 'xhigh', summary: 'auto' },
    });
    assert.deepEqual(conversation, {
      system: [],
      messages: [user(text('hi'))],
      maxTokens: 100,
      temperature: 0.5,
      topP: 0.9,
      topK: 5,
      effort: 'xhigh',
    });
    assert.deepEqual([request.stream, request.metadata], [true, { a: 'b' }]);
    assert.deepEqual(conversationOf({ reasoning: { effort: 'none' } }), { thinking: { type: 'off' } });
    assert.deepEqual(conversationOf({ reasoning: { effort: 'minimal' } }), { effort: 'low' });
    assert.deepEqual(conversationOf({ reasoning: { summary: 'auto', effort: null } }), {});
    assert.deepEqual(conversationOf({ temperature: 1.5 }), { temperature: 1 });
    assert.deepEqual(conversationOf({ stop: 'END', top_k: -1, thinking: { type: 'enabled' } }), {
      stopSequences: ['END'],
      thinking: { type: 'adaptive' },
    });
    assert.deepEqual(ignored({ temperature: 1.5 }), ['temperature']);
  });

  test('text.format becomes the schema of the answer', () => {
    const format = (format: object): object => conversationOf({ text: { format } });
    const schema = { type: 'object', properties: { a: { type: 'string' } } };
    assert.deepEqual(format({ type: 'text' }), {});
    assert.deepEqual(format({ type: 'json_object' }), { schema: { type: 'object' } });
    assert.deepEqual(format({ type: 'json_schema', name: 'x', strict: true, schema, description: 'd' }), {
      schema: { description: 'd', ...schema },
    });
  });

  test('without effect are named, if they ask for something', () => {
    const nothing = {
      store: false,
      include: ['reasoning.encrypted_content'],
      truncation: 'disabled',
      service_tier: 'auto',
      user: null,
      previous_response_id: null,
      top_logprobs: 0,
      text: { verbosity: 'medium' },
      background: false,
    };
    assert.deepEqual(ignored(nothing), []);
    const something = {
      store: true,
      include: ['message.output_text.logprobs'],
      prompt_cache_key: 'k',
      truncation: 'auto',
      service_tier: 'flex',
      user: 'u',
      safety_identifier: 's',
      client_metadata: { a: 'b' },
    };
    assert.deepEqual(ignored(something).toSorted(), Object.keys(something).toSorted());
    assert.deepEqual(ignored({ text: { verbosity: 'low' }, stream_options: { include_obfuscation: true } }), [
      'text.verbosity',
      'stream_options.include_obfuscation',
    ]);
  });

  test('that are not known are named, also inside items, parts and tools', () => {
    const part = { type: 'input_text', text: 'x', cache_control: { type: 'ephemeral' } };
    const answered = { type: 'output_text', text: 'y', annotations: [], logprobs: [], parsed: {} };
    const tool = { type: 'function', name: 'f', parameters: {}, foo: 1 };
    assert.deepEqual(
      ignored({
        x: 1,
        reasoning: { context: 'auto' },
        input: [
          { ...message('user', [part]), internal_chat_message_metadata_passthrough: {} },
          message('assistant', [answered]),
          message('user', 'x'),
        ],
        tools: [tool, { type: 'namespace', name: 'n', tools: [tool] }],
      }),
      [
        'x',
        'reasoning.context',
        'input.content.cache_control',
        'input.internal_chat_message_metadata_passthrough',
        'input.content.parsed',
        'tools.foo',
        'tools.tools.foo',
      ],
    );
  });

  test('that the relay cannot serve are refused with what to do instead', () => {
    const cases: [fields: object, RegExp][] = [
      [{ previous_response_id: 'resp_1' }, /^'previous_response_id' is not supported: .* send all items/],
      [{ conversation: 'conv_1' }, /^'conversation' is not supported: .* send all items/],
      [{ prompt: { id: 'p' } }, /^'prompt' is not supported: .* send its text as instructions and input\.$/],
      [{ top_logprobs: 3 }, /^'top_logprobs' is not supported/],
      [{ n: 2 }, /^'n' must be 1/],
      [{ modalities: ['text', 'audio'] }, /^'modalities\[1\]' is not supported/],
      [{ max_tokens: 5 }, /^'max_tokens' is named max_output_tokens in the Responses API\.$/],
      [{ response_format: { type: 'json_object' } }, /^'response_format' is named text\.format/],
      [{ reasoning: { effort: 'extreme' } }, /^'reasoning\.effort' must be one of none, minimal, /],
      [{ max_output_tokens: 0 }, /^'max_output_tokens' must be at least 1\.$/],
    ];
    for (const [fields, expected] of cases) assert.match(refusal(fields), expected);
  });
});

/** What the conversation has in addition to its messages. */
function conversationOf(fields: object): object {
  const { system: _system, messages: _messages, ...rest } = conversation(fields);
  return rest;
}

describe('the tools of a response', () => {
  const parameters = { type: 'object', properties: { city: { type: 'string' } } };
  const weather = { type: 'function', name: 'weather', parameters };
  const names = (fields: object): string[] | undefined => conversation(fields).tools?.map(({ name }) => name);

  test('that are functions reach the model', () => {
    const tools = [
      { ...weather, description: 'd', strict: true },
      { type: 'function', name: 'now', strict: false, parameters: null, defer_loading: true },
    ];
    assert.deepEqual(conversationOf({ tools }), {
      tools: [
        { name: 'weather', description: 'd', strict: true, input_schema: parameters },
        { name: 'now', input_schema: { type: 'object', properties: {} } },
      ],
    });
  });

  test('that are custom have one text as their input', () => {
    const format = { type: 'grammar', syntax: 'lark', definition: 'start: "x"' };
    const { conversation, callers } = readResponsesRequest({
      input: 'hi',
      tools: [{ type: 'custom', name: 'apply_patch', description: 'd', format }],
      tool_choice: { type: 'custom', name: 'apply_patch' },
    });
    assert.deepEqual(conversation.tools, [
      {
        name: 'apply_patch',
        description: 'd',
        input_schema: {
          type: 'object',
          properties: {
            input: { type: 'string', description: 'A text that this lark grammar accepts:\n\nstart: "x"' },
          },
          required: ['input'],
          additionalProperties: false,
        },
      },
    ]);
    assert.deepEqual(conversation.toolChoice, { type: 'tool', name: 'apply_patch' });
    const { name, custom, namespace } = callers.get('apply_patch') ?? assert.fail('it is not there');
    assert.deepEqual([name, custom, namespace], ['apply_patch', true, undefined]);
  });

  test('of a namespace and of the input have joined names, and the last of a name is used', () => {
    const group = (...tools: object[]): object => ({
      type: 'namespace',
      name: 'agents',
      description: 'For agents.',
      tools,
    });
    const { conversation, callers } = readResponsesRequest({
      tools: [weather, group({ type: 'function', name: 'spawn', description: 'Starts one.' })],
      input: [
        { type: 'additional_tools', role: 'developer', tools: [group({ type: 'function', name: 'wait' })] },
        { type: 'additional_tools', tools: [{ ...weather, description: 'newer' }] },
        message('user', 'hi'),
      ],
    });
    const described = conversation.tools?.map(({ name, description }) => [name, description]);
    assert.deepEqual(described, [
      ['weather', 'newer'],
      ['agents__spawn', 'Starts one.\n\nAll tools with a name that begins with agents__: For agents.'],
      ['agents__wait', 'All tools with a name that begins with agents__: For agents.'],
    ]);
    assert.equal(callers.get('agents__wait')?.namespace, 'agents');
    assert.equal(callers.get('agents__wait')?.name, 'wait');
  });

  test('that the API would run are left out next to others, and named', () => {
    const tools = [weather, { type: 'web_search', external_web_access: false }];
    assert.deepEqual(names({ tools }), ['weather']);
    assert.deepEqual(ignored({ tools }), ['tools.web_search']);
    assert.deepEqual(names({ tools: [tools[1]], tool_choice: 'none' }), undefined);
  });

  test('are chosen as the caller says', () => {
    const tools = [weather, { type: 'function', name: 'now' }, { type: 'web_search' }];
    const choice = (tool_choice: unknown, more = {}): unknown =>
      conversation({ tools, tool_choice, ...more }).toolChoice;
    assert.equal(choice('auto'), undefined);
    assert.deepEqual(choice('none'), { type: 'none' });
    assert.deepEqual(choice('required'), { type: 'any' });
    assert.deepEqual(choice({ type: 'function', name: 'now' }), { type: 'tool', name: 'now' });
    assert.deepEqual(choice('auto', { parallel_tool_calls: false }), {
      type: 'auto',
      disable_parallel_tool_use: true,
    });
    const allowed = {
      type: 'allowed_tools',
      mode: 'required',
      tools: [{ type: 'function', name: 'now' }, { type: 'web_search' }],
    };
    assert.deepEqual([choice(allowed), names({ tools, tool_choice: allowed })], [{ type: 'any' }, ['now']]);
  });

  test('that are wrong are refused with their place', () => {
    const search = { type: 'web_search' };
    const cases: [fields: object, RegExp][] = [
      [
        { tools: [search] },
        /^'tools\[0\]\.type' names a tool that the API runs, but the relay runs no tools/,
      ],
      [
        { tools: [weather, search], tool_choice: search },
        /^'tool_choice\.type' names a tool that the API runs, but the relay runs no tools: send your own functions\.$/,
      ],
      [{ tools: [weather, weather] }, /^'tools\[1\]\.name' is the name of another tool in this request\.$/],
      [{ tools: [{ name: 'x' }] }, /^'tools\[0\]\.type' is required\.$/],
      [{ tools: [{ type: 'function' }] }, /^'tools\[0\]\.name' is required\.$/],
      [{ tools: [{ type: 'function', name: 'a b' }] }, /^'tools\[0\]\.name' must be of a-z/],
      [
        { tools: [{ ...weather, parameters: { type: 'array' } }] },
        /^'tools\[0\]\.parameters\.type' must be object/,
      ],
      [{ tool_choice: 'required' }, /^'tool_choice' requires tools\.$/],
      [
        { tools: [weather], tool_choice: { type: 'function', name: 'x' } },
        /^'tool_choice\.name' is not one of/,
      ],
      [
        { tools: [{ type: 'namespace', name: 'n', tools: [search] }] },
        /^'tools\[0\]\.tools\[0\]\.type' must be one of function, custom/,
      ],
    ];
    for (const [fields, expected] of cases) assert.match(refusal(fields), expected);
  });
});

test('a request of Codex 0.171 is taken whole, and what has no effect is named', () => {
  const item = (role: string, text: string): object => ({
    type: 'message',
    id: 'msg_01a226d1-bfed-7903-becc-2d2d87a22615',
    role,
    content: [{ type: 'input_text', text }],
    internal_chat_message_metadata_passthrough: { turn_id: '01a226d1', content_item_kinds: ['user.text'] },
  });
  const tool = (name: string): object => ({
    type: 'function',
    name,
    description: 'd',
    strict: false,
    parameters: { type: 'object', properties: {}, additionalProperties: false },
  });
  const { conversation, ignored } = readResponsesRequest({
    model: 'opus',
    stream: true,
    input: [
      item('developer', 'You are a coding agent.'),
      item('user', '<environment_context>'),
      item('user', 'hi'),
    ],
    tools: [
      tool('exec_command'),
      { type: 'namespace', name: 'multi_agent_v1', description: 'Sub-agents.', tools: [tool('spawn_agent')] },
      { type: 'web_search', external_web_access: false },
    ],
    tool_choice: 'auto',
    parallel_tool_calls: true,
    reasoning: { summary: 'auto' },
    store: false,
    include: ['reasoning.encrypted_content'],
    prompt_cache_key: '01a226d1-bf95-7f02-bfc8-79b68f1a5d17',
    client_metadata: { thread_id: '01a226d1' },
  });
  assert.deepEqual(conversation.system, ['You are a coding agent.']);
  assert.deepEqual(conversation.messages, [user(text('<environment_context>'), text('hi'))]);
  assert.deepEqual(
    conversation.tools?.map(({ name }) => name),
    ['exec_command', 'multi_agent_v1__spawn_agent'],
  );
  assert.deepEqual(
    [...ignored],
    [
      'client_metadata',
      'prompt_cache_key',
      'input.internal_chat_message_metadata_passthrough',
      'tools.web_search',
    ],
  );
});
