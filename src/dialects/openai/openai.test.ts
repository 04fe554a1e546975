import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Conversation } from '../../conversation.ts';
import { RelayError } from '../../errors.ts';
import { openai } from './openai.ts';

const hi = [{ role: 'user', content: 'hi' }];
const png = 'iVBORw0KGgo=';
const pdf = 'JVBERi0xLjQK';
const weather = { type: 'function', function: { name: 'weather' } };

function parse(fields: object): ReturnType<typeof openai.parse> {
  return openai.parse({ model: 'opus', messages: hi, ...fields });
}

function conversation(fields: object): Conversation {
  return parse(fields).conversation;
}

function call(id: string, args = '{}', name = 'weather'): object {
  return { id, type: 'function', function: { name, arguments: args } };
}

function refusal(body: unknown): RelayError {
  try {
    openai.parse(body);
  } catch (error) {
    assert.ok(error instanceof RelayError, String(error));
    assert.equal(error.code, 'bad_request');
    return error;
  }
  return assert.fail('it was taken');
}

test('a chat request with messages alone becomes a conversation', () => {
  const ask = openai.parse({ messages: hi });
  assert.deepEqual(ask.conversation, {
    system: [],
    messages: [{ role: 'user', content: [{ type: 'text', text: 'hi' }] }],
  });
  assert.deepEqual([ask.model, ask.stream, ask.ignored], [undefined, false, []]);
});

