/** A Messages request -> a conversation. Pure. */
import type { Conversation, Effort, Message, TextBlock, Thinking } from '../../conversation.ts';
import type { ParsedRequest } from '../dialect.ts';
import { markOf, systemMarkOf } from '../cache-mark.ts';
import { given } from '../given.ts';
import { parseBody, requireSendable } from '../problem.ts';
import { unreadNames } from '../unread.ts';
import { assistantBlock, textBlock, userBlock, type Notes } from './blocks.ts';
import { ignoredParameters } from './parameters.ts';
import { problem } from './problem.ts';
import {
  messagesRequest,
  type MessagesRequest,
  type RequestMessage,
  type RequestText,
  type RequestThinking,
} from './schema.ts';
import { offeredTools, requireChoice } from './tools.ts';
import { requireOrder, type Placed } from './turns.ts';

/** Throws a `bad_request` that names the place. */
export function readMessagesRequest(
  body: unknown,
  order: 'conversation' | 'any order' = 'conversation',
): Omit<ParsedRequest, 'responder'> {
  requireSendable(body, [], problem);
  const request = parseBody(messagesRequest, withoutNulls(body), problem);
  const ignored = unreadNames(body, request);
  for (const name of Object.keys(ignoredParameters)) if (name in request) ignored.add(name);
  const notes: Notes = { ignored, referenced: new Set() };
  const system = systemTexts(request.system ?? []);
  const { messages, effort } = readMessages(request.messages, notes);
  if (order === 'conversation') requireOrder(messages);
  const tools = offeredTools(request.tools ?? [], notes);
  requireChoice(request, tools);
  requireBudget(request);
  return {
    conversation: {
      system: system.map(({ text }) => text),
      messages: messages.map(({ message }) => message),
      ...settingsOf(request, effort, ignored),
      ...systemMarkOf(system, ignored, 'system.cache_control'),
      ...given({ endMark: markOf(request).cache_control }),
      ...(tools.length === 0 ? {} : { tools, ...given({ toolChoice: request.tool_choice }) }),
    },
    model: request.model,
    stream: request.stream === true,
    ignored: [...ignored].toSorted(),
  };
}

/** For a parameter of the API, null means absent. */
function withoutNulls(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body;
  return Object.fromEntries(
    Object.entries(body).filter(
      ([name, value]) => value !== null || !Object.hasOwn(messagesRequest.shape, name),
    ),
  );
}

/** A system message sets the effort of its turn: only the last turn's applies. */
function readMessages(
  all: readonly RequestMessage[],
  notes: Notes,
): { messages: Placed[]; effort: Effort | undefined } {
  const messages: Placed[] = [];
  let effort: Effort | undefined;
  const lastUser = all.findLastIndex(({ role }) => role === 'user');
  all.forEach((message, index) => {
    const path = ['messages', index];
    if (message.role !== 'system') {
      messages.push({ message: turnOf(message, notes), path });
      if (message.role === 'assistant') effort = undefined;
      return;
    }
    effort = message.output_config?.effort ?? effort;
    const content = systemTexts(message.content ?? []);
    // The API no longer shows it to the model.
    const cleared = message.clear_at === 'next_user_message' && index < lastUser;
    if (content.length > 0 && !cleared) messages.push({ message: { role: 'system', content }, path });
  });
  return { messages, effort };
}

function turnOf(message: Exclude<RequestMessage, { role: 'system' }>, notes: Notes): Message {
  if (typeof message.content === 'string') {
    return { role: message.role, content: [{ type: 'text', text: message.content }] };
  }
  return message.role === 'user'
    ? { role: 'user', content: message.content.map((block) => userBlock(block, notes)) }
    : { role: 'assistant', content: message.content.map(assistantBlock) };
}

function systemTexts(system: string | readonly RequestText[]): TextBlock[] {
  if (typeof system === 'string') return system === '' ? [] : [{ type: 'text', text: system }];
  // Of an earlier answer: not for the system's texts.
  return system.map(({ citations: _citations, ...block }) => textBlock(block));
}

function settingsOf(
  request: MessagesRequest,
  turnEffort: Effort | undefined,
  ignored: Set<string>,
): Partial<Conversation> {
  const { stop_sequences: stops = [], thinking } = request;
  return given({
    maxTokens: request.max_tokens,
    effort: turnEffort ?? request.output_config?.effort,
    temperature: request.temperature,
    topP: request.top_p,
    topK: request.top_k,
    stopSequences: stops.length === 0 ? undefined : stops,
    thinking: thinking && thinkingOf(thinking, ignored),
    schema: schemaOf(request),
  });
}

function thinkingOf(thinking: RequestThinking, ignored: Set<string>): Thinking {
  if (thinking.type === 'between_tools' || thinking.type === 'disabled') return thinking;
  const { display, block_binding: binding, ...rest } = thinking;
  if (binding) ignored.add('thinking.block_binding');
  if (display === 'summarized' || display === 'omitted') return { ...rest, display };
  if (display) ignored.add('thinking.display');
  return rest;
}

/** `output_format` is the older name of `output_config.format`. */
function schemaOf({
  output_config: config,
  output_format: older,
}: MessagesRequest): Record<string, unknown> | undefined {
  if (config?.format && older) {
    throw problem(['output_format'], 'must be sent as `output_config.format`, and only there');
  }
  return (config?.format ?? older)?.schema;
}

function requireBudget({ thinking, max_tokens: most }: MessagesRequest): void {
  if (thinking?.type === 'enabled' && thinking.budget_tokens >= most) {
    throw problem(['max_tokens'], 'must be greater than `thinking.budget_tokens`');
  }
}
