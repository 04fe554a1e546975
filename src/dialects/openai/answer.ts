/** The model's answer as a `chat.completion`, and what the stream has in common with it. Pure. */
import type { Answer, TokenUsage } from '../../conversation.ts';
import { writtenAs } from '../../exact-json.ts';
import type { AnswerFacts } from '../dialect.ts';
import { fallbackField } from '../given.ts';

/** `functions`: the caller uses the old function calling, in which a message holds one call. */
export type ChatForm = { functions: boolean };

/** Without thinking and citations of documents: the API has no place for them. */
export function chatCompletion(answer: Answer, facts: AnswerFacts, form: ChatForm): object {
  const calls = toolCalls(answer);
  const called = form.functions ? { function_call: calls[0]?.function } : { tool_calls: calls };
  return {
    ...idAndTime(facts),
    ...fallbackField(facts),
    object: 'chat.completion',
    // The model that answered.
    model: answer.resolvedModel,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: contentOf(answer, calls.length > 0),
          refusal: refusalOf(answer),
          annotations: [],
          ...(calls.length > 0 ? called : {}),
        },
        logprobs: null,
        finish_reason: finishReason(answer.stopReason, form),
      },
    ],
    usage: chatUsage(answer.usage),
  };
}

/** The id contains the request's id, to find the request in the relay's log. */
export function idAndTime({ requestId, at }: AnswerFacts): { id: string; created: number } {
  return { id: `chatcmpl-${requestId.replace(/^req_/, '')}`, created: Math.floor(at / 1000) };
}

/** Null, as in that API, for an answer of tool calls or a refusal without text. */
function contentOf(answer: Answer, called: boolean): string | null {
  return answer.text === '' && (called || answer.stopReason === 'refusal') ? null : answer.text;
}

export function refusalOf({ stopReason, stopDetails }: Answer): string | null {
  const { explanation } = (stopDetails ?? {}) as { explanation?: unknown };
  return stopReason === 'refusal' && typeof explanation === 'string' ? explanation : null;
}

function toolCalls({ content }: Answer) {
  return content
    .filter((block) => block.type === 'tool_use')
    .map((block) => ({
      id: String(block['id']),
      type: 'function',
      function: { name: String(block['name']), arguments: argumentsOf(block['input']) },
    }));
}

/** The model's own text, even if it is cut off: a whole answer and a stream hold the same. */
export function argumentsOf(input: unknown): string {
  return writtenAs(input ?? {});
}

const finishReasons: ReadonlyMap<string, string> = new Map([
  ['max_tokens', 'length'],
  ['model_context_window_exceeded', 'length'],
  // The answer is not complete, which is what `length` means to a client.
  ['pause_turn', 'length'],
  ['tool_use', 'tool_calls'],
  ['refusal', 'content_filter'],
]);

export function finishReason(stopReason: string, form: ChatForm): string {
  if (stopReason === 'tool_use' && form.functions) return 'function_call';
  return finishReasons.get(stopReason) ?? 'stop';
}

/** The APIs other than Anthropic's include cache reads and writes in the prompt's tokens. */
export function promptTokens(usage: TokenUsage): number {
  return usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens;
}

export function chatUsage(usage: TokenUsage): object {
  const prompt = promptTokens(usage);
  return {
    prompt_tokens: prompt,
    completion_tokens: usage.output_tokens,
    total_tokens: prompt + usage.output_tokens,
    prompt_tokens_details: {
      cached_tokens: usage.cache_read_input_tokens,
      cache_write_tokens: usage.cache_creation_input_tokens,
    },
  };
}
