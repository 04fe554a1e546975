/** LangChain JS against the relay, with ChatOpenAI and ChatAnthropic. The model is a script: test/sdk-smoke.test.ts asks the real CLI. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ChatAnthropic } from '@langchain/anthropic';
import type { BaseChatModel } from '@langchain/core/language_models/chat_models';
import {
  AIMessage,
  HumanMessage,
  SystemMessage,
  ToolMessage,
  type BaseMessage,
} from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
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

type Provider = {
  model: (
    relay: InProcessRelay,
    options?: { apiKey?: string; model?: string; temperature?: number },
  ) => BaseChatModel;
  route: string;
  /** What becomes of a file's name. */
  documentTitle: { title?: string };
  /** It adds the counts of a stream's beginning and end. */
  streamedTokens: number;
  structuredMethods: readonly ('jsonSchema' | 'functionCalling' | 'jsonMode')[];
  overloaded: number;
};

const providers: Record<string, Provider> = {
  ChatOpenAI: {
    model: (relay, options) =>
      new ChatOpenAI({
        model: 'opus',
        apiKey: relay.key,
        maxRetries: 0,
        configuration: { baseURL: `${relay.url}/v1` },
        ...options,
      }),
    route: 'chat_completions',
    documentTitle: { title: 'a.pdf' },
    streamedTokens: 4,
    structuredMethods: ['jsonSchema', 'functionCalling', 'jsonMode'],
    overloaded: 503,
  },
  'ChatOpenAI, useResponsesApi': {
    model: (relay, options) =>
      new ChatOpenAI({
        model: 'opus',
        apiKey: relay.key,
        maxRetries: 0,
        useResponsesApi: true,
        configuration: { baseURL: `${relay.url}/v1` },
        ...options,
      }),
    route: 'responses',
    documentTitle: { title: 'a.pdf' },
    streamedTokens: 4,
    structuredMethods: ['jsonSchema', 'functionCalling', 'jsonMode'],
    overloaded: 503,
  },
  ChatAnthropic: {
    model: (relay, options) =>
      new ChatAnthropic({
        model: 'opus',
        apiKey: relay.key,
        maxRetries: 0,
        anthropicApiUrl: relay.url,
        ...options,
      }),
    route: 'messages',
    documentTitle: {},
    streamedTokens: 1 + 4,
    structuredMethods: ['jsonSchema', 'functionCalling'],
    overloaded: 529,
  },
};

