/** The ways in which a turn can end, as the lines that the CLI prints. */
import assert from 'node:assert/strict';
import { lastUserTexts, type ApiEvent, type SeenRequest } from './failing-model.ts';
import { recordedMessage, recordedText, recordedToolUse, recordings } from './recordings.ts';
import type { ScriptedReply } from './scripted-cli.ts';

export type Ending = {
  /** What the process prints after `init`. */
  lines: readonly object[];
  /** How the process ends by itself, instead of waiting to be ended. */
  last?: 'exit' | 'garbage';
  /** The stop reason of an answer, or the code of an error. */
  says: string;
  /** The answer's text. */
  text?: string;
  /** The request's fields in addition to its prompt. */
  asks?: 'tools' | 'schema' | 'list';
  /** Only a turn's time limit ends it. */
  silent?: true;
};

const stream = (events: readonly ApiEvent[]): object[] =>
  events.map((event) => ({ type: 'stream_event', event }));
const result = (fields: object = {}): object => ({
  type: 'result',
  subtype: 'success',
  is_error: false,
  result: 'x',
  total_cost_usd: 0.5,
  ...fields,
});
const failure = (text: string, fields: object, status?: number): object[] => [
  { type: 'assistant', ...fields, message: { content: [{ type: 'text', text }] } },
  result({ is_error: true, result: text, api_error_status: status ?? null }),
];
const done = (events: readonly ApiEvent[]): object[] => [...stream(events), result()];
/** The CLI runs no tool, and its turns are used up. */
const called = (events: readonly ApiEvent[]): object[] => [
  ...stream(events),
  result({ subtype: 'error_max_turns', is_error: true }),
];
/** With an answer that has nothing in it, the CLI asks again. */
const again = (events: readonly ApiEvent[]): object[] => [
  ...stream(events),
  { type: 'system', subtype: 'status', status: 'requesting' },
];
const half = [...recordedMessage('end_turn', [recordedText(0, 'half an ')]).slice(0, 4)];
const block = recordedMessage('end_turn', [recordedText(0, 'half an ')]).slice(0, -2);
const byTool = (json: string, stopReason = 'tool_use'): ApiEvent[] =>
  recordedMessage(stopReason, [recordedToolUse(0, 'toolu_1', 'structured_output', json)]);

export const endings: Record<string, Ending> = {
  'an answer': { lines: done(recordings.text), says: 'end_turn', text: 'Hello, world!' },
  'an answer after thinking': { lines: done(recordings.thinking), says: 'end_turn', text: 'Thought over.' },
  'an answer with citations': {
    lines: done(recordings.citations),
    says: 'end_turn',
    text: 'The grass is green.',
  },
  'a stop sequence': { lines: done(recordings.stopSequence), says: 'stop_sequence', text: 'one two ' },
  max_tokens: { lines: stream(recordings.maxTokens), says: 'max_tokens', text: 'cut off in the mid' },
  'max_tokens, and two more requests': {
    lines: [
      ...stream(recordings.maxTokens),
      { type: 'system', subtype: 'status', status: 'requesting' },
      ...stream(recordings.text.slice(0, 1)),
      { type: 'system', subtype: 'status', status: 'requesting' },
    ],
    says: 'max_tokens',
    text: 'cut off in the mid',
  },
  'max_tokens in a tool call': {
    lines: stream(
      recordedMessage('max_tokens', [recordedToolUse(0, 'toolu_1', 'get_weather', '{"city": "Z')]),
    ),
    says: 'max_tokens',
    text: '',
    asks: 'tools',
  },
  'the end of the context window': {
    lines: stream(recordings.contextWindow),
    says: 'model_context_window_exceeded',
    text: 'no more room',
  },
  'a refusal': { lines: stream(recordings.refusal), says: 'refusal', text: 'I cannot' },
  'a refusal without a word': { lines: stream(recordedMessage('refusal', [])), says: 'refusal', text: '' },
  'a paused turn': { lines: stream(recordings.pauseTurn), says: 'pause_turn', text: 'One moment.' },
  'a tool call': {
    lines: called(recordings.toolUse),
    says: 'tool_use',
    text: 'Let me look.',
    asks: 'tools',
  },
  'two tool calls': { lines: called(recordings.parallelToolUse), says: 'tool_use', text: '', asks: 'tools' },
  'a call of a tool that nobody offers': { lines: stream(recordings.toolUse), says: 'upstream_error' },
  'a tool call with invalid JSON': {
    lines: called(recordedMessage('tool_use', [recordedToolUse(0, 'toolu_1', 'get_weather', '{"city": "Z')])),
    says: 'upstream_error',
    asks: 'tools',
  },
  'an empty answer': { lines: again(recordings.empty), says: 'end_turn', text: '' },
  'a blank answer': {
    lines: again(recordedMessage('end_turn', [recordedText(0, ' ')])),
    says: 'end_turn',
    text: ' ',
  },
  'an error of the API before the answer': {
    lines: failure('API Error: 400 messages: too odd', { error: 'unknown' }, 400),
    says: 'bad_request',
  },
  'an error of the API in the middle': {
    lines: [...stream(half), ...failure('API Error: Overloaded', { error: 'unknown' })],
    says: 'upstream_overloaded',
  },
  'a lost connection in the middle': {
    lines: [...stream(half), ...failure('API Error: Connection lost', { error: 'server_error' })],
    says: 'upstream_error',
  },
  'a stream that ends after a block': {
    lines: stream([...block, { type: 'message_stop' }]),
    says: 'upstream_error',
  },
  'a stream that ends after a block, with a result': { lines: done(block), says: 'upstream_error' },
  'a second message': { lines: stream([...half, ...half]), says: 'upstream_error' },
  'an end of the process': { lines: stream(half), last: 'exit', says: 'upstream_error' },
  'lines that are not the protocol': { lines: stream(half), last: 'garbage', says: 'upstream_error' },
  'silence in the middle': { lines: stream(half), silent: true, says: 'upstream_timeout' },
  'an answer by a schema': { lines: called(byTool('{"n":1}')), asks: 'schema', says: 'end_turn' },
  'an answer by a schema of another type': {
    lines: called(byTool('{"value":[1,2]}')),
    asks: 'list',
    says: 'end_turn',
  },
  'an answer that does not satisfy its schema': {
    lines: called(byTool('{"n":"one"}')),
    asks: 'schema',
    says: 'invalid_output',
  },
  'words instead of an answer by a schema': {
    lines: done(recordings.text),
    asks: 'schema',
    says: 'invalid_output',
  },
  'an answer by a schema, cut off': {
    lines: stream(byTool('{"n":', 'max_tokens')),
    asks: 'schema',
    says: 'max_tokens',
  },
  'an answer by a schema of another type, cut off': {
    lines: stream(byTool('{"value":[1', 'max_tokens')),
    asks: 'list',
    says: 'max_tokens',
  },
  'a refusal of an answer by a schema': {
    lines: stream(recordings.refusal),
    asks: 'schema',
    says: 'refusal',
  },
};

/** A request's prompt names its ending. */
export function playEnding({ json }: SeenRequest): ScriptedReply {
  const name = json === undefined ? '' : lastUserTexts(json).join('');
  const { lines, last } = endings[name] ?? assert.fail(`no ending "${name}"`);
  return { kind: 'lines', lines, ...(last === undefined ? {} : { last }) };
}
