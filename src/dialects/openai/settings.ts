/** Parameters of the OpenAI dialect -> settings of a conversation. Pure. */
import type { Conversation, Effort, Thinking } from '../../conversation.ts';
import { markOf } from '../cache-mark.ts';
import { given } from '../given.ts';
import { refuse } from './problem.ts';
import type { ChatRequest } from './request.ts';

/** Throws a `bad_request` that names the place. Adds to `ignored` what has no effect. */
export function readSettings(request: ChatRequest, ignored: Set<string>): Partial<Conversation> {
  return {
    ...readSampling(request, ignored),
    ...readThinking(request, ignored),
    ...readFormat(request),
    ...given({ endMark: markOf(request).cache_control }),
  };
}

function readSampling(request: ChatRequest, ignored: Set<string>): Partial<Conversation> {
  const { temperature, stop } = request;
  if (request.max_tokens !== undefined && request.max_completion_tokens !== undefined) {
    refuse(['max_tokens'], 'cannot be sent together with max_completion_tokens, its newer name');
  }
  const stopSequences = typeof stop === 'string' ? [stop] : (stop ?? []);
  // The model's scale ends at 1.
  if (temperature !== undefined && temperature > 1) ignored.add('temperature');
  return given({
    maxTokens: request.max_completion_tokens ?? request.max_tokens,
    temperature: temperature === undefined ? undefined : Math.min(temperature, 1),
    topP: request.top_p,
    topK: request.top_k === undefined || request.top_k < 1 ? undefined : request.top_k,
    stopSequences: stopSequences.length > 0 ? stopSequences : undefined,
  });
}

function readThinking(request: ChatRequest, ignored: Set<string>): Pick<Conversation, 'effort' | 'thinking'> {
  const { thinking, reasoning } = request;
  const effort = request.reasoning_effort ?? reasoning?.effort ?? undefined;
  if (effort !== (reasoning?.effort ?? effort)) ignored.add('reasoning.effort');
  const asked = thinkingAt(effort);
  return thinking === undefined ? asked : { ...asked, thinking: thinkingOf(thinking, request) };
}

/** Newer models refuse `disabled` thinking, so `none` sends nothing that could be refused. */
export function thinkingAt(
  effort: Effort | 'none' | 'minimal' | undefined,
): Pick<Conversation, 'effort' | 'thinking'> {
  if (effort === undefined) return {};
  if (effort === 'none') return { thinking: { type: 'off' } };
  return { effort: effort === 'minimal' ? 'low' : effort };
}

/** Without a budget the model decides how much it thinks. */
function thinkingOf(thinking: NonNullable<ChatRequest['thinking']>, request: ChatRequest): Thinking {
  if (thinking.type !== 'enabled') return { type: thinking.type };
  const { type, budget_tokens: budget } = thinking;
  if (typeof budget !== 'number') return { type: 'adaptive' };
  const most = request.max_completion_tokens ?? request.max_tokens;
  if (most !== undefined && budget >= most) {
    refuse(['thinking', 'budget_tokens'], 'must be less than max_completion_tokens');
  }
  return { type, budget_tokens: budget };
}

function readFormat({ response_format: format }: ChatRequest): Pick<Conversation, 'schema'> {
  if (format === undefined || format.type === 'text') return {};
  if (format.type === 'json_object') return { schema: { type: 'object', ...format.schema } };
  const { schema, description } = format.json_schema;
  return { schema: { ...given({ description }), ...(schema ?? { type: 'object' }) } };
}
