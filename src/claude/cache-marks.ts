/**
 * The breakpoints of the prompt cache: the caller's where they stood, or one at the end of the conversation. Pure.
 *
 * The API reads a request in the order tools, system, messages. It takes four breakpoints, and none of an hour after one of five minutes.
 * The system prompt is in the CLI's hands: it marks the end of its first lines and of the prompt (2.1.197 to 2.1.332).
 */
import type { CacheMark, Conversation, Message, Tool } from '../conversation.ts';

const mostMarks = 4;

type Block = Message['content'][number];
type Place = Tool | Block;

/** The messages and tools, with at most as many marks as the CLI leaves room for. */
export function markedParts(conversation: Conversation): {
  messages: readonly Message[];
  tools: readonly Tool[];
} {
  const { tools = [], system } = conversation;
  const messages = withEndMark(conversation);
  const marked = placesIn(tools, messages).filter((place) => markOf(place) !== undefined);
  const room = mostMarks - (system.length === 0 ? 1 : 2);
  // The later a mark stands, the more it covers. The CLI's own cover the tools.
  const kept = new Set(marked.filter((place) => !isBlank(place)).slice(-room));
  if (kept.size === marked.length) return { messages, tools };
  const change = <Each extends Place>(place: Each): Each => (kept.has(place) ? place : unmarked(place));
  return { tools: tools.map(change), messages: messages.map((message) => changeBlocks(message, change)) };
}

/** Settings of the CLI that decide for how long its own marks hold, so that the API takes the order of all. */
export function markSettings(conversation: Conversation): Record<string, string> {
  const { tools = [], messages, systemMark, endMark } = conversation;
  const marks = [...placesIn(tools, messages).map(markOf), systemMark, endMark];
  return {
    ENABLE_PROMPT_CACHING_1H: marks.some((mark) => mark?.ttl === '1h') ? '1' : '',
    // It prevails. Without it the CLI marks for an hour with a subscription, which would come after the tools' five minutes.
    FORCE_PROMPT_CACHING_5M: tools.map(markOf).some((mark) => mark && mark.ttl !== '1h') ? '1' : '',
  };
}

/** Also those inside a tool's result. */
function placesIn(tools: readonly Tool[], messages: readonly Message[]): Place[] {
  const blocks = messages.flatMap(({ content }) =>
    content.flatMap((block): Block[] =>
      block.type === 'tool_result' && Array.isArray(block.content) ? [...block.content, block] : [block],
    ),
  );
  return [...tools, ...blocks];
}

function withEndMark({ messages, tools = [], systemMark, endMark }: Conversation): readonly Message[] {
  const hasOwn = systemMark !== undefined || placesIn(tools, messages).some((place) => markOf(place));
  if (hasOwn && endMark === undefined) return messages;
  const last = messages.at(-1);
  const block = last?.content.at(-1);
  if (last === undefined || last.role === 'assistant' || block === undefined) return messages;
  if (isBlank(block) || markOf(block) !== undefined) return messages;
  const marked = { ...block, cache_control: endMark ?? { type: 'ephemeral' } };
  return [...messages.slice(0, -1), { ...last, content: [...last.content.slice(0, -1), marked] } as Message];
}

function markOf(place: Place): CacheMark | undefined {
  return 'cache_control' in place ? place.cache_control : undefined;
}

/** The API takes no mark on it. */
function isBlank(place: Place): boolean {
  return 'type' in place && place.type === 'text' && place.text.trim() === '';
}

function unmarked<Each extends Place>(place: Each): Each {
  return Object.fromEntries(Object.entries(place).filter(([name]) => name !== 'cache_control')) as Each;
}

function changeBlocks(message: Message, change: <Each extends Place>(place: Each) => Each): Message {
  const content = message.content.map((block: Block) => {
    const changed = change(block);
    if (changed.type !== 'tool_result' || !Array.isArray(changed.content)) return changed;
    return { ...changed, content: changed.content.map(change) };
  });
  return { ...message, content } as Message;
}
