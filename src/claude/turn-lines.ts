/**
 * What a turn writes to its process: settings, the system prompt, and the line that starts it. Pure.
 *
 * The whole conversation goes into the body of the CLI's request by `CLAUDE_CODE_EXTRA_BODY`, which replaces what the CLI would have
 * put there: the CLI reads and adds nothing. To a prompt in its own user message it would add the e-mail address of the owner's
 * account, the working directory, the platform and the date (2.1.197, 2.1.330 and 2.1.332).
 * docs/adr/007-conversations-in-the-body.md has the reasons and the figures.
 */
import type { Conversation, Message, Tool } from '../conversation.ts';
import { markedParts, markSettings } from './cache-marks.ts';
import { initializeLine, settingsLine, startLine, type FlagSettings } from './protocol.ts';

/**
 * In one write: the CLI reads the lines in order, and applies the settings before the turn begins. `id` names the settings, which the
 * process confirms before it does anything else. Only the first turn of a process sets the system prompt.
 */
export function turnLines(conversation: Conversation, id = 'settings', first = true): string {
  return (
    settingsLine(id, settingsOf(conversation)) +
    (first ? initializeLine('initialize', conversation.system) : '') +
    startLine()
  );
}

/** Takes back every setting of a turn, with the conversation in it. */
export function restLine(id: string): string {
  const env = {
    CLAUDE_CODE_MAX_OUTPUT_TOKENS: '',
    CLAUDE_CODE_DISABLE_THINKING: '',
    ENABLE_PROMPT_CACHING_1H: '',
    FORCE_PROMPT_CACHING_5M: '',
    CLAUDE_CODE_EXTRA_BODY: '',
  };
  return settingsLine(id, { effortLevel: null, env });
}

/** Neighbours of one role are one message. */
function mergeNeighbours(messages: readonly Message[]): Message[] {
  const merged: Message[] = [];
  for (const message of messages) {
    const last = merged.at(-1);
    if (last?.role === message.role) Object.assign(last, { content: [...last.content, ...message.content] });
    else merged.push({ ...message });
  }
  return merged;
}

/** Every setting, every time: the process may have had a turn with others. */
function settingsOf(conversation: Conversation): FlagSettings {
  const { effort, maxTokens } = conversation;
  return {
    effortLevel: effort ?? null,
    env: {
      CLAUDE_CODE_MAX_OUTPUT_TOKENS: maxTokens?.toString() ?? '',
      CLAUDE_CODE_DISABLE_THINKING: keepsThinking(conversation) ? '' : '1',
      ...markSettings(conversation),
      CLAUDE_CODE_EXTRA_BODY: JSON.stringify(bodyOf(conversation)),
    },
  };
}

/** The API's least thinking budget; where a budget is a number, the CLI would go below it. */
const leastThinkingTokens = 1024;

/**
 * Whether the CLI's thinking stays on. The API refuses it with sampling parameters and a forced tool, and it would use up a limit
 * that was meant for the answer. Off means that the request has no `thinking` at all, as any SDK sends it without the parameter:
 * newer models refuse `{type: "disabled"}`. A caller's own `thinking` is passed on for the API to judge.
 */
function keepsThinking(conversation: Conversation): boolean {
  const { thinking, temperature, topP, topK, toolChoice, maxTokens, effort } = conversation;
  if (thinking !== undefined) return thinking.type !== 'disabled' && thinking.type !== 'off';
  if (temperature !== undefined || topP !== undefined || topK !== undefined) return false;
  if (toolChoice?.type === 'any' || toolChoice?.type === 'tool') return false;
  if (maxTokens === undefined) return true;
  return effort !== undefined && maxTokens > leastThinkingTokens;
}

/** A closed set. A caller never gives it as an object: that could replace anything. Undefined fields are not sent. */
function bodyOf(conversation: Conversation): Record<string, unknown> {
  const { temperature, topP, topK, stopSequences = [], thinking, toolChoice } = conversation;
  const merged = mergeNeighbours(conversation.messages);
  const { messages, tools } = markedParts({ ...conversation, messages: merged });
  return {
    messages,
    temperature,
    top_p: topP,
    top_k: topK,
    stop_sequences: stopSequences.length === 0 ? undefined : stopSequences,
    thinking: thinking?.type === 'off' ? undefined : thinking,
    tools: tools.length === 0 ? undefined : tools.map(toolField),
    tool_choice: tools.length === 0 ? undefined : toolChoice,
  };
}

/** By name: other fields, such as the `type` of a tool that the API runs, stay here. */
function toolField({ name, description, input_schema, strict, input_examples, cache_control }: Tool): object {
  return { name, input_schema, description, strict, input_examples, cache_control };
}
