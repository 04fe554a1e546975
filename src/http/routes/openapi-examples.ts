/** A request of each kind, for the description in OpenAPI. They work as they stand. */
export type Examples = Record<string, { summary: string; value: Record<string, unknown> }>;

/** One pixel. */
const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

const city = {
  type: 'object',
  properties: { city: { type: 'string' }, population: { type: 'integer' } },
  required: ['city', 'population'],
  additionalProperties: false,
};

export const completeExamples: Examples = {
  prompt: { summary: 'A prompt', value: { prompt: 'Say hello.' } },
  json: {
    summary: 'The form with model, usage and cost',
    value: { prompt: 'Say hello.', system: 'You are brief.', output_format: 'json' },
  },
  conversation: {
    summary: 'A conversation',
    value: {
      messages: [
        { role: 'user', content: 'My name is Ada.' },
        { role: 'assistant', content: 'Hello Ada.' },
        { role: 'user', content: 'What is my name?' },
      ],
    },
  },
  image: {
    summary: 'An image',
    value: {
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } },
            { type: 'text', text: 'Which colour is this?' },
          ],
        },
      ],
    },
  },
  schema: {
    summary: 'A value that satisfies a schema',
    value: { prompt: 'The largest city of France?', schema: city },
  },
  stream: {
    summary: 'Server-sent events',
    value: { prompt: 'Count to five.', stream: true, max_tokens: 200 },
  },
  job: { summary: 'A job', value: { prompt: 'Say hello.', async: true, timeout: 120 } },
};

const weather = {
  name: 'get_weather',
  description: 'The weather of a city.',
  schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

export function messagesExamples(model: string): Examples {
  const messages = [{ role: 'user', content: 'Say hello.' }];
  return {
    message: { summary: 'A message', value: { model, max_tokens: 200, messages } },
    stream: { summary: 'Server-sent events', value: { model, max_tokens: 200, messages, stream: true } },
    tools: {
      summary: 'A tool of your own',
      value: {
        model,
        max_tokens: 200,
        messages: [{ role: 'user', content: 'What is the weather in Paris?' }],
        tools: [{ name: weather.name, description: weather.description, input_schema: weather.schema }],
      },
    },
  };
}

export function chatExamples(model: string): Examples {
  const messages = [{ role: 'user', content: 'Say hello.' }];
  return {
    message: { summary: 'A message', value: { model, messages } },
    stream: {
      summary: 'Server-sent events',
      value: { model, messages, stream: true, stream_options: { include_usage: true } },
    },
    tools: {
      summary: 'A tool of your own',
      value: {
        model,
        messages: [{ role: 'user', content: 'What is the weather in Paris?' }],
        tools: [
          {
            type: 'function',
            function: {
              name: weather.name,
              description: weather.description,
              parameters: weather.schema,
            },
          },
        ],
      },
    },
  };
}

export const fetchExamples: Examples = {
  markdown: { summary: 'An article', value: { url: 'https://example.com/', format: 'markdown' } },
};