describe('chat messages', () => {
  const user = (...content: object[]): object => ({ role: 'user', content });
  const text = (text: string): object => ({ type: 'text', text });

  test('of the roles system and developer become the system prompt, in order', () => {
    const { system, messages } = conversation({
      messages: [
        { role: 'system', content: 'one' },
        { role: 'user', content: 'a' },
        { role: 'developer', content: [text('two'), text(' '), text('three')] },
        { role: 'user', content: 'b', name: 'bob' },
      ],
    });
    assert.deepEqual(system, ['one', 'two', 'three']);
    assert.deepEqual(messages, [user(text('a')), user(text('b'))]);
  });

  test('keep the order of texts, images and files, without blank texts', () => {
    const { messages } = conversation({
      messages: [
        user(
          text('look'),
          { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } },
          text('\n'),
          { type: 'image_url', image_url: { url: `DATA:image/JPG;name=x;base64,${png}`, detail: 'auto' } },
          { type: 'file', file: { file_data: `data:application/pdf;base64,${pdf}`, filename: 'a.pdf' } },
          { type: 'file', file: { file_data: pdf } },
          { type: 'file', file: { file_data: `data:text/plain;base64,${btoa('words')}`, filename: ' ' } },
        ),
      ],
    });
    const base64 = (type: string, media: string, data: string): object => ({
      type,
      source: { type: 'base64', media_type: media, data },
    });
    assert.deepEqual(messages, [
      user(
        text('look'),
        base64('image', 'image/png', png),
        base64('image', 'image/jpeg', png),
        { ...base64('document', 'application/pdf', pdf), title: 'a.pdf' },
        base64('document', 'application/pdf', pdf),
        { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'words' } },
      ),
    ]);
  });

  test('of the assistant keep texts, refusal and calls', () => {
    const { messages } = conversation({
      messages: [
        ...hi,
        {
          role: 'assistant',
          content: [text('so'), { type: 'refusal', refusal: 'not this' }],
          refusal: 'nor that',
          annotations: [],
          audio: null,
          function_call: null,
          parsed: null,
          tool_calls: [call('c1', '{"city":"Oslo","__proto__":1}'), call('c2', '')],
        },
        { role: 'tool', tool_call_id: 'c2', content: '' },
        { role: 'tool', tool_call_id: 'c1', content: [text('rain'), text('4 °C')], name: 'weather' },
        { role: 'user', content: 'and?' },
      ],
    });
    const input = JSON.parse('{"city":"Oslo","__proto__":1}') as object;
    assert.deepEqual(messages.slice(1), [
      {
        role: 'assistant',
        content: [
          text('so'),
          text('not this'),
          text('nor that'),
          { type: 'tool_use', id: 'c1', name: 'weather', input },
          { type: 'tool_use', id: 'c2', name: 'weather', input: {} },
        ],
      },
      user(
        { type: 'tool_result', tool_use_id: 'c1', content: [text('rain'), text('4 °C')] },
        { type: 'tool_result', tool_use_id: 'c2', content: '' },
      ),
      user(text('and?')),
    ]);
  });

  test('keep the marks for the prompt cache, of parts and of messages', () => {
    const mark = { cache_control: { type: 'ephemeral', ttl: '1h' } };
    const marked = (fields: object): object => ({ ...fields, ...mark });
    const ask = parse({
      messages: [
        { role: 'system', content: 's', ...mark },
        marked(user(text('a'), text('b'))),
        { role: 'assistant', content: [marked(text('c'))], tool_calls: [call('c1')], ...mark },
        { role: 'tool', tool_call_id: 'c1', content: 'r', ...mark },
        user(marked({ type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } }), text('d')),
        { role: 'user', content: 'e', cache_control: null },
      ],
      tools: [marked(weather), { type: 'function', function: marked({ name: 'time' }) }],
      cache_control: { type: 'ephemeral' },
    });
    const { messages, systemMark, endMark, tools } = ask.conversation;
    assert.deepEqual(messages, [
      user(text('a'), marked(text('b'))),
      {
        role: 'assistant',
        content: [marked(text('c')), marked({ type: 'tool_use', id: 'c1', name: 'weather', input: {} })],
      },
      user(marked({ type: 'tool_result', tool_use_id: 'c1', content: 'r' })),
      user(
        marked({ type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } }),
        text('d'),
      ),
      user(text('e')),
    ]);
    assert.deepEqual([systemMark, endMark], [mark.cache_control, { type: 'ephemeral' }]);
    assert.deepEqual(
      tools?.map((tool) => tool.cache_control),
      [mark.cache_control, mark.cache_control],
    );
    assert.deepEqual(ask.ignored, []);
    const inside = [{ role: 'system', content: [marked(text('s')), text('t')] }, ...hi];
    assert.deepEqual(parse({ messages: inside }).ignored, ['messages.cache_control']);
  });

  test('of the old function calling become calls and results', () => {
    const called = (city: string): object => ({
      role: 'assistant',
      content: null,
      function_call: { name: 'weather', arguments: JSON.stringify({ city }) },
    });
    const { messages } = conversation({
      messages: [
        ...hi,
        called('Oslo'),
        { role: 'function', name: 'weather', content: 'rain' },
        called('Rome'),
        { role: 'function', name: 'weather', content: null },
      ],
    });
    const round = (id: string, city: string, content: unknown): object[] => [
      { role: 'assistant', content: [{ type: 'tool_use', id, name: 'weather', input: { city } }] },
      user({ type: 'tool_result', tool_use_id: id, content }),
    ];
    assert.deepEqual(messages.slice(1), [
      ...round('function_call', 'Oslo', 'rain'),
      ...round('function_call_2', 'Rome', []),
    ]);
  });

  test('of the assistant without content are left out', () => {
    const { messages } = conversation({
      messages: [...hi, { role: 'assistant', content: '\n', tool_calls: [] }, ...hi],
    });
    assert.equal(messages.length, 2);
  });

  test('get unique ids of calls that the Messages API accepts', () => {
    const round = (id: string): object[] => [
      { role: 'assistant', content: null, tool_calls: [call(id)] },
      { role: 'tool', tool_call_id: id, content: id },
    ];
    const { messages } = conversation({
      messages: [...hi, ...round('f.weather:0'), ...round('f.weather:0'), ...round('f_weather_0')],
    });
    const ids = messages.flatMap(({ content }) =>
      content.flatMap((block) =>
        block.type === 'tool_use' ? block.id : block.type === 'tool_result' ? block.tool_use_id : [],
      ),
    );
    assert.deepEqual(ids, [
      'f_weather_0',
      'f_weather_0',
      'f_weather_0_2',
      'f_weather_0_2',
      'f_weather_0_3',
      'f_weather_0_3',
    ]);
  });
});

