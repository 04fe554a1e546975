/**
 * What a turn writes to its process: settings, the system prompt, and the line that starts it. Pure.
 *
 * Every conversation goes into the body of the CLI's request as it is, by `CLAUDE_CODE_EXTRA_BODY`, which replaces what the CLI would
 * have put there: the CLI looks at no word of it, and adds none to it. A prompt as the CLI's own user message gets company instead:
 * the e-mail address of the owner's account, the working directory, the platform and the date (2.1.197, 2.1.330 and 2.1.332).
 * docs/adr/007-conversations-in-the-body.md has the reasons and the figures.
 */
import type { Conversation, Message, Tool } from '../conversation.ts';
import { initializeLine, settingsLine, startLine, type FlagSettings } from './protocol.ts';

/** In one write: the CLI reads the lines in order, and the settings count before the turn begins. */
export function turnLines(conversation: Conversation): string {
  return (
    settingsLine('settings', settingsOf(conversation)) +
    initializeLine('initialize', conversation.system) +
    startLine()
  );
}

/** Neighbours of one role are one message. */
function mergeNeighbours(messages: readonly Message[]): Message[] {
  const merged: Message[] = [];
  for (const message of messages) {
    const last = merged.at(-1);
    if (last === undefined || last.role !== message.role) merged.push({ ...message });
    else if (last.role === 'user' && message.role === 'user')
      last.content = [...last.content, ...message.content];
    else if (last.role === 'assistant' && message.role === 'assistant')
      last.content = [...last.content, ...message.content];
    else if (last.role === 'system' && message.role === 'system')
      last.content = [...last.content, ...message.content];
  }
  return merged;
}

function settingsOf(conversation: Conversation): FlagSettings {
  const { effort, maxTokens } = conversation;
  const body = {
    messages: withCacheMark(mergeNeighbours(conversation.messages)),
    ...bodyFields(conversation),
  };
  return {
    ...(effort === undefined ? {} : { effortLevel: effort }),
    env: {
      ...(maxTokens === undefined ? {} : { CLAUDE_CODE_MAX_OUTPUT_TOKENS: String(maxTokens) }),
      ...(thinksByItself(conversation) ? {} : { CLAUDE_CODE_DISABLE_THINKING: '1' }),
      CLAUDE_CODE_EXTRA_BODY: JSON.stringify(body),
    },
  };
}

/** The API's least thinking budget; where a budget is a number, the CLI would go below it. */
const leastThinkingTokens = 1024;

/**
 * Whether the CLI's own thinking stays on. The API refuses it beside sampling parameters and a forced tool, and it would use up a
 * limit that was meant for the answer. Off means that the request has no `thinking` at all, as one that any SDK sends without the
 * parameter: newer models refuse `{type: "disabled"}`. A caller's own `thinking` is passed on, and the API is the judge of it.
 */
function thinksByItself(conversation: Conversation): boolean {
  const { thinking, temperature, topP, topK, toolChoice, maxTokens, effort } = conversation;
  if (thinking !== undefined) return thinking.type !== 'disabled';
  if (temperature !== undefined || topP !== undefined || topK !== undefined) return false;
  if (toolChoice?.type === 'any' || toolChoice?.type === 'tool') return false;
  if (maxTokens === undefined) return true;
  return effort !== undefined && maxTokens > leastThinkingTokens;
}

/** The closed set of what else may stand in the body. A caller never gives it as an object: that could replace anything. */
function bodyFields(conversation: Conversation): Record<string, unknown> {
  const { temperature, topP, topK, stopSequences = [], thinking, tools = [], toolChoice } = conversation;
  return {
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(topK === undefined ? {} : { top_k: topK }),
    ...(stopSequences.length === 0 ? {} : { stop_sequences: stopSequences }),
    ...(thinking === undefined ? {} : { thinking }),
    ...(tools.length === 0 ? {} : { tools: tools.map(toolField) }),
    ...(tools.length === 0 || toolChoice === undefined ? {} : { tool_choice: toolChoice }),
  };
}

/** By name: whatever else an object holds, such as the `type` of a tool that the API runs by itself, stays here. */
function toolField({ name, description, input_schema, strict, input_examples }: Tool): Tool {
  return {
    name,
    input_schema,
    ...(description === undefined ? {} : { description }),
    ...(strict === undefined ? {} : { strict }),
    ...(input_examples === undefined ? {} : { input_examples }),
  };
}

/** The end of the conversation marked for the prompt cache, as the CLI marks the end of its own messages. */
function withCacheMark(messages: readonly Message[]): readonly object[] {
  const last = messages.at(-1);
  const block = last?.content.at(-1);
  if (
    last === undefined ||
    last.role === 'assistant' ||
    block === undefined ||
    (block.type === 'text' && block.text.trim() === '')
  ) {
    return messages;
  }
  const marked = { ...block, cache_control: { type: 'ephemeral' } };
  return [...messages.slice(0, -1), { ...last, content: [...last.content.slice(0, -1), marked] }];
}
