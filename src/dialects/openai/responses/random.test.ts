/** Random answers through both forms and back, and requests with something broken in them. A failure names the seed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requireEvents, requireResponse } from '../../../../test/support/open-responses.ts';
import {
  eventsOf,
  placesOf,
  randomAnswer,
  randomJson,
  replaced,
} from '../../../../test/support/random-conversations.ts';
import { Random, rounds, seed } from '../../../../test/support/random.ts';
import { RelayError } from '../../../errors.ts';
import { pack } from './packed.ts';
import { responses } from './responses.ts';

const facts = { requestId: 'req_abc', model: 'opus', at: 1_700_000_000_900, durationMs: 5 };

test(`an answer is the same whole, streamed and sent back (seed ${seed})`, () => {
  const random = new Random(seed);
  for (let run = 0; run < rounds(2000); run += 1) {
    const answer = randomAnswer(random);
    const shown = random.chance(0.5) ? { reasoning: { summary: 'auto' } } : {};
    const { responder } = responses.parse({ input: 'hi', ...shown });
    const whole = JSON.parse(JSON.stringify(responder.body(answer, facts))) as { output: object[] };
    requireResponse(whole);

    const stream = responder.stream(() => facts);
    const sent = eventsOf(answer, random).map((event) => stream.event(event));
    const events = requireEvents([...sent, stream.end(answer)].join(''));
    assert.deepEqual(events.at(-1)?.['response'], whole, `run ${run}`);

    const outputs = answer.content.flatMap(({ type, id }) =>
      type === 'tool_use' ? [{ type: 'function_call_output', call_id: id, output: 'x' }] : [],
    );
    const input = [
      { role: 'user', content: 'hi' },
      ...whole.output,
      ...outputs,
      { role: 'user', content: 'go on' },
    ];
    const { messages } = responses.parse({ input }).conversation;
    assert.deepEqual(
      [messages[0]?.role, messages[1], messages[2]?.content.length],
      ['user', { role: 'assistant', content: answer.content }, outputs.length + 1],
      `run ${run}`,
    );
  }
});

const part = (type: string, more: object): object => ({ type, ...more });
const request = {
  model: 'opus',
  instructions: 'Be brief.',
  input: [
    { type: 'message', role: 'developer', content: 'x' },
    {
      role: 'user',
      content: [
        part('input_text', { text: 'a' }),
        part('input_image', { image_url: 'data:image/png;base64,iVBORw0KGgo=', detail: 'auto' }),
        part('input_file', { file_data: 'data:application/pdf;base64,JVBERi0xLjQK', filename: 'a.pdf' }),
      ],
    },
    { type: 'reasoning', summary: [], encrypted_content: pack({ type: 'redacted_thinking', data: 'r' }) },
    { type: 'message', role: 'assistant', content: [part('output_text', { text: 'b', annotations: [] })] },
    { type: 'function_call', call_id: 'c1', name: 'weather', arguments: '{}', namespace: 'n' },
    { type: 'custom_tool_call', call_id: 'c2', name: 'patch', input: 'x' },
    { type: 'custom_tool_call_output', call_id: 'c2', output: [part('input_text', { text: 'y' })] },
    { type: 'function_call_output', call_id: 'c1', output: 'z' },
    { type: 'additional_tools', tools: [{ type: 'function', name: 'more' }] },
    { type: 'compaction', encrypted_content: pack({ type: 'summary', text: 's' }) },
    { type: 'compaction_trigger' },
  ],
  tools: [
    { type: 'function', name: 'weather', parameters: { type: 'object' }, strict: true },
    { type: 'custom', name: 'patch', format: { type: 'grammar', syntax: 'lark', definition: 'x' } },
    { type: 'namespace', name: 'n', description: 'd', tools: [{ type: 'function', name: 'weather' }] },
    { type: 'web_search' },
  ],
  tool_choice: { type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function', name: 'weather' }] },
  reasoning: { effort: 'low', summary: 'auto' },
  text: { format: { type: 'json_schema', name: 'x', schema: {} }, verbosity: 'low' },
  metadata: { a: 'b' },
  stream: false,
};

test(`a request with something broken in it is taken, or refused as a bad request (seed ${seed})`, () => {
  responses.parse(request);
  const random = new Random(seed);
  for (let run = 0; run < rounds(10_000); run += 1) {
    let body: unknown = request;
    for (let times = random.int(1, 2); times > 0; times -= 1) {
      body = replaced(body, random.pick(placesOf(body, () => false)), randomJson(random));
    }
    try {
      const { responder } = responses.parse(body);
      responder.body(randomAnswer(random), facts);
    } catch (error) {
      const known = error instanceof RelayError && /^(?:bad_request|invalid_output)$/.test(error.code);
      assert.ok(known, `run ${run}: ${String(error)}\n${JSON.stringify(body)}`);
    }
  }
});