describe('chat parameters', () => {
  const tools = [weather, { type: 'function', function: { name: 'time', strict: true } }];
  const schema = { type: 'object', properties: { a: { type: 'number' } } };
  const objectTool = { input_schema: { type: 'object', properties: {} } };
  const both = [
    { name: 'weather', ...objectTool },
    { name: 'time', ...objectTool, strict: true },
  ];

  const cases: [object, Partial<Conversation>][] = [
    [{ max_tokens: 5 }, { maxTokens: 5 }],
    [{ max_completion_tokens: 6, max_tokens: null }, { maxTokens: 6 }],
    [
      { temperature: 0.5, top_p: 0.25 },
      { temperature: 0.5, topP: 0.25 },
    ],
    [{ temperature: 1.5 }, { temperature: 1 }],
    [{ stop: 'END' }, { stopSequences: ['END'] }],
    [{ stop: ['a', 'b'] }, { stopSequences: ['a', 'b'] }],
    [{ stop: [] }, {}],
    [{ stop: null, temperature: null, tools: null, response_format: null, reasoning_effort: null }, {}],
    [{ reasoning_effort: 'none' }, { thinking: { type: 'off' } }],
    [{ reasoning_effort: 'minimal' }, { effort: 'low' }],
    [{ reasoning_effort: 'xhigh' }, { effort: 'xhigh' }],
    [{ reasoning: { effort: 'high', summary: 'auto' } }, { effort: 'high' }],
    [{ reasoning: { effort: 'none' } }, { thinking: { type: 'off' } }],
    [{ reasoning_effort: 'low', reasoning: { effort: 'high' } }, { effort: 'low' }],
    [{ reasoning: {} }, {}],
    [{ top_k: 5 }, { topK: 5 }],
    [{ top_k: -1 }, {}],
    [
      { thinking: { type: 'enabled', budget_tokens: 2000 }, max_tokens: 3000 },
      { maxTokens: 3000, thinking: { type: 'enabled', budget_tokens: 2000 } },
    ],
    [{ thinking: { type: 'enabled' } }, { thinking: { type: 'adaptive' } }],
    [
      { thinking: { type: 'adaptive' }, reasoning_effort: 'max' },
      { thinking: { type: 'adaptive' }, effort: 'max' },
    ],
    [{ thinking: { type: 'disabled' }, reasoning_effort: 'none' }, { thinking: { type: 'disabled' } }],
    [{ response_format: { type: 'text' } }, {}],
    [{ response_format: { type: 'json_object', schema: {} } }, { schema: { type: 'object' } }],
    [{ response_format: { type: 'json_object', schema } }, { schema }],
    [{ response_format: { type: 'json_object' } }, { schema: { type: 'object' } }],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x', schema, strict: true } } },
      { schema },
    ],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x', description: 'd', schema } } },
      { schema: { description: 'd', ...schema } },
    ],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x' } } },
      { schema: { type: 'object' } },
    ],
    [{ tools }, { tools: both }],
    [
      {
        tools: [
          { type: 'function', function: { name: 'f', description: 'd', parameters: schema, strict: null } },
        ],
      },
      { tools: [{ name: 'f', description: 'd', input_schema: schema }] },
    ],
    [
      { tools: [{ type: 'function', function: { name: 'f', parameters: {} } }] },
      { tools: [{ name: 'f', input_schema: { type: 'object' } }] },
    ],
    [{ tools, tool_choice: 'auto', parallel_tool_calls: true }, { tools: both }],
    [{ tool_choice: 'none', parallel_tool_calls: false }, {}],
  ];
  for (const [fields, expected] of cases) {
    test(`become settings of the conversation: ${JSON.stringify(fields)}`, () => {
      const { system: _system, messages: _messages, ...rest } = conversation(fields);
      assert.deepEqual(rest, expected);
    });
  }

  const named = { type: 'function', function: { name: 'time' } };
  const allowed = (mode: string): object => ({
    type: 'allowed_tools',
    allowed_tools: { mode, tools: [named] },
  });
  const choices: [object, object | undefined, string[]][] = [
    [{ functions: [] }, undefined, ['weather', 'time']],
    [{ tool_choice: 'none' }, { type: 'none' }, ['weather', 'time']],
    [{ tool_choice: 'required' }, { type: 'any' }, ['weather', 'time']],
    [{ tool_choice: named }, { type: 'tool', name: 'time' }, ['weather', 'time']],
    [{ tool_choice: allowed('auto') }, undefined, ['time']],
    [{ tool_choice: allowed('required') }, { type: 'any' }, ['time']],
    [{ parallel_tool_calls: false }, { type: 'auto', disable_parallel_tool_use: true }, ['weather', 'time']],
    [
      { parallel_tool_calls: false, tool_choice: named },
      { type: 'tool', name: 'time', disable_parallel_tool_use: true },
      ['weather', 'time'],
    ],
  ];
  const functions = [{ name: 'weather' }, { name: 'time', strict: true }];
  const oneAtATime = { disable_parallel_tool_use: true };
  const olderChoices: typeof choices = [
    [{ functions }, { type: 'auto', ...oneAtATime }, ['weather', 'time']],
    [{ functions, function_call: 'none' }, { type: 'none' }, ['weather', 'time']],
    [
      { functions, function_call: { name: 'time' } },
      { type: 'tool', name: 'time', ...oneAtATime },
      ['weather', 'time'],
    ],
    [{ functions: [], function_call: 'auto' }, undefined, []],
  ];
  for (const [fields, choice, names] of olderChoices) {
    test(`become tools and tool choice: ${JSON.stringify(fields)}`, () => {
      const { toolChoice, tools: offered = [] } = conversation(fields);
      assert.deepEqual(toolChoice, choice);
      assert.deepEqual(
        offered,
        both.filter(({ name }) => names.includes(name)),
      );
    });
  }
  for (const [fields, choice, names] of choices) {
    test(`become tools and tool choice: ${JSON.stringify(fields)}`, () => {
      const { toolChoice, tools: offered } = conversation({ tools, ...fields });
      assert.deepEqual(toolChoice, choice);
      assert.deepEqual(
        offered?.map(({ name }) => name),
        names,
      );
    });
  }

  const ignored: [object, string[]][] = [
    [{ seed: 1, user: 'u', metadata: { a: 'b' } }, ['metadata', 'seed', 'user']],
    [
      { presence_penalty: 0, frequency_penalty: 0, store: false, service_tier: 'auto', verbosity: 'medium' },
      [],
    ],
    [
      { presence_penalty: 1, frequency_penalty: -1, store: true, service_tier: 'flex', verbosity: 'low' },
      ['frequency_penalty', 'presence_penalty', 'service_tier', 'store', 'verbosity'],
    ],
    [
      {
        prediction: { type: 'content', content: 'x' },
        prompt_cache_key: 'k',
        prompt_cache_options: { mode: 'explicit' },
        prompt_cache_retention: '24h',
        safety_identifier: 's',
      },
      [
        'prediction',
        'prompt_cache_key',
        'prompt_cache_options',
        'prompt_cache_retention',
        'safety_identifier',
      ],
    ],
    [{ n: 1, logprobs: false, top_logprobs: 0, logit_bias: {}, modalities: ['text'], audio: null }, []],
    [{ temperature: 1 }, []],
    [{ temperature: 2 }, ['temperature']],
    [{ stream_options: { include_obfuscation: true } }, ['stream_options.include_obfuscation']],
    [
      {
        messages: [
          { role: 'user', name: 'bob', content: [{ type: 'text', text: 'x', prompt_cache_breakpoint: {} }] },
          { role: 'assistant', content: 'y', reasoning_content: 'hm' },
          {
            role: 'user',
            content: [
              { type: 'image_url', image_url: { url: `data:image/png;base64,${png}`, detail: 'high' } },
            ],
          },
        ],
      },
      [
        'messages.name',
        'messages.content.prompt_cache_breakpoint',
        'messages.reasoning_content',
        'image_url.detail',
      ],
    ],
    [{ reasoning_effort: 'low', reasoning: { effort: 'low', exclude: true } }, ['reasoning.exclude']],
    [{ reasoning_effort: 'low', reasoning: { effort: 'high' } }, ['reasoning.effort']],
    [{ thinking: { type: 'adaptive', display: 'summarized' } }, ['thinking.display']],
    [{ tools: [{ type: 'web_search' }, weather, { type: 'a:b', x: 1 }] }, ['tools.web_search', 'tools.a:b']],
    [{ foo: 1, search_parameters: { mode: 'auto' }, min_p: null }, ['foo', 'search_parameters']],
    [{ stream_options: { foo: 1 }, tools: [{ ...weather, foo: 1 }] }, ['stream_options.foo', 'tools.foo']],
    [
      {
        messages: [
          ...hi,
          {
            role: 'assistant',
            content: [{ type: 'text', text: 'a', role: 'assistant', refusal: null, annotations: [] }],
            annotations: [],
            tool_calls: [{ ...call('c1'), extra_content: {} }],
          },
          { role: 'tool', tool_call_id: 'c1', content: 'r', name: 'weather' },
        ],
      },
      ['messages.content.role', 'messages.content.annotations', 'messages.tool_calls.extra_content'],
    ],
  ];
  for (const [fields, names] of ignored) {
    test(`have no effect and are listed: ${JSON.stringify(fields).slice(0, 120)}`, () => {
      assert.deepEqual(parse(fields).ignored, names);
    });
  }

  test('ask for a stream with stream: true only', () => {
    assert.deepEqual(
      [true, false, null, undefined].map((stream) => parse({ stream }).stream),
      [true, false, false, false],
    );
  });
});

