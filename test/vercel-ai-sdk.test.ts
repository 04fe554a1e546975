/**
 * The Vercel AI SDK against the relay, with its providers for OpenAI (Responses API and chat), Open Responses and Anthropic. The model is a
 * script: test/sdk-smoke.test.ts asks the real CLI.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenResponses } from '@ai-sdk/open-responses';
import { createOpenAI } from '@ai-sdk/openai';
import {
  APICallError,
  generateObject,
  generateText,
  isStepCount,
  Output,
  streamText,
  tool,
  type LanguageModel,
} from 'ai';
import { z } from 'zod';
import type { SeenRequest } from './support/failing-model.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { eventually, query } from './support/relay.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';
import { images, pdf } from './support/media.ts';
import { sentBy, type Sent } from './support/sent.ts';
import { citiesAsked, structuredModel, weatherModel, weatherOf, weatherTurns } from './support/weather.ts';

const png = images.png.data;
const text = (text: string): object => ({ type: 'text', text });

/** What the SDK tells the model of an error that a tool threw. */
const thrown = `Error: ${weatherOf['Rome']}`;

type Provider = {
  model: (relay: InProcessRelay, key?: string, name?: string) => LanguageModel;
  route: string;
  /** How a result of a tool is spelled, and one that is an error. */
  result: (city: string) => object;
  overloaded: number;
  /** It reports a stream that breaks once for `error` and once for `response.failed`. */
  reports?: 2;
  /** The API has no such field, and the SDK leaves it out. */
  stops?: false;
};

const providers: Record<string, Provider> = {
  '@ai-sdk/openai': {
    model: (relay, apiKey = relay.key, name = 'opus') =>
      createOpenAI({ baseURL: `${relay.url}/v1`, apiKey })(name),
    route: 'responses',
    stops: false,
    // That API has no mark for an error.
    result: (city) => ({
      content: city === 'Rome' ? JSON.stringify({ error: thrown }) : weatherOf[city],
    }),
    overloaded: 503,
  },
  '@ai-sdk/openai, .chat()': {
    model: (relay, apiKey = relay.key, name = 'opus') =>
      createOpenAI({ baseURL: `${relay.url}/v1`, apiKey }).chat(name),
    route: 'chat_completions',
    // That API has no mark for an error.
    result: (city) => ({
      content: city === 'Rome' ? JSON.stringify({ error: thrown }) : weatherOf[city],
    }),
    overloaded: 503,
  },
  '@ai-sdk/open-responses': {
    model: (relay, apiKey = relay.key, name = 'opus') =>
      createOpenResponses({ name: 'relay', url: `${relay.url}/v1/responses`, apiKey })(name),
    route: 'responses',
    stops: false,
    result: (city) => ({
      content: city === 'Rome' ? thrown : weatherOf[city],
    }),
    overloaded: 503,
    reports: 2,
  },
  '@ai-sdk/anthropic': {
    model: (relay, apiKey = relay.key, name = 'opus') =>
      createAnthropic({ baseURL: `${relay.url}/v1`, apiKey })(name),
    route: 'messages',
    result: (city) => ({
      ...(city === 'Rome' ? { content: thrown, is_error: true } : { content: weatherOf[city] }),
    }),
    overloaded: 529,
  },
};

