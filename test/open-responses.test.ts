/**
 * The specification Open Responses: its test cases (`src/lib/compliance-tests.ts` of github.com/openresponses/openresponses), by what they
 * check, and every way in which a response can end. Each answer and each event is held against its schema. The model is a script.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { SeenRequest } from './support/failing-model.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { images, pdf } from './support/media.ts';
import {
  askResponse,
  requireResponse,
  streamResponse,
  type ResponseBody,
  type ResponseEvent,
} from './support/open-responses.ts';
import { eventually } from './support/relay.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';
import { sentBy, type Sent } from './support/sent.ts';
import { structuredModel } from './support/weather.ts';

const weather = {
  type: 'function',
  name: 'get_weather',
  description: 'Get the current weather for a location',
  parameters: { type: 'object', properties: { location: { type: 'string' } }, required: ['location'] },
} as const;
const message = (role: string, content: unknown): object => ({ type: 'message', role, content });
const text = (text: string): { type: 'text'; text: string } => ({ type: 'text', text });

let relay: InProcessRelay;
let reply: (request: SeenRequest) => ScriptedReply | Promise<ScriptedReply>;
before(async () => {
  relay = await startInProcess({ reply: (request) => reply(request) });
});
after(() => relay.stop());
const sent = (): Sent => sentBy(relay.model.requests.at(-1));
const ask = (body: object): Promise<ResponseBody> => askResponse(relay, body);
const stream = (body: object): Promise<ResponseEvent[]> => streamResponse(relay, body);
const types = ({ output }: ResponseBody): unknown[] => output.map(({ type }) => type);

/** The response that a stream ends with. */
function lastOf(events: readonly ResponseEvent[]): ResponseBody {
  const response = events.at(-1)?.['response'];
  requireResponse(response);
  return response as ResponseBody;
}

const hello: ScriptedReply = { kind: 'text', text: ['Hello', ' there!'] };
const call: ScriptedReply = {
  kind: 'tool_use',
  name: 'get_weather',
  input: { location: 'San Francisco, CA' },
};
const asksWeather = {
  input: [message('user', "What's the weather like in San Francisco?")],
  tools: [weather],
};

type TestCase = {
  /** Its id there. */
  id: string;
  request: object;
  reply: ScriptedReply;
  /** The types of the output's items. */
  output: readonly string[];
  /** What the model was sent. */
  sent?: Partial<Sent>;
};

const testCases: readonly TestCase[] = [
  {
    id: 'basic-response',
    request: { input: [message('user', 'Say hello in exactly 3 words.')] },
    reply: hello,
    output: ['message'],
    sent: { messages: [{ role: 'user', content: [text('Say hello in exactly 3 words.')] }] },
  },
  {
    id: 'system-prompt',
    request: { input: [message('system', 'You are a pirate.'), message('user', 'Say hello.')] },
    reply: hello,
    output: ['message'],
    sent: { system: 'You are a pirate.' },
  },
  { id: 'tool-calling', request: asksWeather, reply: call, output: ['function_call'] },
  {
    id: 'image-input',
    request: {
      input: [
        message('user', [
          { type: 'input_text', text: 'What do you see?' },
          { type: 'input_image', image_url: `data:image/png;base64,${images.png.data}` },
        ]),
      ],
    },
    reply: hello,
    output: ['message'],
    sent: {
      messages: [
        { role: 'user', content: [text('What do you see?'), { type: 'image', source: images.png }] },
      ],
    },
  },
  {
    id: 'file-input',
    request: {
      input: [
        message('user', [
          { type: 'input_text', text: 'What is its title?' },
          { type: 'input_file', filename: 'a.pdf', file_data: `data:application/pdf;base64,${pdf}` },
        ]),
      ],
    },
    reply: hello,
    output: ['message'],
    sent: {
      messages: [
        {
          role: 'user',
          content: [
            text('What is its title?'),
            {
              type: 'document',
              source: { type: 'base64', media_type: 'application/pdf', data: pdf },
              title: 'a.pdf',
            },
          ],
        },
      ],
    },
  },
  {
    id: 'multi-turn',
    request: {
      input: [
        message('user', 'My name is Alice.'),
        message('assistant', 'Hello Alice!'),
        message('user', 'What is my name?'),
      ],
    },
    reply: hello,
    output: ['message'],
    sent: {
      messages: [
        { role: 'user', content: [text('My name is Alice.')] },
        { role: 'assistant', content: [text('Hello Alice!')] },
        { role: 'user', content: [text('What is my name?')] },
      ],
    },
  },
];

