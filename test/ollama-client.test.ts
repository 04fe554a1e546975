/** The client of Ollama for JavaScript (`ollama` from npm) against the port of a key. The model is a script. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Ollama, type ChatRequest, type ChatResponse, type Message, type Tool } from 'ollama';
import { z } from 'zod';
import type { SeenRequest } from './support/failing-model.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { images } from './support/media.ts';
import { changeKeys, ollamaPort } from './support/ollama-port.ts';
import { eventually } from './support/relay.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';
import { sentBy, type Sent } from './support/sent.ts';
import { citiesAsked, structuredModel, weatherModel, weatherOf, weatherTurns } from './support/weather.ts';

const text = (text: string): object => ({ type: 'text', text });
const messages: Message[] = [{ role: 'user', content: 'hi' }];
const weather: Tool = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

describe('the client of Ollama', () => {
  let relay: InProcessRelay;
  let client: Ollama;
  let reply: (request: SeenRequest) => ScriptedReply;
  before(async () => {
    relay = await startInProcess({
      reply: (request) => reply(request),
      overrides: { times: { followKeysMs: 20 } },
    });
    client = new Ollama({ host: (await ollamaPort(relay, 'client')).url });
  });
  after(() => relay.stop());
  const sent = (): Sent => sentBy(relay.model.requests.at(-1));

  /** The whole answer: its texts and calls put together if it is streamed. */
  async function chat(request: ChatRequest, stream: boolean): Promise<ChatResponse> {
    if (!stream) return client.chat({ ...request, stream: false });
    const pieces = await Array.fromAsync(await client.chat({ ...request, stream: true }));
    const last = pieces.at(-1) ?? assert.fail('nothing came');
    const calls = pieces.flatMap(({ message }) => message.tool_calls ?? []);
    return {
      ...last,
      message: {
        role: 'assistant',
        content: pieces.map(({ message }) => message.content).join(''),
        ...(calls.length === 0 ? {} : { tool_calls: calls }),
      },
    };
  }

  test('finds the models and what they can do', async () => {
    assert.match((await client.version()).version, /^\d+\.\d+\.\d+$/);
    const { models } = await client.list();
    assert.deepEqual(
      models.map(({ model }) => model),
      ['opus:latest', 'sonnet:latest', 'haiku:latest'],
    );
    const { capabilities } = await client.show({ model: 'opus:latest' });
    assert.ok(capabilities.includes('tools'));
    assert.deepEqual((await client.ps()).models, []);
  });

  for (const stream of [false, true]) {
    const how = stream ? ', streamed' : '';

    test(`gets a text and its counts${how}`, async () => {
      reply = () => ({ kind: 'text', text: ['hel', 'lo'], usage: { input_tokens: 9, output_tokens: 3 } });
      const answer = await chat(
        {
          model: 'opus',
          messages: [{ role: 'system', content: 'Be brief.' }, ...messages],
          options: { temperature: 0.5, num_ctx: 4096, stop: ['END'] },
          keep_alive: '5m',
        },
        stream,
      );
      assert.deepEqual(
        [answer.message.content, answer.done_reason, answer.prompt_eval_count, answer.eval_count],
        ['hello', 'stop', 9, 3],
      );
      assert.deepEqual(
        [sent().system, sent().messages],
        ['Be brief.', [{ role: 'user', content: [text('hi')] }]],
      );
      assert.deepEqual([sent().body['temperature'], sent().body['stop_sequences']], [0.5, ['END']]);
    });

    test(`runs three rounds of tools${how}`, async () => {
      reply = weatherModel;
      const history = [...messages];
      const asked: unknown[] = [];
      for (;;) {
        const { message } = await chat({ model: 'opus', messages: history, tools: [weather] }, stream);
        history.push(message);
        if (message.tool_calls === undefined) break;
        for (const call of message.tool_calls) {
          const { city } = call.function.arguments as { city: string };
          asked.push(city);
          history.push({ role: 'tool', content: weatherOf[city] ?? '', tool_name: call.function.name });
        }
      }
      assert.equal(history.at(-1)?.content, 'It rains.');
      assert.deepEqual(asked, citiesAsked);
      assert.deepEqual(sent().messages, weatherTurns(text('hi')));
    });

    test(`gets a value in a format${how}`, async () => {
      reply = (request) => structuredModel(request, { city: 'Oslo' });
      const City = z.object({ city: z.string() });
      const { message } = await chat({ model: 'opus', messages, format: z.toJSONSchema(City) }, stream);
      assert.deepEqual(City.parse(JSON.parse(message.content)), { city: 'Oslo' });
    });

    test(`gets its thinking${how}`, async () => {
      const thought = { type: 'thinking', thinking: 'I think.', signature: 'c2ln' } as const;
      reply = () => ({ kind: 'blocks', blocks: [thought, { type: 'text', text: 'hello' }] });
      const request = { model: 'opus', messages, think: true };
      const pieces = stream
        ? await Array.fromAsync(await client.chat({ ...request, stream: true }))
        : [await client.chat({ ...request, stream: false })];
      assert.equal(pieces.map(({ message }) => message.thinking ?? '').join(''), 'I think.');
    });
  }

  test('sends an image, and a prompt by generate', async () => {
    reply = () => ({ kind: 'text', text: ['a ', 'dot'] });
    const png = Uint8Array.from(Buffer.from(images.png.data, 'base64'));
    await client.chat({ model: 'opus', messages: [{ role: 'user', content: 'What?', images: [png] }] });
    assert.deepEqual(sent().messages, [
      {
        role: 'user',
        content: [
          { type: 'image', source: { type: 'base64', media_type: 'image/png', data: images.png.data } },
          text('What?'),
        ],
      },
    ]);
    const prompt = { model: 'opus', prompt: 'What?', system: 'Be brief.', images: [png] };
    assert.equal((await client.generate(prompt)).response, 'a dot');
    const pieces = await Array.fromAsync(await client.generate({ ...prompt, stream: true }));
    assert.equal(pieces.map(({ response }) => response ?? '').join(''), 'a dot');
    assert.equal(sent().system, 'Be brief.');
  });

  describe('throws an error', () => {
    test('for an unknown model and for embeddings, which says what to do', async () => {
      await assert.rejects(client.chat({ model: 'llama3.2', messages }), {
        status_code: 404,
        message: /must be one of opus, sonnet, haiku/,
      });
      await assert.rejects(client.embed({ model: 'opus', input: 'hi' }), {
        status_code: 404,
        message: /no embeddings/,
      });
    });

    test('for a key that was revoked', async () => {
      const { url } = await ollamaPort(relay, 'revoked');
      const theirs = new Ollama({ host: url });
      reply = () => ({ kind: 'text', text: 'hello' });
      await theirs.chat({ model: 'opus', messages });
      changeKeys(relay, (keys) => keys.revoke('revoked', 'test'));
      // It is refused until the port closes.
      await eventually('it is refused', () =>
        theirs.chat({ model: 'opus', messages }).then(
          () => false,
          (error: unknown) =>
            (error as { status_code?: number }).status_code === 401 || error instanceof TypeError,
        ),
      );
    });

    test('after the pieces of a stream that fails', async () => {
      reply = () => ({
        kind: 'stream_error',
        type: 'overloaded_error',
        message: 'Overloaded',
        afterText: 'Hel',
      });
      const pieces: string[] = [];
      await assert.rejects(async () => {
        for await (const { message } of await client.chat({ model: 'opus', messages, stream: true }))
          pieces.push(message.content);
      }, /overloaded/i);
      assert.deepEqual(pieces, ['Hel']);
    });
  });

  test('ends the turn when it aborts a stream', async () => {
    reply = () => ({ kind: 'hang', after: 'text', text: 'The answer begins' });
    const stream = await client.chat({ model: 'opus', messages, stream: true });
    await assert.rejects(
      async () => {
        for await (const _piece of stream) stream.abort();
      },
      { name: 'AbortError' },
    );
    await eventually('no turn is left', () => relay.model.running() === 0);
  });
});
