/** Parameters of the OpenAI dialect -> settings of a conversation. Pure. */
import type { z } from 'zod';
import type { Conversation, Thinking } from '../../conversation.ts';
import { markOf } from '../cache-mark.ts';
import { given, type Given } from '../given.ts';
import { refuse } from './problem.ts';
import type { ChatRequest, effortLevel, samplingParameters } from './request.ts';

/** Throws a `bad_request` that names the place. Adds to `ignored` what has no effect. */
export function readSettings(request: ChatRequest, ignored: Set<string>): Partial<Conversation> {
  const { reasoning, response_format: format } = request;
  if (request.max_tokens !== undefined && request.max_completion_tokens !== undefined) {
    refuse(['max_tokens'], 'cannot be sent together with max_completion_tokens, its newer name');
  }
  const maxTokens = request.max_completion_tokens ?? request.max_tokens;
  const effort = request.reasoning_effort ?? reasoning?.effort ?? undefined;
  if (effort !== (reasoning?.effort ?? effort)) ignored.add('reasoning.effort');
  return {
    ...readSampling(request, { maxTokens, effort }, ignored),
    ...schemaOf(format?.type === 'json_schema' ? { ...format.json_schema, ...format } : format),
    ...given({ endMark: markOf(request).cache_control }),
  };
}

type Sampling = Given<z.infer<z.ZodObject<typeof samplingParameters>>>;

/** The parameters that chat completions and responses share. */
export function readSampling(
  { temperature, top_p: topP, top_k: topK = 0, stop, thinking }: Sampling,
  { maxTokens, effort }: { maxTokens: number | undefined; effort: z.infer<typeof effortLevel> | undefined },
  ignored: Set<string>,
): Partial<Conversation> {
  const stopSequences = typeof stop === 'string' ? [stop] : (stop ?? []);
  // The model's scale ends at 1.
  if (temperature !== undefined && temperature > 1) ignored.add('temperature');
  return given({
    maxTokens,
    temperature: temperature === undefined ? undefined : Math.min(temperature, 1),
    topP,
    topK: topK < 1 ? undefined : topK,
    stopSequences: stopSequences.length > 0 ? stopSequences : undefined,
    effort: effort === 'none' ? undefined : effort === 'minimal' ? 'low' : effort,
    thinking:
      thinking === undefined ? (effort === 'none' ? off : undefined) : thinkingOf(thinking, maxTokens),
  });
}

/** Newer models refuse `disabled`. */
const off: Thinking = { type: 'off' };

/** Without a budget the model decides how much it thinks. */
function thinkingOf(thinking: NonNullable<Sampling['thinking']>, maxTokens: number | undefined): Thinking {
  if (thinking.type !== 'enabled') return { type: thinking.type };
  const { type, budget_tokens: budget } = thinking;
  if (typeof budget !== 'number') return { type: 'adaptive' };
  if (maxTokens !== undefined && budget >= maxTokens) {
    refuse(['thinking', 'budget_tokens'], 'must be less than the most tokens that the answer may have');
  }
  return { type, budget_tokens: budget };
}

type Format = {
  type: 'text' | 'json_object' | 'json_schema';
  schema?: Record<string, unknown> | null | undefined;
  description?: string | null | undefined;
};

/** The schema of the answer, if it must have one. */
export function schemaOf(format: Format | null | undefined): Pick<Conversation, 'schema'> {
  if (format === undefined || format === null || format.type === 'text') return {};
  const { type, schema, description } = format;
  if (type === 'json_object') return { schema: { type: 'object', ...schema } };
  return { schema: { ...given({ description }), ...(schema ?? { type: 'object' }) } };
}