describe('a refused chat request names the place', () => {
  const round = (...messages: object[]): object => ({
    messages: [
      ...hi,
      { role: 'assistant', content: null, tool_calls: [call('c1'), call('c2')] },
      ...messages,
    ],
  });
  const result = (id: string): object => ({ role: 'tool', tool_call_id: id, content: 'x' });
  const part = (part: object): object => ({
    messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }, part] }],
  });
  const image = (url: unknown): object => part({ type: 'image_url', image_url: { url } });
  const file = (file: object): object => part({ type: 'file', file });
  const deep = (levels: number): unknown => JSON.parse('['.repeat(levels) + ']'.repeat(levels));

  const cases: [object, string, RegExp][] = [
    [{ messages: undefined }, 'messages', /^'messages' is required\.$/],
    [{ messages: [] }, 'messages', /at least 1/],
    [{ messages: 'hi' }, 'messages', /^'messages' must be an array\.$/],
    [{ messages: [5] }, 'messages[0]', /must be an object/],
    [
      { messages: [{ role: 'robot', content: 'x' }] },
      'messages[0].role',
      /must be one of system, developer, user.*"robot" is not supported/,
    ],
    [{ messages: [{ content: 'x' }] }, 'messages[0].role', /must be one of|is required/],
    [
      { messages: [{ role: 'function', name: 'f', content: 'x' }] },
      'messages[0].role',
      /is function, but the previous assistant message has no function_call/,
    ],
    [round({ role: 'function', content: 'x' }), 'messages[2].role', /is function, but/],
    [
      { messages: [...hi, { role: 'assistant', function_call: { name: 'f', arguments: '' } }, ...hi] },
      'messages[1].function_call',
      /no later message answers/,
    ],
    [
      { messages: [...hi, { role: 'assistant', function_call: { name: 'f', arguments: '[]' } }] },
      'messages[1].function_call.arguments',
      /JSON object/,
    ],
    [{ messages: [{ role: 'user' }] }, 'messages[0].content', /is required/],
    [{ messages: [{ role: 'user', content: 5 }] }, 'messages[0].content', /must be a string or an array/],
    [{ messages: [{ role: 'user', content: ' \n' }] }, 'messages[0].content', /must not be blank/],
    [{ messages: [{ role: 'user', content: [] }] }, 'messages[0].content', /must not be blank/],
    [{ messages: [{ role: 'user', content: 'a\ud800b' }] }, 'messages[0].content', /lone surrogate/],
    [
      { messages: [{ role: 'system', content: 'x' }] },
      'messages',
      /must contain a message with the role user/,
    ],
    [
      { messages: [...hi, { role: 'assistant', content: 'x' }] },
      'messages[1]',
      /must have the role user, tool or function/,
    ],
    [
      part({ type: 'video' }),
      'messages[0].content[1].type',
      /must be one of text, image_url, file; "video" is not supported/,
    ],
    [part({ type: 'input_audio', input_audio: {} }), 'messages[0].content[1].type', /must be one of/],
    [part({ type: 'image_url' }), 'messages[0].content[1].image_url', /is required/],
    [image(undefined), 'messages[0].content[1].image_url.url', /is required/],
    [image('https://example.com/a.png'), 'messages[0].content[1].image_url.url', /data URL.*fetches nothing/],
    [image('data:image/png,abc'), 'messages[0].content[1].image_url.url', /data URL in base64/],
    [image('data:image/png;base64'), 'messages[0].content[1].image_url.url', /data URL in base64/],
    [image('data:image/png;base64,a*=='), 'messages[0].content[1].image_url.url', /not valid base64/],
    [image('data:image/png;base64,'), 'messages[0].content[1].image_url.url', /not valid base64/],
    [
      image(`data:image/tiff;base64,${png}`),
      'messages[0].content[1].image_url.url',
      /must be an image of image\/png/,
    ],
    [file({ file_id: 'file-1' }), 'messages[0].content[1].file.file_id', /send file_data/],
    [file({}), 'messages[0].content[1].file.file_data', /is required/],
    [file({ file_data: 'hello' }), 'messages[0].content[1].file.file_data', /data URL/],
    [file({ file_data: 'JVBERi0xLjQ' }), 'messages[0].content[1].file.file_data', /not valid base64/],
    [
      file({ file_data: `data:text/html;base64,${png}` }),
      'messages[0].content[1].file.file_data',
      /application\/pdf or text\/plain/,
    ],
    [file({ file_data: `data:text/plain;base64,/w==` }), 'messages[0].content[1].file.file_data', /UTF-8/],
    [file({ file_data: `data:text/plain;base64,IA==` }), 'messages[0].content[1].file.file_data', /blank/],
    [{ messages: [result('c1'), ...hi] }, 'messages[0].role', /no assistant message with tool_calls/],
    [round(result('c1'), ...hi), 'messages[1].tool_calls[1].function', /no later message answers/],
    [round(result('c1')), 'messages[1].tool_calls[1].function', /no later message answers/],
    [round(), 'messages[1].tool_calls[0].function', /no later message answers/],
    [
      round(result('c3')),
      'messages[2].tool_call_id',
      /not the id of a call in the previous assistant message/,
    ],
    [round(result('c1'), result('c1')), 'messages[3]', /answered already/],
    [
      { messages: [...hi, { role: 'assistant', tool_calls: [call('c'), call('c')] }] },
      'messages[1].tool_calls[1].id',
      /another call/,
    ],
    [
      { messages: [...hi, { role: 'assistant', tool_calls: [call('c', '{')] }] },
      'messages[1].tool_calls[0].function.arguments',
      /is not JSON/,
    ],
    [
      { messages: [...hi, { role: 'assistant', tool_calls: [call('c', '[]')] }] },
      'messages[1].tool_calls[0].function.arguments',
      /JSON object/,
    ],
    [
      {
        messages: [
          ...hi,
          { role: 'assistant', tool_calls: [call('c', `{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`)] },
        ],
      },
      'messages[1].tool_calls[0].function.arguments.a[0][0][0][0][0]',
      /nested more than/,
    ],
    [
      { messages: [...hi, { role: 'assistant', tool_calls: [call('c', '{"a":"\\ud800"}')] }] },
      'messages[1].tool_calls[0].function.arguments.a',
      /lone surrogate/,
    ],
    [
      { messages: [...hi, { role: 'assistant', tool_calls: [call('c', '{"a":1e400}')] }] },
      'messages[1].tool_calls[0].function.arguments.a',
      /is a number that is too large/,
    ],
    [
      { messages: [...hi, { role: 'assistant', tool_calls: [{ id: 'c', type: 'custom' }] }] },
      'messages[1].tool_calls[0].type',
      /must be function/,
    ],
    [
      { messages: [...hi, { role: 'assistant', audio: { id: 'a' } }] },
      'messages[1].audio',
      /audio that the relay does not keep/,
    ],
    [{ model: 5 }, 'model', /must be a string/],
    [{ n: 2 }, 'n', /must be 1: a request has one answer/],
    [{ logprobs: true }, 'logprobs', /no probabilities/],
    [{ top_logprobs: 3 }, 'top_logprobs', /no probabilities/],
    [{ logit_bias: { 50256: -100 } }, 'logit_bias', /no token bias/],
    [{ modalities: ['text', 'audio'] }, 'modalities[1]', /text only/],
    [{ audio: { voice: 'alloy', format: 'mp3' } }, 'audio', /text only/],
    [{ web_search_options: {} }, 'web_search_options', /does not search/],
    [{ moderation: { model: 'm' } }, 'moderation', /does not moderate/],
    [{ functions: [{ name: 'f' }], tools: [weather] }, 'functions', /together with tools/],
    [{ functions: [{ name: 'f' }, { name: 'f' }] }, 'functions[1].name', /another tool/],
    [
      { functions: [{ name: 'f', parameters: { type: 'string' } }] },
      'functions[0].parameters.type',
      /object/,
    ],
    [{ functions: [{ name: 'f' }], function_call: { name: 'g' } }, 'function_call.name', /not one of/],
    [{ function_call: { name: 'g' } }, 'function_call', /requires functions/],
    [{ function_call: 'any' }, 'function_call', /must be one of none, auto|must be an object/],
    [{ temperature: 2.1 }, 'temperature', /at most 2/],
    [{ temperature: 'hot' }, 'temperature', /must be a number/],
    [{ top_p: -1 }, 'top_p', /at least 0/],
    [{ max_tokens: 0 }, 'max_tokens', /at least 1/],
    [{ max_tokens: 1.5 }, 'max_tokens', /must be an integer/],
    [{ max_tokens: 1, max_completion_tokens: 1 }, 'max_tokens', /together with max_completion_tokens/],
    [{ stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop', /at most 4/],
    [{ stop: '\n' }, 'stop', /blank/],
    [{ stop: ['a', '\n'] }, 'stop[1]', /blank/],
    [{ reasoning_effort: 'extreme' }, 'reasoning_effort', /must be one of none, minimal/],
    [{ reasoning: { effort: 'extreme' } }, 'reasoning.effort', /must be one of none, minimal/],
    [{ thinking: { type: 'auto' } }, 'thinking.type', /must be one of enabled, adaptive/],
    [
      { thinking: { type: 'enabled', budget_tokens: 2000 }, max_tokens: 2000 },
      'thinking.budget_tokens',
      /must be less than the most tokens/,
    ],
    [{ top_k: 1.5 }, 'top_k', /must be an integer/],
    [{ response_format: { type: 'grammar' } }, 'response_format.type', /must be one of/],
    [{ response_format: { type: 'json_schema' } }, 'response_format.json_schema', /is required/],
    [
      { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: 5 } } },
      'response_format.json_schema.schema',
      /must be an object/,
    ],
    [{ tools: [{ type: 'custom', custom: { name: 'x' } }] }, 'tools[0].type', /must be function/],
    [{ tools: [{ type: 'web_search' }] }, 'tools[0].type', /must be function: the relay runs no tools/],
    [{ tools: [weather, {}] }, 'tools[1].type', /is required/],
    [{ tools: [weather], tool_choice: { type: 'web_search' } }, 'tool_choice.type', /is not supported/],
    [
      { tools: [{ type: 'function', function: { name: 'no spaces' } }] },
      'tools[0].function.name',
      /must be 1 to 64/,
    ],
    [{ tools: [weather, weather] }, 'tools[1].function.name', /another tool/],
    [
      { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'string' } } }] },
      'tools[0].function.parameters.type',
      /must be object/,
    ],
    [
      { tools: [{ type: 'function', function: { name: 'f', parameters: { a: deep(300) } } }] },
      'tools[0].function.parameters.a[0][0][0][0][0][0][0]',
      /nested more than/,
    ],
    [{ tool_choice: 'required' }, 'tool_choice', /requires tools/],
    [
      { tools: [weather], tool_choice: { type: 'function', function: { name: 'x' } } },
      'tool_choice.function.name',
      /not one of the tools/,
    ],
    [{ tools: [weather], tool_choice: 'any' }, 'tool_choice', /must be one of/],
    [{ tools: [weather], tool_choice: { type: 'custom' } }, 'tool_choice.type', /must be one of/],
    [
      {
        tools: [weather],
        tool_choice: {
          type: 'allowed_tools',
          allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: 'x' } }] },
        },
      },
      'tool_choice.allowed_tools.tools[0].function.name',
      /not one of the tools/,
    ],
    [{ stream: 'yes' }, 'stream', /must be a boolean/],
    [{ user: 5 }, 'user', /must be a string/],
  ];
  for (const [fields, param, message] of cases) {
    test(`as ${param}: ${message.source}`, () => {
      const error = refusal({ model: 'opus', messages: hi, ...fields });
      assert.equal(error.details.param, param, error.message);
      assert.match(error.message, message);
      assert.ok(error.message.includes(param), error.message);
    });
  }

  test('of a body that is not an object', () => {
    for (const body of [null, 5, 'x', '\ud800', []])
      assert.match(refusal(body).message, /^The request body /);
    assert.match(
      refusal({ messages: hi, 'a\ud800': 1 }).message,
      /^The request body has a name that holds a lone surrogate/,
    );
  });
});

