import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { requireResponse } from '../../../../test/support/open-responses.ts';
import type { Answer } from '../../../conversation.ts';
import { WrittenJson } from '../../../exact-json.ts';
import type { AnswerFacts } from '../../dialect.ts';
import { unpack } from './packed.ts';
import { responses } from './responses.ts';

const facts: AnswerFacts = { requestId: 'req_abc', model: 'opus', at: 1_700_000_000_900, durationMs: 500 };
const usage = {
  input_tokens: 10,
  output_tokens: 7,
  cache_read_input_tokens: 200,
  cache_creation_input_tokens: 3000,
};

function answer(content: Answer['content'], more: Partial<Answer> = {}): Answer {
  return {
    messageId: 'msg_1',
    content,
    text: '',
    stopReason: 'end_turn',
    stopSequence: null,
    resolvedModel: 'claude-opus-5-5',
    usage,
    rawUsage: { ...usage, output_tokens_details: { thinking_tokens: 5 } },
    costUsd: null,
    ...more,
  };
}

type Written = { status: string; output: Record<string, unknown>[] } & Record<string, unknown>;

/** The response to a request with these fields. Calls of custom tools are not part of Open Responses. */
function written(fields: object, given: Answer, { open = true } = {}): Written {
  const { responder } = responses.parse({ input: 'hi', ...fields });
  const body = JSON.parse(JSON.stringify(responder.body(given, facts))) as Written;
  if (open) requireResponse(body);
  return body;
}

const text = (text: string): Answer['content'][number] => ({ type: 'text', text });
const outputText = (text: string): object => ({ type: 'output_text', text, annotations: [], logprobs: [] });
const thinking = { type: 'thinking', thinking: 'hm', signature: 's1' };
const redacted = { type: 'redacted_thinking', data: 'r' };
const call = (name: string, input: object): Answer['content'][number] => ({
  type: 'tool_use',
  id: 'toolu_1',
  name,
  input,
});

