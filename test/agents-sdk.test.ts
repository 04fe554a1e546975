/**
 * OpenAI's Agents SDK against the relay, as it comes (Responses API) and with its chat completions. The model is a script. Its tracing would
 * send what an agent did to OpenAI: it is off.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  Agent,
  OpenAIProvider,
  Runner,
  setOpenAIAPI,
  tool,
  type AgentInputItem,
  type AgentOutputType,
} from '@openai/agents';
import OpenAI, { AuthenticationError } from 'openai';
import { z } from 'zod';
import type { SeenRequest } from './support/failing-model.ts';
import { startInProcess, type InProcessRelay } from './support/in-process.ts';
import { images } from './support/media.ts';
import { eventually, query } from './support/relay.ts';
import type { ScriptedReply } from './support/scripted-cli.ts';
import { sentBy, type Sent } from './support/sent.ts';
import { citiesAsked, structuredModel, weatherModel, weatherOf, weatherTurns } from './support/weather.ts';

const text = (text: string): object => ({ type: 'text', text });

const thought = { type: 'thinking', thinking: 'I think.', signature: 'c2ln' } as const;

const modes = [
  { name: 'as it comes', api: 'responses', route: 'responses', thoughts: [thought] },
  // Chat completions have no thinking.
  {
    name: "with setOpenAIAPI('chat_completions')",
    api: 'chat_completions',
    route: 'chat_completions',
    thoughts: [],
  },
] as const;

describe("OpenAI's Agents SDK", () => {
  let relay: InProcessRelay;
  let reply: (request: SeenRequest) => ScriptedReply;
  before(async () => {
    relay = await startInProcess({ reply: (request) => reply(request) });
  });
  after(() => relay.stop());
  const sent = (): Sent => sentBy(relay.model.requests.at(-1));

  for (const { name, api, route, thoughts } of modes) {
    describe(name, () => {
      const runnerFor = (apiKey: string): Runner =>
        new Runner({
          modelProvider: new OpenAIProvider({
            openAIClient: new OpenAI({ baseURL: `${relay.url}/v1`, apiKey, maxRetries: 0 }),
          }),
          tracingDisabled: true,
        });
      let runner: Runner;
      before(() => {
        setOpenAIAPI(api);
        runner = runnerFor(relay.key);
      });
      const agent = new Agent({ name: 'Helper', instructions: 'Be brief.', model: 'opus' });

      test('gets a text and its usage', async () => {
        reply = () => ({ kind: 'text', text: 'hello there', usage: { input_tokens: 9, output_tokens: 3 } });
        const result = await runner.run(agent, 'hi');
        assert.equal(result.finalOutput, 'hello there');
        const { inputTokens, outputTokens } = result.state.usage;
        assert.deepEqual([inputTokens, outputTokens], [9, 3]);
        assert.deepEqual(
          [sent().system, sent().messages],
          ['Be brief.', [{ role: 'user', content: [text('hi')] }]],
        );
        const sql = 'SELECT route FROM requests ORDER BY id DESC LIMIT 1';
        await eventually('its route', () => query(relay, sql)[0]?.['route'] === route);
      });

      test('gets the pieces of a stream', async () => {
        reply = () => ({ kind: 'text', text: ['one ', 'two ', 'three'] });
        const result = await runner.run(agent, 'hi', { stream: true });
        assert.deepEqual(await Array.fromAsync(result.toTextStream()), ['one ', 'two ', 'three']);
        await result.completed;
        assert.equal(result.finalOutput, 'one two three');
      });

      test('continues a conversation with its own history', async () => {
        reply = () => ({ kind: 'text', text: 'two' });
        const first = await runner.run(agent, 'one');
        const image = `data:image/png;base64,${images.png.data}`;
        const next: AgentInputItem = {
          role: 'user',
          content: [
            { type: 'input_text', text: 'three' },
            { type: 'input_image', image },
          ],
        };
        await runner.run(agent, [...first.history, next]);
        assert.deepEqual(sent().messages, [
          { role: 'user', content: [text('one')] },
          { role: 'assistant', content: [text('two')] },
          {
            role: 'user',
            content: [
              text('three'),
              { type: 'image', source: { type: 'base64', media_type: 'image/png', data: images.png.data } },
            ],
          },
        ]);
      });

      for (const stream of [false, true]) {
        const how = stream ? ', streamed' : '';

        test(`runs three rounds of tools${how}`, async () => {
          reply = (request) => {
            const answer = weatherModel(request);
            return answer.kind === 'blocks' ? { ...answer, blocks: [thought, ...answer.blocks] } : answer;
          };
          const asked: string[] = [];
          const weather = tool({
            name: 'weather',
            description: 'The weather of a city.',
            parameters: z.object({ city: z.string() }),
            execute: ({ city }) => {
              asked.push(city);
              return weatherOf[city] ?? '';
            },
          });
          const helper = agent.clone({ tools: [weather] });
          assert.equal(await finalOutput(runner, helper, stream), 'It rains.');
          assert.deepEqual(asked, citiesAsked);
          const turns = weatherTurns(text('hi')).map(({ role, content }) => ({
            role,
            content: role === 'assistant' ? [...thoughts, ...content] : content,
          }));
          assert.deepEqual(sent().messages, turns);
        });

        test(`gets a value with an output type${how}`, async () => {
          const ada = { name: 'Ada', age: 36 };
          reply = (request) => structuredModel(request, ada);
          const outputType = z.object({ name: z.string(), age: z.number() });
          const helper = new Agent({ name: 'Helper', model: 'opus', outputType });
          assert.deepEqual(await finalOutput(runner, helper, stream), ada);
        });

        test(`hands a conversation to another agent${how}`, async () => {
          const calls = 'transfer_to_Poet';
          reply = ({ json }) =>
            (json?.tools ?? []).length > 0
              ? { kind: 'tool_use', name: calls, input: {} }
              : { kind: 'text', text: 'A poem.' };
          const poet = new Agent({ name: 'Poet', instructions: 'Write a poem.', model: 'opus' });
          const helper = Agent.create({ name: 'Helper', model: 'opus', handoffs: [poet] });
          assert.equal(await finalOutput(runner, helper, stream), 'A poem.');
          assert.equal(sent().system, 'Write a poem.');
        });

        test(`throws an error for a wrong key, without a retry${how}`, async () => {
          const wrong = runnerFor('crk_wrong');
          await assert.rejects(finalOutput(wrong, agent, stream), AuthenticationError);
        });

        test(`throws an error for an overload${how}`, async () => {
          reply = () => ({ kind: 'error', status: 529, type: 'overloaded_error', message: 'Overloaded' });
          await assert.rejects(finalOutput(runner, agent, stream), { status: 503 });
        });
      }

      test('throws an error after the pieces of a stream that fails', async () => {
        reply = () => ({
          kind: 'stream_error',
          type: 'overloaded_error',
          message: 'Overloaded',
          afterText: 'Hel',
        });
        await assert.rejects(finalOutput(runner, agent, true), /overloaded/i);
      });
    });
  }
});

async function finalOutput<Output extends AgentOutputType>(
  runner: Runner,
  agent: Agent<unknown, Output>,
  stream: boolean,
): Promise<unknown> {
  if (!stream) return (await runner.run(agent, 'hi')).finalOutput;
  const result = await runner.run(agent, 'hi', { stream: true });
  await result.completed;
  return result.finalOutput;
}