describe('the Vercel AI SDK', () => {
  let relay: InProcessRelay;
  let reply: (request: SeenRequest) => ScriptedReply;
  before(async () => {
    relay = await startInProcess({ reply: (request) => reply(request) });
  });
  after(() => relay.stop());
  const sent = (): Sent => sentBy(relay.model.requests.at(-1));

  for (const [name, provider] of Object.entries(providers)) {
    describe(name, () => {
      let model: LanguageModel;
      before(() => {
        model = provider.model(relay);
      });

      test('sends a prompt with its settings by generateText', async () => {
        reply = () => ({ kind: 'text', text: 'hello there', usage: { input_tokens: 9, output_tokens: 3 } });
        const result = await generateText({
          model,
          system: 'You are brief.',
          prompt: 'hi',
          maxOutputTokens: 99,
          temperature: 0.5,
          stopSequences: ['END'],
        });
        assert.equal(result.text, 'hello there');
        assert.equal(result.finishReason, 'stop');
        assert.deepEqual([result.usage.inputTokens, result.usage.outputTokens], [9, 3]);
        assert.equal(sent().system, 'You are brief.');
        assert.deepEqual(sent().messages, [{ role: 'user', content: [text('hi')] }]);
        const { body } = sent();
        assert.deepEqual(
          [body['max_tokens'], body['temperature'], body['stop_sequences']],
          [99, 0.5, provider.stops === false ? undefined : ['END']],
        );
      });

      test('gets the pieces and the usage by streamText', async () => {
        reply = () => ({ kind: 'text', text: ['one ', 'two ', 'three'], usage: { output_tokens: 4 } });
        const result = streamText({ model, prompt: 'hi' });
        assert.deepEqual(await Array.fromAsync(result.textStream), ['one ', 'two ', 'three']);
        assert.equal(await result.finishReason, 'stop');
        assert.equal((await result.usage).outputTokens, 4);
      });

      test('sends many turns, an image and a PDF', async () => {
        reply = () => ({ kind: 'text', text: 'a dot' });
        await generateText({
          model,
          messages: [
            { role: 'user', content: 'one' },
            { role: 'assistant', content: 'two' },
            {
              role: 'user',
              content: [
                { type: 'text', text: 'What is in these?' },
                { type: 'file', mediaType: 'image/png', data: png },
                { type: 'file', mediaType: 'application/pdf', data: pdf, filename: 'a.pdf' },
              ],
            },
          ],
        });
        assert.deepEqual(sent().messages, [
          { role: 'user', content: [text('one')] },
          { role: 'assistant', content: [text('two')] },
          {
            role: 'user',
            content: [
              text('What is in these?'),
              { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } },
              {
                type: 'document',
                source: { type: 'base64', media_type: 'application/pdf', data: pdf },
                title: 'a.pdf',
              },
            ],
          },
        ]);
      });

      describe('gets an object', () => {
        const schema = z.object({ name: z.string(), age: z.number() });
        const ada = { name: 'Ada', age: 36 };
        before(() => {
          reply = (request) => structuredModel(request, ada);
        });

        test('by generateObject', async () => {
          // oxlint-disable-next-line typescript/no-deprecated -- apps use it
          assert.deepEqual((await generateObject({ model, schema, prompt: 'hi' })).object, ada);
        });

        // By its full name the Anthropic provider knows what the model can do, and asks in another way.
        for (const name of ['opus', 'claude-opus-4-5']) {
          test(`by generateText with an output, from ${name}`, async () => {
            const { output } = await generateText({
              model: provider.model(relay, relay.key, name),
              output: Output.object({ schema }),
              prompt: 'hi',
            });
            assert.deepEqual(output, ada);
          });
        }

        test('by streamText with an output', async () => {
          const result = streamText({ model, output: Output.object({ schema }), prompt: 'hi' });
          assert.deepEqual(await result.output, ada);
        });
      });

      for (const streamed of [false, true]) {
        test(`runs three rounds of tools${streamed ? ', streamed' : ''}`, async () => {
          reply = weatherModel;
          const asked: string[] = [];
          const settings = {
            model,
            prompt: 'hi',
            stopWhen: isStepCount(5),
            tools: {
              weather: tool({
                description: 'The weather of a city.',
                inputSchema: z.object({ city: z.string() }),
                execute: ({ city }): string => {
                  asked.push(city);
                  if (city === 'Rome') throw new Error(weatherOf[city]);
                  return weatherOf[city] ?? '';
                },
              }),
            },
          };
          const steps = streamed ? await streamText(settings).steps : (await generateText(settings)).steps;
          assert.equal(steps.at(-1)?.text, 'It rains.');
          assert.deepEqual(
            steps.map(({ finishReason, toolCalls }) => [finishReason, toolCalls.length]),
            [
              ['tool-calls', 2],
              ['tool-calls', 1],
              ['tool-calls', 1],
              ['stop', 0],
            ],
          );
          assert.deepEqual(asked, citiesAsked);
          assert.deepEqual(sent().messages, weatherTurns(text('hi'), provider.result));
          assert.deepEqual(
            sent().tools.map(({ name, description }) => [name, description]),
            [['weather', 'The weather of a city.']],
          );
        });
      }

      describe('throws an error', () => {
        const failsWith = (status: number, isRetryable: boolean) => (error: unknown) => {
          assert.ok(APICallError.isInstance(error), String(error));
          assert.deepEqual([error.statusCode, error.isRetryable], [status, isRetryable]);
          return true;
        };
        const ask = (as: LanguageModel): Promise<unknown> =>
          generateText({ model: as, prompt: 'hi', maxRetries: 0 });

        test('with the status 401 for a wrong key, without a retry', async () => {
          await assert.rejects(ask(provider.model(relay, 'crk_wrong')), failsWith(401, false));
        });

        test('with the status 404 for an unknown model, without a retry', async () => {
          await assert.rejects(ask(provider.model(relay, relay.key, 'gpt-4o')), failsWith(404, false));
        });

        test('with the status 429 for a used-up day', async () => {
          reply = () => ({ kind: 'text', text: 'hello' });
          const key = relay.mint(`daily-${name.replaceAll(/[^a-z]+/g, '-')}`, { dailyLimit: 1 });
          await ask(provider.model(relay, key));
          await assert.rejects(ask(provider.model(relay, key)), failsWith(429, true));
        });

        test('with the status of the API for an overload, to retry', async () => {
          reply = () => ({ kind: 'error', status: 529, type: 'overloaded_error', message: 'Overloaded' });
          await assert.rejects(ask(model), failsWith(provider.overloaded, true));
        });

        test('after the pieces of a stream that fails', async () => {
          reply = () => ({
            kind: 'stream_error',
            type: 'overloaded_error',
            message: 'Overloaded',
            afterText: 'Hel',
          });
          const errors: unknown[] = [];
          const result = streamText({
            model,
            prompt: 'hi',
            maxRetries: 0,
            onError: ({ error }) => void errors.push(error),
          });
          assert.deepEqual(await Array.fromAsync(result.textStream), ['Hel']);
          assert.equal(errors.length, provider.reports ?? 1);
          assert.match(JSON.stringify(errors[0], Object.getOwnPropertyNames(errors[0])), /overloaded/);
        });
      });

      test('ends the turn when it aborts a stream', async () => {
        reply = () => ({ kind: 'hang', after: 'text', text: 'The answer begins' });
        const controller = new AbortController();
        const result = streamText({ model, prompt: 'hi', abortSignal: controller.signal });
        for await (const piece of result.textStream) if (piece === 'The answer begins') controller.abort();
        await relay.model.requests.at(-1)?.closed;
        await eventually('no turn is left', () => relay.model.running() === 0);
        await eventually('the ledger says so', () => {
          const sql = 'SELECT client_gone FROM requests WHERE route = ? ORDER BY id DESC LIMIT 1';
          return query(relay, sql, provider.route)[0]?.['client_gone'] === 1;
        });
      });
    });
  }
});
