/**
 * What reached the model of a conversation: all of it, and nothing else but a short list of what the CLI adds. Pure.
 *
 * Findings name a place and a length, never a text: it could be the owner's.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Conversation } from '../../conversation.ts';
import { blocksOf, textOf, type RequestBlock, type SeenRequest } from './stand-in.ts';

/** All that the CLI adds to `system` (2.1.197 to 2.1.332), each at most once. It adds nothing to `messages`. */
const addedToSystem: readonly RegExp[] = [
  // For the API's accounting; names and short values, such as the CLI's version.
  /^x-anthropic-billing-header:(?: \w{1,40}=[\w.-]{0,64};){1,12}$/,
  /^You are a Claude agent, built on Anthropic's Claude Agent SDK\.$/,
];

export type Sent = {
  /** What is missing or different of what was asked. */
  lost: readonly string[];
  /** What else is there that is not on the list. */
  added: readonly string[];
  /** What is there and on the list, as texts of `system`. */
  listed: readonly string[];
};

/** `system` is the process's system prompt: that of its first conversation. */
export function compareSent(asked: Conversation, system: readonly string[], request: SeenRequest): Sent {
  const body = withoutCacheMarks(request.body);
  if (request.json === undefined || body === undefined) {
    return { lost: ['a request of unknown shape'], added: [], listed: [] };
  }
  const inSystem = compareSystem(system, blocksOf(request.json.system));
  return {
    lost: [...messagesLost(asked, body), ...fieldsLost(asked, body), ...inSystem.lost],
    added: [...messagesAdded(asked, request), ...inSystem.added],
    listed: inSystem.listed,
  };
}

/** The marks of the prompt cache are the relay's and the CLI's own. */
function withoutCacheMarks(body: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(body, (key, value: unknown) => (key === 'cache_control' ? undefined : value)) as Record<
      string,
      unknown
    >;
  } catch {
    return undefined;
  }
}

function messagesLost({ messages }: Conversation, body: Record<string, unknown>): string[] {
  if (isDeepStrictEqual(body['messages'], messages)) return [];
  const sent = Array.isArray(body['messages']) ? (body['messages'] as { content: unknown }[]) : [];
  const blocks = sent.flatMap(({ content }) => (Array.isArray(content) ? (content as unknown[]) : [content]));
  const isThere = (block: unknown): boolean => blocks.some((one) => isDeepStrictEqual(one, block));
  return messages.every(({ content }) => content.every(isThere))
    ? []
    : ['messages did not reach the model as asked'];
}

function messagesAdded({ messages }: Conversation, request: SeenRequest): string[] {
  const sent = request.json?.messages ?? [];
  const own = new Set(messages.flatMap(({ content }) => content.map((block) => JSON.stringify(block))));
  const found = sent.flatMap(({ role, content }) =>
    blocksOf(content)
      .map((block) =>
        JSON.stringify(block, (key, value: unknown) => (key === 'cache_control' ? undefined : value)),
      )
      .filter((block) => !own.has(block))
      .map((block) => `${block.length} characters in a message of the ${role}`),
  );
  const fields = sent.flatMap((message) =>
    Object.keys(message)
      .filter((name) => name !== 'role' && name !== 'content')
      .map((name) => `the field ${name} in a message`),
  );
  if (sent.length > messages.length)
    found.push(`${sent.length} messages where ${messages.length} were asked`);
  return [...found, ...fields];
}

/** The fields beside the messages that a conversation can set. */
function fieldsLost(asked: Conversation, body: Record<string, unknown>): string[] {
  const expected: Record<string, unknown> = {
    ...(asked.tools === undefined ? {} : { tools: asked.tools }),
    ...(asked.toolChoice === undefined ? {} : { tool_choice: asked.toolChoice }),
    ...(asked.maxTokens === undefined ? {} : { max_tokens: asked.maxTokens }),
    ...(asked.stopSequences === undefined ? {} : { stop_sequences: asked.stopSequences }),
    // The API refuses thinking beside a temperature.
    ...(asked.temperature === undefined ? {} : { temperature: asked.temperature, thinking: undefined }),
  };
  return Object.keys(expected)
    .filter((field) => !isDeepStrictEqual(body[field], expected[field]))
    .map((field) => `${field} did not reach the model as asked`);
}

function compareSystem(system: readonly string[], blocks: readonly RequestBlock[]): Sent {
  // The CLI joins the blocks of a system prompt with a blank line.
  const own = system.join('\n\n');
  const left = [...addedToSystem];
  const added: string[] = [];
  const listed: string[] = [];
  let seen = 0;
  for (const block of blocks) {
    const text = textOf(block);
    const rule = left.findIndex((pattern) => text !== undefined && pattern.test(text));
    if (text !== undefined && text === own) seen += 1;
    else if (text !== undefined && rule !== -1) {
      listed.push(text);
      left.splice(rule, 1);
    } else added.push(`${JSON.stringify(block).length} characters in the system prompt`);
  }
  const expected = own === '' ? 0 : 1;
  if (seen > expected) added.push('the system prompt a second time');
  return {
    lost: seen < expected ? ['the system prompt did not reach the model as asked'] : [],
    added,
    listed,
  };
}