describe('a test case of Open Responses:', () => {
  // The cases streaming-response and tool-calling-streaming are the first and the third, streamed.
  for (const { id, request, output, sent: expected = {}, ...given } of testCases) {
    for (const streamed of [false, true]) {
      test(`${id}${streamed ? ', streamed' : ''}, gets a complete response`, async () => {
        reply = () => given.reply;
        const response = streamed ? lastOf(await stream(request)) : await ask({ ...request, stream: false });
        assert.deepEqual([response.status, types(response)], ['completed', output]);
        assert.deepEqual({ ...sent(), ...expected }, sent());
      });
    }
  }

  test('tool-calling-streaming has the events of a call', async () => {
    reply = () => call;
    const events = await stream(asksWeather);
    const names = new Set(
      events.map(({ type, item }) => `${type} ${(item as { type: string } | undefined)?.type ?? ''}`),
    );
    for (const name of [
      'response.output_item.added function_call',
      'response.function_call_arguments.delta ',
      'response.function_call_arguments.done ',
      'response.output_item.done function_call',
    ]) {
      assert.ok(names.has(name), name);
    }
  });

  test('function-call-roundtrip goes on with the items themselves', async () => {
    reply = () => call;
    const choice = { tool_choice: { type: 'function', name: 'get_weather' } };
    const first = await ask({ ...asksWeather, ...choice });
    assert.deepEqual(sent().body['tool_choice'], { type: 'tool', name: 'get_weather' });
    const id = first.output[0]?.['call_id'];
    reply = () => hello;
    const result = { type: 'function_call_output', call_id: id, output: '64 degrees and clear' };
    const second = await ask({ ...asksWeather, input: [...asksWeather.input, ...first.output, result] });
    assert.deepEqual([second.status, types(second)], ['completed', ['message']]);
    assert.deepEqual(sent().messages.slice(1), [
      {
        role: 'assistant',
        content: [{ type: 'tool_use', id, name: 'get_weather', input: { location: 'San Francisco, CA' } }],
      },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content: '64 degrees and clear' }] },
    ]);
  });

  /** What the relay does not claim is refused by name, with the way out. */
  const notClaimed: [id: string, request: object, param: string, message: RegExp][] = [
    [
      'previous-response-id',
      { previous_response_id: 'resp_1' },
      'previous_response_id',
      /send all items of the conversation as input/,
    ],
    [
      'file-search',
      { tools: [{ type: 'file_search', vector_store_ids: ['vs_1'] }], tool_choice: { type: 'file_search' } },
      'tools[0].type',
      /send your own functions/,
    ],
    [
      'offline-web-search',
      { tools: [weather, { type: 'web_search' }], tool_choice: { type: 'web_search' } },
      'tool_choice.type',
      /the relay runs no tools/,
    ],
  ];
  for (const [id, request, param, says] of notClaimed) {
    test(`${id} is refused by name`, async () => {
      const response = await relay.post({ input: 'hi', ...request }, { path: '/v1/responses' });
      const { error } = (await response.json()) as { error: { param: string; message: string } };
      assert.deepEqual([response.status, error.param], [400, param]);
      assert.match(error.message, says);
    });
  }
});