describe('a response', () => {
  test('of a text has every field of the API', () => {
    assert.deepEqual(written({}, answer([text('hello')])), {
      id: 'resp_abc',
      object: 'response',
      created_at: 1_700_000_000,
      status: 'completed',
      background: false,
      completed_at: 1_700_000_001,
      error: null,
      incomplete_details: null,
      instructions: null,
      max_output_tokens: null,
      max_tool_calls: null,
      model: 'claude-opus-5-5',
      output: [
        {
          type: 'message',
          id: 'msg_abc_0',
          status: 'completed',
          role: 'assistant',
          content: [outputText('hello')],
        },
      ],
      parallel_tool_calls: true,
      previous_response_id: null,
      prompt_cache_key: null,
      reasoning: { effort: null, summary: null },
      safety_identifier: null,
      service_tier: 'default',
      store: false,
      temperature: 1,
      text: { format: { type: 'text' } },
      tool_choice: 'auto',
      tools: [],
      top_logprobs: 0,
      top_p: 1,
      frequency_penalty: 0,
      presence_penalty: 0,
      truncation: 'disabled',
      usage: {
        input_tokens: 3210,
        input_tokens_details: { cached_tokens: 200, cache_write_tokens: 3000 },
        output_tokens: 7,
        output_tokens_details: { reasoning_tokens: 5 },
        total_tokens: 3217,
      },
      metadata: {},
    });
  });

  test('repeats what the request asked for', () => {
    const schema = { type: 'object', properties: {} };
    const parameters = { type: 'object', properties: { city: { type: 'string' } } };
    const asked = {
      instructions: 'Be brief.',
      max_output_tokens: 100,
      metadata: { a: 'b' },
      parallel_tool_calls: false,
      prompt_cache_key: 'k',
      safety_identifier: 's',
      temperature: 0.5,
      top_p: 0.9,
    };
    const repeated = written(
      {
        ...asked,
        reasoning: { effort: 'minimal', summary: 'auto' },
        text: { format: { type: 'json_schema', name: 'x', schema, strict: true }, verbosity: 'low' },
        tools: [{ type: 'function', name: 'weather', parameters }, { type: 'web_search' }],
        tool_choice: {
          type: 'allowed_tools',
          tools: [{ type: 'function', name: 'weather' }, { type: 'web_search' }],
        },
      },
      answer([text('{}')]),
    );
    assert.deepEqual(repeated, {
      ...repeated,
      ...asked,
      reasoning: { effort: 'low', summary: 'auto' },
      text: {
        format: { type: 'json_schema', name: 'x', description: null, schema, strict: true },
        verbosity: 'low',
      },
      tools: [{ type: 'function', name: 'weather', description: null, parameters, strict: false }],
      tool_choice: {
        type: 'allowed_tools',
        mode: 'auto',
        tools: [{ type: 'function', name: 'weather' }],
      },
    });
    const { reasoning } = written({ reasoning: { effort: 'max' } }, answer([]));
    assert.deepEqual(reasoning, { effort: 'xhigh', summary: null });
  });

  test('has an item for each block, and one message for texts that follow each other', () => {
    const tools = [{ type: 'function', name: 'weather' }];
    const big = new WrittenJson('{"id": 12345678901234567890}');
    const { output } = written(
      { tools },
      answer([thinking, text('a'), text(''), text('b'), call('weather', big), text('c')]),
    );
    assert.deepEqual(
      output.map(({ type, id, content }) => [type, id, content]),
      [
        ['reasoning', 'rs_abc_0', undefined],
        ['message', 'msg_abc_1', [outputText('a'), outputText('b')]],
        ['function_call', 'fc_abc_2', undefined],
        ['message', 'msg_abc_3', [outputText('c')]],
      ],
    );
    assert.deepEqual(output[2], {
      type: 'function_call',
      id: 'fc_abc_2',
      call_id: 'toolu_1',
      name: 'weather',
      arguments: '{"id": 12345678901234567890}',
      status: 'completed',
    });
  });

  test('carries thinking to the next request, and shows it only if asked to', () => {
    const given = answer([thinking, redacted, { type: 'thinking', thinking: 'cut' }]);
    const { output: hidden } = written({}, given);
    assert.deepEqual(
      hidden.map(({ summary, encrypted_content: packed }) => [summary, unpack(packed)]),
      [
        [[], thinking],
        [[], redacted],
        [[], undefined],
      ],
    );
    const shown = [{ type: 'summary_text', text: 'hm' }];
    for (const reasoning of [{ summary: 'auto' }, { generate_summary: 'concise' }]) {
      assert.deepEqual(written({ reasoning }, given).output[0]?.['summary'], shown);
    }
    assert.deepEqual(written({ reasoning: { summary: null } }, given).output[0]?.['summary'], []);
  });

  test('gives custom tools and namespaces back as the caller knows them', () => {
    const tools = [
      { type: 'custom', name: 'apply_patch' },
      { type: 'namespace', name: 'agents', tools: [{ type: 'function', name: 'spawn' }] },
    ];
    const given = (content: Answer['content']): unknown =>
      written({ tools }, answer(content), { open: false }).output;
    assert.deepEqual(
      given([
        call('apply_patch', { input: '*** Begin' }),
        call('agents__spawn', {}),
        call('apply_patch', { patch: 'x' }),
        call('apply_patch', new WrittenJson('{"input": "*** Be', {})),
      ]),
      [
        { type: 'custom_tool_call', id: 'ctc_abc_0', name: 'apply_patch', input: '*** Begin' },
        { type: 'function_call', id: 'fc_abc_1', name: 'spawn', namespace: 'agents', arguments: '{}' },
        { type: 'custom_tool_call', id: 'ctc_abc_2', name: 'apply_patch', input: '{"patch":"x"}' },
        { type: 'custom_tool_call', id: 'ctc_abc_3', name: 'apply_patch', input: '' },
      ].map((item) => Object.assign(item, { call_id: 'toolu_1', status: 'completed' })),
    );
  });

  test('that is not complete says why, and which item is cut off', () => {
    for (const [stopReason, reason] of [
      ['max_tokens', 'max_output_tokens'],
      ['model_context_window_exceeded', 'max_output_tokens'],
      ['pause_turn', 'max_output_tokens'],
      ['refusal', 'content_filter'],
    ] as const) {
      const { status, incomplete_details, completed_at, output } = written(
        { tools: [{ type: 'function', name: 'weather' }] },
        answer([call('weather', {}), text('b')], { stopReason }),
      );
      assert.deepEqual([status, incomplete_details, completed_at], ['incomplete', { reason }, null]);
      assert.deepEqual(
        output.map((item) => item['status']),
        ['completed', 'incomplete'],
      );
    }
    for (const stopReason of ['tool_use', 'stop_sequence', 'new_reason']) {
      assert.equal(written({}, answer([text('a')], { stopReason })).status, 'completed');
    }
  });

  test('of a refusal has its explanation, and an empty one an empty text', () => {
    const declined = { stopReason: 'refusal', stopDetails: { explanation: 'No.' } };
    const refusal = { type: 'refusal', refusal: 'No.' };
    const contents = (given: Answer): unknown[] => written({}, given).output.map((item) => item['content']);
    assert.deepEqual(contents(answer([text('a')], declined)), [[outputText('a'), refusal]]);
    assert.deepEqual(contents(answer([], declined)), [[refusal]]);
    assert.deepEqual(contents(answer([], { stopReason: 'refusal' })), []);
    assert.deepEqual(contents(answer([])), [[outputText('')]]);
    assert.deepEqual(contents(answer([], { stopReason: 'max_tokens' })), []);
  });
});
