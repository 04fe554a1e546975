import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PageResponse } from '../../api.ts';
import { RelayError } from '../../errors.ts';
import { mcpErrors } from './errors.ts';
import { answerResult, errorResult, pageResult } from './results.ts';

const facts = {
  model: 'opus',
  resolved_model: 'claude-opus-5',
  duration_ms: 1,
  stop_reason: 'end_turn',
  usage: {
    input_tokens: 1,
    output_tokens: 2,
    cache_read_input_tokens: 0,
    cache_creation_input_tokens: 0,
    cost_usd: 0.1,
  },
};

const text = (each: string): object => ({ type: 'text', text: each });

test('an answer is text, and an object is also structured content', () => {
  const cases: [result: unknown, expected: object][] = [
    ['hi', { content: [text('hi')] }],
    [{ n: 1 }, { content: [text('{"n":1}')], structuredContent: { n: 1 } }],
    [[1], { content: [text('[1]')] }],
    [null, { content: [text('null')] }],
    [5, { content: [text('5')] }],
  ];
  for (const [result, expected] of cases) {
    assert.deepEqual(answerResult({ ok: true, result, ...facts }), {
      ...expected,
      _meta: { 'claude-relay/answer': facts },
    });
  }
});

test('an answer that was cut off says so in a second text', () => {
  for (const [stop_reason, more] of [
    ['max_tokens', [text('[The answer ends here: max_tokens]')]],
    ['refusal', [text('[The answer ends here: refusal]')]],
    ['stop_sequence', []],
  ] as const) {
    const { content } = answerResult({ ok: true, result: 'hi', ...facts, stop_reason });
    assert.deepEqual(content, [text('hi'), ...more]);
  }
});

test('a page is a line of facts and its text, in each format', () => {
  const page: PageResponse = {
    ok: true,
    status: 404,
    final_url: 'https://example.com/',
    truncated: true,
    content_type: 'text/html',
    charset: 'utf-8',
    redirects: [],
    bytes: { wire: 1, decoded: 1, output: 1 },
    elapsed_ms: 1,
    json_ld: ['{"@type":"Thing"}'],
    about: { title: 'Example' },
  };
  const line = text(
    '{"status":404,"final_url":"https://example.com/","content_type":"text/html","truncated":true,"title":"Example"}',
  );
  for (const form of [{ html: 'a' }, { text: 'a' }, { markdown: 'a' }, { body: 'a' }]) {
    assert.deepEqual(pageResult({ ...page, ...form }), { content: [line, text('a')] });
  }
  // An empty page is not one in another format.
  assert.deepEqual(pageResult({ ...page, text: '' }), { content: [line, text('')] });
  const metadata = { json_ld: [] };
  assert.deepEqual(pageResult({ ...page, metadata }), { content: [line, text('{"json_ld":[]}')] });
});

test('an error says once when to try again', () => {
  const sentence = (error: RelayError): unknown => {
    const { isError, content, _meta = {} } = errorResult(error, 'req_1');
    assert.equal(isError, true);
    assert.equal((_meta['claude-relay/error'] as { error: string }).error, error.code);
    return content[0];
  };
  const limit = new RelayError('rate_limited', 'Full. Try again in 7 s.', { retryAfter: 7 });
  const busy = new RelayError('upstream_overloaded', 'The model is overloaded.', { retryAfter: 5 });
  const wrong = new RelayError('bad_request', 'Field "x" is wrong.');
  assert.deepEqual(sentence(limit), text('Full. Try again in 7 s.'));
  assert.deepEqual(sentence(busy), text('The model is overloaded. Try again in 5 s.'));
  assert.deepEqual(sentence(wrong), text('Field "x" is wrong.'));
});

test('an error outside a tool is one of JSON-RPC without an id', () => {
  const error = new RelayError('unauthorized', 'Send a valid key.');
  const body = {
    jsonrpc: '2.0',
    id: null,
    error: {
      code: -32_000,
      message: 'Send a valid key.',
      data: { ok: false, error: 'unauthorized', message: 'Send a valid key.', request_id: 'req_1' },
    },
  };
  assert.deepEqual(mcpErrors.errorBody(error, 'req_1'), body);
  const events = `event: message\ndata: ${JSON.stringify(body)}\n\n`;
  assert.equal(mcpErrors.errorEvents(error, 'req_1'), events);
});
