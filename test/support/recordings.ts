/** Recorded streams of the Messages API: each is a whole message, to be replayed with a reply of kind `events`. Pure. */
import type { ApiEvent } from './failing-model.ts';

const usage = {
  input_tokens: 25,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 3,
  output_tokens: 1,
  service_tier: 'standard',
};

const start: ApiEvent = {
  type: 'message_start',
  message: {
    id: 'msg_recorded',
    type: 'message',
    role: 'assistant',
    model: 'claude-opus-recorded-1',
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage,
  },
};

/** One block: how it opens, and the deltas that fill it. */
export function recordedBlock(index: number, block: object, ...deltas: object[]): ApiEvent[] {
  return [
    { type: 'content_block_start', index, content_block: block },
    ...deltas.map((delta) => ({ type: 'content_block_delta', index, delta })),
    { type: 'content_block_stop', index },
  ];
}

export function recordedText(index: number, ...texts: string[]): ApiEvent[] {
  return recordedBlock(
    index,
    { type: 'text', text: '' },
    ...texts.map((text) => ({ type: 'text_delta', text })),
  );
}

/** A call of a tool, its input in pieces. */
export function recordedToolUse(index: number, id: string, name: string, ...pieces: string[]): ApiEvent[] {
  return recordedBlock(
    index,
    { type: 'tool_use', id, name, input: {} },
    ...['', ...pieces].map((piece) => ({ type: 'input_json_delta', partial_json: piece })),
  );
}

/** The whole stream of a message with these blocks. */
export function recordedMessage(
  stopReason: string,
  blocks: readonly (readonly ApiEvent[])[],
  stopSequence: string | null = null,
): ApiEvent[] {
  return [
    start,
    { type: 'ping' },
    ...blocks.flat(),
    {
      type: 'message_delta',
      delta: { stop_reason: stopReason, stop_sequence: stopSequence },
      usage: { output_tokens: 15 },
    },
    { type: 'message_stop' },
  ];
}

const thought = (index: number): ApiEvent[] =>
  recordedBlock(
    index,
    { type: 'thinking', thinking: '', signature: '' },
    { type: 'thinking_delta', thinking: 'Let me ' },
    { type: 'thinking_delta', thinking: 'think.' },
    { type: 'signature_delta', signature: 'EqQBCgIYAhIM' },
  );

export const recordings = {
  text: recordedMessage('end_turn', [recordedText(0, 'Hello', ', world', '!')]),
  thinking: recordedMessage('end_turn', [thought(0), recordedText(1, 'Thought over.')]),
  redactedThinking: recordedMessage('end_turn', [
    recordedBlock(0, { type: 'redacted_thinking', data: 'EmwKAhgBEgy3va3p' }),
    recordedText(1, 'Hidden thoughts.'),
  ]),
  citations: recordedMessage('end_turn', [
    recordedBlock(
      0,
      { type: 'text', text: '', citations: [] },
      { type: 'text_delta', text: 'The grass is green.' },
      {
        type: 'citations_delta',
        citation: {
          type: 'char_location',
          cited_text: 'The grass is green.',
          document_index: 0,
          document_title: 'Facts',
          start_char_index: 0,
          end_char_index: 20,
        },
      },
    ),
  ]),
  toolUse: recordedMessage('tool_use', [
    recordedText(0, 'Let me look.'),
    recordedToolUse(1, 'toolu_1', 'get_weather', '{"city":', ' "Zürich"}'),
  ]),
  parallelToolUse: recordedMessage('tool_use', [
    recordedToolUse(0, 'toolu_1', 'get_weather', '{"city":"Bern"}'),
    recordedToolUse(1, 'toolu_2', 'get_time'),
  ]),
  thinkingToolUse: recordedMessage('tool_use', [
    thought(0),
    recordedToolUse(1, 'toolu_1', 'get_weather', '{"city":"Bern"}'),
  ]),
  stopSequence: recordedMessage('stop_sequence', [recordedText(0, 'one two ')], 'three'),
  maxTokens: recordedMessage('max_tokens', [recordedText(0, 'cut off in the mid')]),
  maxTokensInTool: recordedMessage('max_tokens', [
    recordedToolUse(0, 'toolu_1', 'get_weather', '{"city": "Zü'),
  ]),
  refusal: recordedMessage('refusal', [recordedText(0, 'I cannot')]),
  pauseTurn: recordedMessage('pause_turn', [recordedText(0, 'One moment.')]),
  contextWindow: recordedMessage('model_context_window_exceeded', [recordedText(0, 'no more room')]),
  unknownDelta: recordedMessage('end_turn', [
    recordedBlock(
      0,
      { type: 'text', text: '' },
      { type: 'text_delta', text: 'known' },
      { type: 'future_delta', future: { of: 'all' } },
    ),
  ]),
  unknownBlock: recordedMessage('end_turn', [
    recordedBlock(0, { type: 'future_block', future: 1 }, { type: 'future_delta', more: 2 }),
    recordedText(1, 'known'),
  ]),
  pings: recordedMessage('end_turn', [
    [{ type: 'ping' }, { type: 'ping' }],
    recordedText(0, 'between pings'),
  ]),
  empty: recordedMessage('end_turn', []),
  errorMidStream: [
    ...recordedMessage('end_turn', [recordedText(0, 'half an ')]).slice(0, 4),
    { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
  ],
} as const satisfies Record<string, readonly ApiEvent[]>;
