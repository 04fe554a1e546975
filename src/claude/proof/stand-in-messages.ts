/**
 * The Messages API as far as the stand-in plays it: the request it reads and the answer it gives.
 *
 * Pure. Source of the shapes: the public API reference (Messages, streaming, errors), compared with what the CLI accepts.
 */
import { z } from 'zod';

const blockSchema = z.looseObject({ type: z.string() });

const messagesRequestSchema = z.looseObject({
  model: z.string(),
  max_tokens: z.number(),
  stream: z.boolean().optional(),
  system: z.union([z.string(), z.array(blockSchema)]).optional(),
  messages: z.array(
    z.looseObject({ role: z.string(), content: z.union([z.string(), z.array(blockSchema)]) }),
  ),
  tools: z.array(z.looseObject({ name: z.string() })).optional(),
});

export type RequestBlock = z.infer<typeof blockSchema>;
export type MessagesRequest = z.infer<typeof messagesRequestSchema>;

/** The request in a body; undefined when it is not JSON or not a Messages request. */
export function parseMessagesRequest(body: string): MessagesRequest | undefined {
  try {
    return messagesRequestSchema.parse(JSON.parse(body));
  } catch {
    return undefined;
  }
}

/** Content as blocks, in the one form that the API itself reduces both forms to. */
export function blocksOf(content: string | readonly RequestBlock[] | undefined): readonly RequestBlock[] {
  if (content === undefined) return [];
  return typeof content === 'string' ? [{ type: 'text', text: content }] : content;
}

/** The text of a text block; undefined for other blocks. */
export function textOf(block: RequestBlock): string | undefined {
  return block.type === 'text' && typeof block['text'] === 'string' ? block['text'] : undefined;
}

/** The texts of the last user message, in order. */
export function lastUserTexts(request: MessagesRequest): string[] {
  const last = request.messages.findLast((message) => message.role === 'user');
  return blocksOf(last?.content).flatMap((block) => textOf(block) ?? []);
}

/** A block of the model's answer. Several texts are several deltas. */
export type AnswerBlock =
  | { type: 'text'; text: string | readonly string[] }
  | { type: 'thinking'; thinking: string; signature?: string }
  | { type: 'tool_use'; name: string; input: unknown; id?: string };

export type Usage = {
  input_tokens: number;
  output_tokens: number;
  cache_creation_input_tokens: number;
  cache_read_input_tokens: number;
};

const anySignature = 'c3RhbmQtaW4=';

/** An answer in full, before it is cut into events or sent as one JSON document. */
export type Answer = {
  id: string;
  model: string;
  blocks: readonly AnswerBlock[];
  stopReason: string;
  usage: Usage;
};

/** Some four characters a token: only a number that moves with the text. */
export function estimateTokens(characters: number): number {
  return Math.max(1, Math.ceil(characters / 4));
}

export function answerLength(blocks: readonly AnswerBlock[]): number {
  let length = 0;
  for (const block of blocks) {
    if (block.type === 'text') length += joined(block.text).length;
    else if (block.type === 'thinking') length += block.thinking.length;
    else length += JSON.stringify(block.input).length;
  }
  return length;
}

function joined(text: string | readonly string[]): string {
  return typeof text === 'string' ? text : text.join('');
}

/** The answer to a request without `stream: true`. */
export function answerDocument(answer: Answer): object {
  return {
    id: answer.id,
    type: 'message',
    role: 'assistant',
    model: answer.model,
    content: answer.blocks.map((block, index) => wholeBlock(answer, block, index)),
    stop_reason: answer.stopReason,
    stop_sequence: null,
    usage: answer.usage,
  };
}

function wholeBlock(answer: Answer, block: AnswerBlock, index: number): object {
  if (block.type === 'text') return { type: 'text', text: joined(block.text) };
  if (block.type === 'thinking') return { ...block, signature: block.signature ?? anySignature };
  return { type: 'tool_use', id: toolId(answer, block, index), name: block.name, input: block.input };
}

/** One server-sent event: its name is its `type`. */
export type ApiEvent = { type: string } & Record<string, unknown>;

export function serialiseEvent(event: ApiEvent): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** The events up to the end of the last block, in the API's own order; `answerEnd` are the two that follow. */
export function answerStart(answer: Answer): ApiEvent[] {
  const { usage } = answer;
  const events: ApiEvent[] = [
    {
      type: 'message_start',
      message: {
        id: answer.id,
        type: 'message',
        role: 'assistant',
        model: answer.model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { ...usage, output_tokens: Math.min(1, usage.output_tokens) },
      },
    },
  ];
  answer.blocks.forEach((block, index) => {
    const [opening, deltas] = blockEvents(answer, block, index);
    events.push({ type: 'content_block_start', index, content_block: opening });
    if (index === 0) events.push({ type: 'ping' });
    for (const delta of deltas) events.push({ type: 'content_block_delta', index, delta });
    events.push({ type: 'content_block_stop', index });
  });
  return events;
}

export function answerEnd(answer: Answer): ApiEvent[] {
  return [
    {
      type: 'message_delta',
      delta: { stop_reason: answer.stopReason, stop_sequence: null },
      usage: answer.usage,
    },
    { type: 'message_stop' },
  ];
}

/** A block as it is opened, and the deltas that fill it. */
function blockEvents(answer: Answer, block: AnswerBlock, index: number): [object, object[]] {
  if (block.type === 'text') {
    const texts = typeof block.text === 'string' ? [block.text] : block.text;
    return [{ type: 'text', text: '' }, texts.map((text) => ({ type: 'text_delta', text }))];
  }
  if (block.type === 'thinking') {
    return [
      { type: 'thinking', thinking: '', signature: '' },
      [
        { type: 'thinking_delta', thinking: block.thinking },
        { type: 'signature_delta', signature: block.signature ?? anySignature },
      ],
    ];
  }
  return [
    { type: 'tool_use', id: toolId(answer, block, index), name: block.name, input: {} },
    [
      { type: 'input_json_delta', partial_json: '' },
      { type: 'input_json_delta', partial_json: JSON.stringify(block.input) },
    ],
  ];
}

function toolId(answer: Answer, block: { id?: string }, index: number): string {
  return block.id ?? `${answer.id.replace('msg_', 'toolu_')}_${index}`;
}