describe('a response is valid whole and streamed', () => {
  const thought = { type: 'thinking', thinking: 'I think.', signature: 'c2ln' } as const;
  const use = (id: string) => ({ type: 'tool_use', id, name: 'get_weather', input: {} }) as const;
  type Ending = [name: string, request: object, reply: ScriptedReply, status: string, output: string[]];
  const endings: readonly Ending[] = [
    ['that is empty', {}, { kind: 'blocks', blocks: [] }, 'completed', ['message']],
    [
      'with its reasoning',
      { reasoning: { effort: 'max', summary: 'detailed' } },
      { kind: 'blocks', blocks: [thought, text('hello')] },
      'completed',
      ['reasoning', 'message'],
    ],
    [
      'with a text and two calls at once',
      { tools: [weather], parallel_tool_calls: true },
      { kind: 'blocks', blocks: [thought, text('I look.'), use('toolu_1'), use('toolu_2')] },
      'completed',
      ['reasoning', 'message', 'function_call', 'function_call'],
    ],
    [
      'with every setting that it repeats',
      {
        instructions: 'Be brief.',
        max_output_tokens: 100,
        max_tool_calls: 3,
        metadata: { a: 'b' },
        parallel_tool_calls: false,
        prompt_cache_key: 'k',
        safety_identifier: 's',
        service_tier: 'flex',
        store: true,
        temperature: 2,
        top_p: 0.5,
        text: { verbosity: 'low' },
        tools: [weather],
        tool_choice: { type: 'allowed_tools', tools: [{ type: 'function', name: 'get_weather' }] },
        truncation: 'auto',
      },
      hello,
      'completed',
      ['message'],
    ],
    [
      'that is cut off',
      {},
      { kind: 'text', text: 'Hel', stopReason: 'max_tokens' },
      'incomplete',
      ['message'],
    ],
    [
      'that is declined',
      {},
      { kind: 'blocks', blocks: [text('Hel')], stopReason: 'refusal' },
      'incomplete',
      ['message'],
    ],
  ];
  for (const [name, request, given, status, output] of endings) {
    test(name, async () => {
      reply = () => given;
      for (const response of [
        await ask({ input: 'hi', ...request }),
        lastOf(await stream({ input: 'hi', ...request })),
      ]) {
        assert.deepEqual([response.status, types(response)], [status, output]);
      }
    });
  }

  test('with a format', async () => {
    reply = (request) => structuredModel(request, { city: 'Oslo' });
    const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
    for (const format of [
      { type: 'json_object' },
      { type: 'json_schema', name: 'city', description: null, schema, strict: true },
    ]) {
      const request = { input: 'Where? Answer in JSON.', text: { format } };
      for (const response of [await ask(request), lastOf(await stream(request))]) {
        assert.deepEqual([response.status, response['text']], ['completed', { format }]);
      }
    }
  });

  test('that fails in a stream', async () => {
    reply = () => ({ kind: 'drop', after: 'text', text: 'half an' });
    const failed = lastOf(await stream({ input: 'hi' }));
    assert.deepEqual(
      [failed.status, (failed['error'] as { code: string }).code],
      ['failed', 'upstream_error'],
    );
  });

  test('in the background, from its begin to each of its ends', async () => {
    const call = async (path: string, method = 'GET'): Promise<ResponseBody> => {
      const response = await fetch(`${relay.url}/v1/responses/${path}`, {
        method,
        headers: { authorization: `Bearer ${relay.key}` },
      });
      const body = (await response.json()) as ResponseBody;
      assert.equal(response.status, 200, JSON.stringify(body));
      requireResponse(body);
      return body;
    };
    const begin = (given: ScriptedReply): Promise<ResponseBody> => {
      reply = () => given;
      return ask({ input: 'hi', background: true });
    };
    const ends: [ScriptedReply, string][] = [
      [hello, 'completed'],
      [{ kind: 'text', text: 'Hel', stopReason: 'max_tokens' }, 'incomplete'],
      [{ kind: 'error', status: 529, type: 'overloaded_error', message: 'Overloaded' }, 'failed'],
    ];
    for (const [given, status] of ends) {
      const { id } = await begin(given);
      await eventually(status, async () => (await call(id)).status === status);
    }
    const { id } = await begin({ kind: 'hang', after: 'accept' });
    assert.equal((await call(`${id}/cancel`, 'POST')).status, 'cancelled');
    assert.equal((await call(id)).status, 'cancelled');
    await eventually('no turn is left', () => relay.model.running() === 0);
  });
});
