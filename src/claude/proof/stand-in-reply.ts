/** What the stand-in can do with a request: answer like the model, fail like the API, or break like a network. Pure. */
import {
  answerLength,
  estimateTokens,
  type Answer,
  type AnswerBlock,
  type ApiEvent,
  type Usage,
} from './stand-in-messages.ts';

type AnswerOptions = {
  stopReason?: string;
  /** Parts of the usage that shall not be the estimate. */
  usage?: Partial<Usage>;
  /** The model id that the answer names; the request's own by default. */
  model?: string;
  /** Milliseconds before each delta but the first. */
  deltaDelayMs?: number;
  /** Awaited before each delta; `index` counts them from 0. */
  beforeDelta?: (index: number) => Promise<void> | void;
};

export type Reply =
  /** Several texts are several deltas. */
  | ({ kind: 'text'; text: string | readonly string[] } & AnswerOptions)
  | ({ kind: 'tool_use'; name: string; input: unknown; id?: string; text?: string } & AnswerOptions)
  | ({ kind: 'blocks'; blocks: readonly AnswerBlock[] } & AnswerOptions)
  /** A stream as it was recorded, to the event; the connection then ends, or is cut in the middle of the body. */
  | { kind: 'events'; events: readonly ApiEvent[]; eventDelayMs?: number; cut?: true }
  /** An HTTP error in the API's shape. */
  | { kind: 'error'; status: number; type: string; message: string; headers?: Record<string, string> }
  /** An `error` event in a stream that had begun well. */
  | { kind: 'stream_error'; type: string; message: string; afterText?: string }
  /** Nothing more comes; the connection stays. */
  | { kind: 'hang'; after: 'accept' | 'headers' | 'text'; text?: string }
  /** The connection is cut. */
  | { kind: 'drop'; after: 'accept' | 'headers' | 'text'; text?: string }
  | { kind: 'raw'; status: number; headers: Record<string, string>; body: string | Uint8Array };

/** The blocks that a reply sends before it ends, hangs, drops or fails. */
function blocksOfReply(reply: Reply): readonly AnswerBlock[] {
  switch (reply.kind) {
    case 'text':
      return [{ type: 'text', text: reply.text }];
    case 'tool_use': {
      const { name, input, id, text } = reply;
      const use: AnswerBlock = { type: 'tool_use', name, input, ...(id === undefined ? {} : { id }) };
      return text === undefined ? [use] : [{ type: 'text', text }, use];
    }
    case 'blocks':
      return reply.blocks;
    case 'stream_error':
      return [{ type: 'text', text: reply.afterText ?? '' }];
    case 'hang':
    case 'drop':
      return [{ type: 'text', text: reply.text ?? 'The answer begins and' }];
    case 'events':
    case 'error':
    case 'raw':
      break;
  }
  return [];
}

/** The answer of a reply. `bodyLength` (characters of the request) is what the input tokens are estimated from. */
export function answerOf(reply: Reply, id: string, requestModel: string, bodyLength: number): Answer {
  const blocks = blocksOfReply(reply);
  const options: AnswerOptions =
    reply.kind === 'text' || reply.kind === 'tool_use' || reply.kind === 'blocks' ? reply : {};
  const usesTool = blocks.some((block) => block.type === 'tool_use');
  return {
    id,
    model: options.model ?? requestModel,
    blocks,
    stopReason: options.stopReason ?? (usesTool ? 'tool_use' : 'end_turn'),
    usage: {
      input_tokens: estimateTokens(bodyLength),
      output_tokens: estimateTokens(answerLength(blocks)),
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: 0,
      ...options.usage,
    },
  };
}

/** The HTTP status that goes with an error's type where the error does not come mid-stream. */
export function statusOf(type: string): number {
  return errorStatus.get(type) ?? 500;
}

const errorStatus: ReadonlyMap<string, number> = new Map([
  ['invalid_request_error', 400],
  ['authentication_error', 401],
  ['permission_error', 403],
  ['not_found_error', 404],
  ['request_too_large', 413],
  ['rate_limit_error', 429],
  ['api_error', 500],
  ['overloaded_error', 529],
]);