describe('an error of a chat request', () => {
  const cases: [RelayError, object][] = [
    [
      new RelayError('bad_request', "'n' must be 1.", { param: 'n' }),
      { message: "'n' must be 1.", type: 'invalid_request_error', param: 'n', code: 'bad_request' },
    ],
    [
      new RelayError('unauthorized', 'No.'),
      { message: 'No.', type: 'invalid_request_error', param: null, code: 'invalid_api_key' },
    ],
    [
      new RelayError('not_found', 'No such one.', { reason: 'unknown_model' }),
      { message: 'No such one.', type: 'invalid_request_error', param: null, code: 'model_not_found' },
    ],
    [
      new RelayError('not_found', 'No such path of a model.'),
      { message: 'No such path of a model.', type: 'invalid_request_error', param: null, code: 'not_found' },
    ],
    [
      new RelayError('rate_limited', 'Wait.', { limit: 'key_rpm', retryAfter: 5 }),
      { message: 'Wait.', type: 'rate_limit_exceeded', param: null, code: 'rate_limit_exceeded' },
    ],
    [
      new RelayError('rate_limited', 'Tomorrow.', { limit: 'key_daily', shouldRetry: false }),
      { message: 'Tomorrow.', type: 'insufficient_quota', param: null, code: 'insufficient_quota' },
    ],
    [
      new RelayError('rate_limited', 'Soon.', { limit: 'plan', retryAfter: 5 }),
      { message: 'Soon.', type: 'rate_limit_exceeded', param: null, code: 'rate_limit_exceeded' },
    ],
    [
      new RelayError('bad_request', 'The model refused the request.', { reason: 'prompt_too_long' }),
      {
        message: 'The model refused the request.',
        type: 'invalid_request_error',
        param: null,
        code: 'context_length_exceeded',
      },
    ],
    [
      new RelayError('upstream_overloaded', 'Busy.'),
      { message: 'Busy.', type: 'server_error', param: null, code: 'upstream_overloaded' },
    ],
  ];
  for (const [error, body] of cases) {
    test(`of the code ${error.code} has the shape of the API: ${error.message}`, () => {
      assert.deepEqual(openai.errorBody(error, 'req_1'), { error: body });
      assert.equal(openai.errorEvents(error, 'req_1'), `data: ${JSON.stringify({ error: body })}\n\n`);
    });
  }
});
