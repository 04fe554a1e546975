/** A Messages request -> what the model is asked. Pure. */
import type { Conversation, Effort, Message, TextBlock, Thinking } from '../../conversation.ts';
import { assistantBlocks, noteCommon, userBlocks, wordsOf, type Notes } from './blocks.ts';
import { sortParameters } from './parameters.ts';
import { firstProblem, problem, type Place } from './problem.ts';
import { messagesRequest, type MessagesRequest, type RequestMessage, type RequestText } from './schema.ts';
import { offeredTools, refuseForeignTools } from './tools.ts';
import { requireOrder, type Placed } from './turns.ts';
import { refuseForeignBlocks } from './unsupported.ts';
import { findUnsound } from '../unsendable.ts';

export type ParsedMessages = {
  conversation: Conversation;
  model: string;
  stream: boolean;
  ignored: string[];
};

/** Throws `bad_request` that names the place. */
export function readMessagesRequest(body: unknown): ParsedMessages {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw problem([], 'The request body must be a JSON object');
  }
  const flaw = findUnsound(body);
  if (flaw !== undefined) throw problem(flaw.path.slice(0, 8), flaw.problem);
  const { known, ignored } = sortParameters(body as Record<string, unknown>);
  refuseForeignBlocks(known['messages']);
  refuseForeignTools(known['tools']);
  const parsed = messagesRequest.safeParse(known);
  if (!parsed.success) throw firstProblem(parsed.error, known);
  const request = parsed.data;

  const seen = new Set(ignored);
  const referenced = new Set<string>();
  const notes: Notes = { ignore: (name) => seen.add(name), reference: (tool) => referenced.add(tool) };
  const system = systemOf(request.system ?? [], ['system'], notes);
  const { messages, effort } = readMessages(request.messages, notes);
  requireOrder(messages);
  const tools = offeredTools(request.tools ?? [], referenced, notes.ignore);
  requireChoice(request.tool_choice, tools);
  requireBudget(request);
  return {
    conversation: {
      system: system.map(({ text }) => text),
      messages: messages.map(({ message }) => message),
      ...settingsOf(request, effort),
      ...(tools.length === 0 ? {} : { tools }),
      ...(tools.length === 0 || request.tool_choice === undefined ? {} : { toolChoice: request.tool_choice }),
    },
    model: request.model,
    stream: request.stream === true,
    ignored: [...seen].toSorted(),
  };
}

type Read = { messages: Placed[]; effort: Effort | undefined };

/** The turns. Of what a system message sets for its turn, only the turn that is asked for counts. */
function readMessages(all: readonly RequestMessage[], notes: Notes): Read {
  const messages: Placed[] = [];
  let effort: Effort | undefined;
  const lastUser = all.findLastIndex(({ role }) => role === 'user');
  all.forEach((message, index) => {
    const place = ['messages', index];
    if (message.role !== 'system') {
      messages.push({ message: turnOf(message, place, notes), place });
      if (message.role === 'assistant') effort = undefined;
      return;
    }
    effort = message.output_config?.effort ?? effort;
    const content = systemMessage(message, place, notes);
    // The API would no longer show it to the model.
    const cleared = message.clear_at === 'next_user_message' && index < lastUser;
    if (content.length > 0 && !cleared) messages.push({ message: { role: 'system', content }, place });
  });
  return { messages, effort };
}

function turnOf(message: Exclude<RequestMessage, { role: 'system' }>, place: Place, notes: Notes): Message {
  const inside = [...place, 'content'];
  return message.role === 'user'
    ? { role: 'user', content: userBlocks(message.content, inside, notes) }
    : { role: 'assistant', content: assistantBlocks(message.content, inside, notes) };
}

function systemMessage(
  message: Extract<RequestMessage, { role: 'system' }>,
  place: Place,
  notes: Notes,
): TextBlock[] {
  const { content = [], output_config: config } = message;
  if (content.length === 0 && !config)
    throw problem([...place, 'content'], 'messages must have non-empty content');
  return systemOf(content, [...place, 'content'], notes);
}

/** An empty string is no system prompt. */
function systemOf(system: string | readonly RequestText[], place: Place, notes: Notes): TextBlock[] {
  if (typeof system === 'string')
    return system === '' ? [] : [{ type: 'text', text: wordsOf(system, place) }];
  return system.map((block, index) => {
    noteCommon(block, notes);
    return { type: 'text', text: wordsOf(block.text, [...place, index, 'text']) };
  });
}

function settingsOf(request: MessagesRequest, turnEffort: Effort | undefined): Partial<Conversation> {
  const { temperature, top_p: topP, top_k: topK, stop_sequences: stops = [], thinking } = request;
  const effort = turnEffort ?? request.output_config?.effort ?? undefined;
  const schema = schemaOf(request);
  stops.forEach((stop, index) => {
    if (stop.trim() === '')
      throw problem(['stop_sequences', index], 'each stop sequence must contain non-whitespace');
  });
  return {
    maxTokens: request.max_tokens,
    ...(effort === undefined ? {} : { effort }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { topP }),
    ...(topK === undefined ? {} : { topK }),
    ...(stops.length === 0 ? {} : { stopSequences: stops }),
    ...(thinking === undefined ? {} : { thinking: thinkingOf(thinking) }),
    ...(schema === undefined ? {} : { schema }),
  };
}

function thinkingOf(thinking: NonNullable<MessagesRequest['thinking']>): Thinking {
  if (!('display' in thinking)) return thinking as Thinking;
  const { display, ...rest } = thinking;
  return display === null || display === undefined ? rest : { ...rest, display };
}

/** `output_format` is the older name of `output_config.format`. */
function schemaOf({
  output_config: config,
  output_format: older,
}: MessagesRequest): Record<string, unknown> | undefined {
  if (config?.format && older)
    throw problem(['output_format'], 'send it as `output_config.format`, and only there');
  return (config?.format ?? older)?.schema;
}

function requireChoice(choice: MessagesRequest['tool_choice'], tools: readonly { name: string }[]): void {
  if (choice === undefined || choice.type === 'auto' || choice.type === 'none') return;
  if (tools.length === 0) throw problem(['tool_choice'], 'may only be specified while providing tools');
  if (choice.type === 'tool' && !tools.some(({ name }) => name === choice.name)) {
    throw problem(['tool_choice', 'name'], 'not found among the tools that are offered');
  }
}

function requireBudget({ thinking, max_tokens: most }: MessagesRequest): void {
  if (thinking?.type === 'enabled' && thinking.budget_tokens >= most) {
    throw problem(['max_tokens'], '`max_tokens` must be greater than `thinking.budget_tokens`');
  }
}
