/**
 * What reached the model of a conversation: all of it, and nothing else but a short list of what the CLI adds. Pure.
 *
 * Findings name a place and a length, never a text: it could be the owner's.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Conversation } from '../../conversation.ts';
import { blocksOf, textOf, type SeenRequest } from './stand-in.ts';

/** All that the CLI adds to `system` (2.1.197 to 2.1.332), each at most once. It adds nothing to `messages`. */
const addedToSystem: readonly RegExp[] = [
  // For the API's accounting; names and short values, such as the CLI's version.
  /^x-anthropic-billing-header:(?: \w{1,40}=[\w.-]{0,64};){1,12}$/,
  /^You are a Claude agent, built on Anthropic's Claude Agent SDK\.$/,
];

export type Sent = {
  /** What is missing or differs from what was asked. */
  lost: readonly string[];
  /** What else is there and not on the list. */
  added: readonly string[];
  /** What is there and on the list, as texts of `system`. */
  listed: readonly string[];
};

type MessagesRequest = NonNullable<SeenRequest['json']>;

/** `system` is the process's system prompt: that of its first conversation. */
export function compareSent(asked: Conversation, system: readonly string[], { json }: SeenRequest): Sent {
  if (json === undefined) return { lost: ['a request of unknown shape'], added: [], listed: [] };
  const request = withoutCacheMarks(json);
  const { lost, added, listed } = compareSystem(system, request);
  const messages = compareMessages(asked, request);
  return {
    lost: [...messages.lost, ...lostFields(asked, request), ...lost],
    added: [...messages.added, ...added],
    listed,
  };
}

/** The relay and the CLI mark blocks for the prompt cache. */
function withoutCacheMarks(json: MessagesRequest): MessagesRequest {
  return JSON.parse(JSON.stringify(json), (key, value: unknown) =>
    key === 'cache_control' ? undefined : value,
  ) as MessagesRequest;
}

function compareMessages(
  { messages }: Conversation,
  { messages: sent }: MessagesRequest,
): Pick<Sent, 'lost' | 'added'> {
  if (isDeepStrictEqual(sent, messages)) return { lost: [], added: [] };
  const own = messages.flatMap(({ content }) => content.map((block) => JSON.stringify(block)));
  const added = sent.flatMap(({ role, content, ...fields }) => [
    ...blocksOf(content)
      .map((block) => JSON.stringify(block))
      .filter((block) => !own.includes(block))
      .map((block) => `${block.length} characters in a message of the ${role}`),
    ...Object.keys(fields).map((name) => `the field ${name} in a message`),
  ]);
  if (sent.length > messages.length)
    added.push(`${sent.length} messages where ${messages.length} were asked`);
  const there = new Set(
    sent.flatMap(({ content }) => blocksOf(content).map((block) => JSON.stringify(block))),
  );
  const onlyAdded = added.length > 0 && own.every((block) => there.has(block));
  return { lost: onlyAdded ? [] : ['messages did not reach the model as asked'], added };
}

/** The other fields of the body that a conversation can set. */
function lostFields(asked: Conversation, request: MessagesRequest): string[] {
  const expected: Record<string, unknown> = {
    ...(asked.tools === undefined ? {} : { tools: asked.tools }),
    ...(asked.toolChoice === undefined ? {} : { tool_choice: asked.toolChoice }),
    ...(asked.maxTokens === undefined ? {} : { max_tokens: asked.maxTokens }),
    ...(asked.stopSequences === undefined ? {} : { stop_sequences: asked.stopSequences }),
    // The API refuses thinking together with a temperature.
    ...(asked.temperature === undefined ? {} : { temperature: asked.temperature, thinking: undefined }),
  };
  return Object.keys(expected)
    .filter((field) => !isDeepStrictEqual(request[field], expected[field]))
    .map((field) => `${field} did not reach the model as asked`);
}

function compareSystem(system: readonly string[], request: MessagesRequest): Sent {
  // The CLI joins the blocks of a system prompt with a blank line.
  const own = system.join('\n\n');
  const expected = own === '' ? 0 : 1;
  const unused = [...addedToSystem];
  const added: string[] = [];
  const listed: string[] = [];
  let found = 0;
  for (const block of blocksOf(request.system)) {
    const text = textOf(block);
    const rule = unused.findIndex((pattern) => text !== undefined && pattern.test(text));
    if (text !== undefined && text === own) found += 1;
    else if (text !== undefined && rule !== -1) {
      listed.push(text);
      unused.splice(rule, 1);
    } else added.push(`${JSON.stringify(block).length} characters in the system prompt`);
  }
  if (found > expected) added.push('the system prompt a second time');
  return {
    lost: found < expected ? ['the system prompt did not reach the model as asked'] : [],
    added,
    listed,
  };
}