describe('LangChain', () => {
  let relay: InProcessRelay;
  let reply: (request: SeenRequest) => ScriptedReply;
  before(async () => {
    relay = await startInProcess({ reply: (request) => reply(request) });
  });
  after(() => relay.stop());
  const sent = (): Sent => sentBy(relay.model.requests.at(-1));

  for (const [name, provider] of Object.entries(providers)) {
    describe(name, () => {
      let model: BaseChatModel;
      before(() => {
        model = provider.model(relay);
      });

      test('sends the turns and gets the text by invoke', async () => {
        reply = () => ({ kind: 'text', text: 'hello there', usage: { input_tokens: 9, output_tokens: 3 } });
        const answer = await provider
          .model(relay, { temperature: 0.5 })
          .invoke([
            new SystemMessage('You are brief.'),
            new HumanMessage('one'),
            new AIMessage('two'),
            new HumanMessage('three'),
          ]);
        assert.equal(answer.text, 'hello there');
        const { input_tokens: read, output_tokens: said, total_tokens: all } = usageOf(answer);
        assert.deepEqual([read, said, all], [9, 3, 12]);
        assert.equal(sent().system, 'You are brief.');
        assert.equal(sent().body['temperature'], 0.5);
        assert.deepEqual(sent().messages, [
          { role: 'user', content: [text('one')] },
          { role: 'assistant', content: [text('two')] },
          { role: 'user', content: [text('three')] },
        ]);
      });

      test('gets the pieces and the usage by stream', async () => {
        reply = () => ({ kind: 'text', text: ['one ', 'two ', 'three'], usage: { output_tokens: 4 } });
        const chunks = await Array.fromAsync(await model.stream('hi'));
        assert.deepEqual(
          chunks.map((chunk) => chunk.text).filter((text) => text !== ''),
          ['one ', 'two ', 'three'],
        );
        const whole = chunks.reduce((all, chunk) => all.concat(chunk));
        assert.equal(usageOf(whole).output_tokens, provider.streamedTokens);
      });

      test('sends an image and a PDF', async () => {
        reply = () => ({ kind: 'text', text: 'a dot' });
        await model.invoke([
          new HumanMessage({
            contentBlocks: [
              { type: 'text', text: 'What is in these?' },
              { type: 'image', mimeType: 'image/png', data: png },
              { type: 'file', mimeType: 'application/pdf', data: pdf, metadata: { filename: 'a.pdf' } },
            ],
          }),
        ]);
        assert.deepEqual(sent().messages, [
          {
            role: 'user',
            content: [
              text('What is in these?'),
              { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } },
              {
                type: 'document',
                source: { type: 'base64', media_type: 'application/pdf', data: pdf },
                ...provider.documentTitle,
              },
            ],
          },
        ]);
      });

      for (const method of provider.structuredMethods) {
        test(`gets a value by withStructuredOutput with ${method}`, async () => {
          const ada = { name: 'Ada', age: 36 };
          reply = (request) => structuredModel(request, ada);
          const schema = z.object({ name: z.string(), age: z.number() });
          assert.deepEqual(await model.withStructuredOutput(schema, { method }).invoke('hi'), ada);
        });
      }

      for (const streamed of [false, true]) {
        test(`runs three rounds of tools by bindTools${streamed ? ', streamed' : ''}`, async () => {
          reply = weatherModel;
          const asked: string[] = [];
          const weather = tool(
            ({ city }: { city: string }) => {
              asked.push(city);
              return weatherOf[city] ?? '';
            },
            {
              name: 'weather',
              description: 'The weather of a city.',
              schema: z.object({ city: z.string() }),
            },
          );
          assert.ok(model.bindTools !== undefined);
          const bound = model.bindTools([weather]);
          const messages: BaseMessage[] = [new HumanMessage('hi')];
          for (;;) {
            const answer: AIMessage = streamed
              ? (await Array.fromAsync(await bound.stream(messages))).reduce((all, chunk) =>
                  all.concat(chunk),
                )
              : await bound.invoke(messages);
            messages.push(answer);
            if ((answer.tool_calls ?? []).length === 0) break;
            for (const call of answer.tool_calls ?? []) {
              const result = await weather.invoke({ ...call, type: 'tool_call' });
              messages.push(
                new ToolMessage({
                  content: result.content,
                  tool_call_id: call.id ?? '',
                  name: call.name,
                  status: call.args['city'] === 'Rome' ? 'error' : 'success',
                }),
              );
            }
          }
          assert.equal(messages.at(-1)?.text, 'It rains.');
          assert.deepEqual(asked, citiesAsked);
          const plain = sent().messages.map(({ role, content }) => ({
            role,
            // ChatAnthropic sends is_error: false with a result that is not an error.
            content: content.map(({ is_error: _flag, ...block }: { is_error?: boolean }) => block),
          }));
          assert.deepEqual(plain, weatherTurns(text('hi')));
        });
      }

      describe('throws an error', () => {
        const failsWith = (status: number) => (error: unknown) => {
          assert.equal((error as { status?: unknown }).status, status, String(error));
          return true;
        };

        test('with the status 401 for a wrong key', async () => {
          await assert.rejects(provider.model(relay, { apiKey: 'crk_wrong' }).invoke('hi'), failsWith(401));
        });

        test('with the status 404 for an unknown model', async () => {
          await assert.rejects(provider.model(relay, { model: 'gpt-4o' }).invoke('hi'), failsWith(404));
        });

        test('with the status 429 for a used-up day', async () => {
          reply = () => ({ kind: 'text', text: 'hello' });
          const apiKey = relay.mint(`daily-${provider.route}`.replace('_', '-'), { dailyLimit: 1 });
          await provider.model(relay, { apiKey }).invoke('hi');
          await assert.rejects(provider.model(relay, { apiKey }).invoke('hi'), failsWith(429));
        });

        test('with the status of the API for an overload', async () => {
          reply = () => ({ kind: 'error', status: 529, type: 'overloaded_error', message: 'Overloaded' });
          await assert.rejects(model.invoke('hi'), failsWith(provider.overloaded));
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
            for await (const chunk of await model.stream('hi')) pieces.push(chunk.text);
          }, /overloaded/i);
          assert.equal(pieces.join(''), 'Hel');
        });
      });

      test('ends the turn when it aborts a stream', async () => {
        reply = () => ({ kind: 'hang', after: 'text', text: 'The answer begins' });
        const controller = new AbortController();
        await assert.rejects(async () => {
          for await (const chunk of await model.stream('hi', { signal: controller.signal }))
            if (chunk.text === 'The answer begins') controller.abort();
        });
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

function usageOf(message: object): Record<'input_tokens' | 'output_tokens' | 'total_tokens', number> {
  assert.ok('usage_metadata' in message);
  return message.usage_metadata as ReturnType<typeof usageOf>;
}
