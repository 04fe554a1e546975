/** What the prompt cache of the API needs: a conversation begins with the same bytes in every turn, and the marks are where they belong. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CacheMark, Conversation, Message } from '../src/conversation.ts';
import { clis } from './support/real-cli.ts';
import { startTestRunner } from './support/runner.ts';
import { sentBy } from './support/sent.ts';
import type { SeenRequest } from './support/failing-model.ts';

const weather = { name: 'weather', input_schema: { type: 'object' } };
const tools = [weather];
const system = ['You give the weather.'];
const use = { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Oslo' } } as const;
const turns: readonly Message[] = [
  { role: 'user', content: [{ type: 'text', text: 'How is the weather in Oslo?' }] },
  { role: 'assistant', content: [use] },
  { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'rain' }] },
  { role: 'assistant', content: [{ type: 'text', text: 'It rains.' }] },
  { role: 'user', content: [{ type: 'text', text: 'And tomorrow?' }] },
];

/** In the order in which the API reads it; without the marks, which are no part of what it compares. */
function prefixOf({ json }: SeenRequest): { text: string; messages: number } {
  const { tools = [], system = [], messages = [] } = json ?? {};
  const plain = (value: unknown): string =>
    JSON.stringify(value, (key, part: unknown) => (key === 'cache_control' ? undefined : part));
  return { text: [tools, system, ...messages].map(plain).join('\n'), messages: messages.length };
}

/** The mark of each place that has one, in the order of the request. */
function marksOf({ json }: SeenRequest): string[] {
  const marks: string[] = [];
  JSON.stringify([json?.tools, json?.system, json?.messages], (_key, value: unknown) => {
    const place = value as { cache_control?: CacheMark; name?: string; text?: string } | null;
    const mark = place?.cache_control;
    if (mark) marks.push([place.name ?? place.text?.slice(0, 18), mark.ttl].join(' ').trim());
    return value;
  });
  return marks;
}

for (const cli of clis) {
  describe(`on Claude Code ${cli.version}`, { concurrency: 2 }, () => {
    test('each turn of a conversation begins with the whole turn before, on a hot and on a fresh process', async (t) => {
      const hot = await startTestRunner({ claudeBin: cli.path, hot: 1 });
      const fresh = await startTestRunner({ claudeBin: cli.path });
      t.after(() => Promise.all([hot.close(), fresh.close()]));
      let before = '';
      for (const [end, start] of [
        [1, 'spawn'],
        [3, 'hot'],
        [5, 'hot'],
      ] as const) {
        const asked = { system, tools, messages: turns.slice(0, end) };
        const [rested, started] = await Promise.all([hot.ask(asked), fresh.ask(asked)]);
        const [request] = rested.requests;
        const [other] = started.requests;
        assert.ok(request !== undefined && other !== undefined);
        assert.equal(rested.start, start);
        const { text, messages } = prefixOf(request);
        assert.equal(text, prefixOf(other).text);
        assert.equal(messages, end);
        assert.ok(text.startsWith(before), 'the turn before is a prefix, with the billing line in it');
        assert.match(text, /x-anthropic-billing-header/);
        before = text;
        // Those of the CLI, and the one at the end of the conversation.
        assert.equal(marksOf(request).length, 3);
        assert.deepEqual(marksOf(request), marksOf(other));
        assert.match(
          JSON.stringify(request.json?.messages.at(-1)),
          /"cache_control":\{"type":"ephemeral"\}\}\]/,
        );
      }
    });

    test('a block of the system prompt is text, also where the CLI would take it for a sign', async (t) => {
      const runner = await startTestRunner({ claudeBin: cli.path });
      t.after(() => runner.close());
      const blocks = ['Be brief.', '__SYSTEM_PROMPT_DYNAMIC_BOUNDARY__', 'Be kind.'];
      const { requests } = await runner.ask({ system: blocks });
      assert.equal(sentBy(requests[0]).system, blocks.join('\n\n'));
    });

    test('the caller’s marks reach the model, at most four with those of the CLI, and leave nothing behind', async (t) => {
      const runner = await startTestRunner({ claudeBin: cli.path, hot: 1 });
      t.after(() => runner.close());
      const [agent, prompt] = ['You are a Claude a', 'You give the weath'];
      const text = (text: string, ttl?: '1h'): Message => ({
        role: 'user',
        content: [{ type: 'text', text, cache_control: { type: 'ephemeral', ...(ttl && { ttl }) } }],
      });
      const marked = [{ ...weather, cache_control: { type: 'ephemeral' } as const }];
      const cases: [Partial<Conversation>, string[]][] = [
        [{}, [agent, prompt, 'hi']],
        [{ messages: [text('a', '1h')] }, [`${agent} 1h`, `${prompt} 1h`, 'a 1h']],
        [{ tools: marked }, ['weather', agent, prompt]],
        [{ tools: marked, messages: [text('a'), text('b')] }, [agent, prompt, 'a', 'b']],
        [{ systemMark: { type: 'ephemeral', ttl: '1h' } }, [`${agent} 1h`, `${prompt} 1h`]],
        [{}, [agent, prompt, 'hi']],
      ];
      for (const [fields, expected] of cases) {
        const { requests } = await runner.ask({ system, ...fields });
        const [request, ...more] = requests;
        assert.ok(request !== undefined && more.length === 0);
        assert.deepEqual(marksOf(request), expected, JSON.stringify(fields));
      }
    });
  });
}
