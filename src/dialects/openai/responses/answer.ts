/** The response object, with all fields that Open Responses requires. Pure. */
import type { Answer } from '../../../conversation.ts';
import type { RelayError } from '../../../errors.ts';
import type { AnswerFacts, OwnJob } from '../../dialect.ts';
import { fallbackField } from '../../given.ts';
import { promptTokens } from '../answer.ts';
import { codeOf } from '../errors.ts';
import { compactionItem } from './compaction.ts';
import { incompleteReason, outputItems, type Item, type ItemForm } from './output.ts';
import { ownTypes, type AnyTool, type ResponsesRequest, type TextFormat } from './request.ts';
import type { CallerTools } from './tools.ts';

/** What the answer needs to know of its request. */
export type Asked = {
  request: ResponsesRequest;
  callers: CallerTools;
  /** The answer is a summary of the conversation. */
  compact: boolean;
};

export type ResponseState = {
  status: 'queued' | 'in_progress' | 'completed' | 'incomplete' | 'failed' | 'cancelled';
  /** The model that answered; absent: not known yet. */
  model?: string | undefined;
  output?: readonly object[];
  usage?: object;
  incompleteReason?: string;
  error?: RelayError;
};

export function wholeResponse(asked: Asked, answer: Answer, facts: AnswerFacts): object {
  return responseObject(asked, facts, endState(answer, itemsOf(asked, answer, itemForm(asked, facts))));
}

function itemsOf({ compact }: Asked, answer: Answer, form: ItemForm): Item[] {
  return compact ? [compactionItem(answer, form)] : outputItems(answer, form);
}

/** The items that a later request can refer to (`item_reference`), unless this one says that nothing is stored. */
export function keptItems(asked: Asked, answer: Answer, facts: AnswerFacts) {
  const form = itemForm(asked, facts);
  return { group: form.suffix, items: itemsOf(asked, answer, form) };
}

/** A response that is asked for with `background`. */
export function responseJob(asked: Asked): OwnJob {
  return {
    id: ({ requestId }) => responseId(requestId),
    body: ({ status, ...more }, facts) =>
      responseObject(asked, facts, { status: status === 'running' ? 'in_progress' : status, ...more }),
  };
}

/** How a response ended that the model answered. */
export function endState(answer: Answer, output: readonly object[]): ResponseState {
  const reason = incompleteReason(answer.stopReason);
  return {
    status: reason === undefined ? 'completed' : 'incomplete',
    model: answer.resolvedModel,
    output,
    usage: usageOf(answer),
    ...(reason === undefined ? {} : { incompleteReason: reason }),
  };
}

export function itemForm({ request, callers }: Asked, { requestId }: AnswerFacts): ItemForm {
  const { summary, generate_summary: older } = request.reasoning ?? {};
  return {
    suffix: suffixOf(requestId),
    callers,
    showThinking: (summary ?? older ?? undefined) !== undefined,
  };
}

export function responseObject({ request }: Asked, facts: AnswerFacts, state: ResponseState): object {
  const { reasoning, text } = request;
  return {
    id: responseId(facts.requestId),
    object: 'response',
    created_at: Math.floor(facts.at / 1000),
    status: state.status,
    background: request.background === true && request.stream !== true,
    completed_at: state.status === 'completed' ? Math.floor((facts.at + facts.durationMs) / 1000) : null,
    error: state.error === undefined ? null : { code: codeOf(state.error), message: state.error.message },
    incomplete_details: state.incompleteReason === undefined ? null : { reason: state.incompleteReason },
    instructions: request.instructions ?? null,
    max_output_tokens: request.max_output_tokens ?? null,
    max_tool_calls: null,
    model: state.model ?? facts.model,
    ...fallbackField(facts),
    output: state.output ?? [],
    parallel_tool_calls: request.parallel_tool_calls ?? true,
    previous_response_id: null,
    prompt_cache_key: request.prompt_cache_key ?? null,
    reasoning: {
      effort: writtenEffort(reasoning?.effort),
      summary: reasoning?.summary ?? reasoning?.generate_summary ?? null,
    },
    safety_identifier: request.safety_identifier ?? null,
    service_tier: 'default',
    store: false,
    temperature: Math.min(request.temperature ?? 1, 1),
    text: {
      format: writtenFormat(text?.format),
      ...(text?.verbosity === undefined || text.verbosity === null ? {} : { verbosity: text.verbosity }),
    },
    tool_choice: writtenChoice(request.tool_choice),
    tools: (request.tools ?? []).flatMap(writtenTool),
    top_logprobs: 0,
    top_p: request.top_p ?? 1,
    frequency_penalty: 0,
    presence_penalty: 0,
    truncation: 'disabled',
    usage: state.usage ?? null,
    metadata: request.metadata ?? {},
  };
}

/** The id contains the request's id, to find the request in the relay's log. */
function responseId(requestId: string): string {
  return `resp_${suffixOf(requestId)}`;
}

function suffixOf(requestId: string): string {
  return requestId.replace(/^req_/, '');
}

function usageOf({ usage, rawUsage }: Answer): object {
  const input = promptTokens(usage);
  const { thinking_tokens: thinking } = (rawUsage['output_tokens_details'] ?? {}) as {
    thinking_tokens?: unknown;
  };
  return {
    input_tokens: input,
    input_tokens_details: {
      cached_tokens: usage.cache_read_input_tokens,
      cache_write_tokens: usage.cache_creation_input_tokens,
    },
    output_tokens: usage.output_tokens,
    output_tokens_details: { reasoning_tokens: Number.isInteger(thinking) ? thinking : 0 },
    total_tokens: input + usage.output_tokens,
  };
}

function writtenFormat(format: TextFormat | null | undefined): object {
  if (format === undefined || format === null) return { type: 'text' };
  if (format.type !== 'json_schema') return { type: format.type };
  const { type, name, description, schema, strict } = format;
  return {
    type,
    name: name ?? 'response',
    description: description ?? null,
    schema: schema ?? null,
    strict: strict ?? false,
  };
}

/** Open Responses has fewer efforts than OpenAI's API. */
function writtenEffort(effort: string | null | undefined): string | null {
  if (effort === 'minimal') return 'low';
  return effort === 'max' ? 'xhigh' : (effort ?? null);
}

/** The model could not choose a tool that the API would run. */
function writtenChoice(choice: ResponsesRequest['tool_choice']): unknown {
  if (typeof choice !== 'object' || choice.type !== 'allowed_tools') return choice ?? 'auto';
  const allowed = choice['tools'] as AnyTool[];
  return {
    ...choice,
    mode: choice['mode'] ?? 'auto',
    tools: allowed.filter(({ type }) => type === 'function' || type === 'custom'),
  };
}

/** Tools that the API would run were not available to the model. */
function writtenTool(tool: AnyTool): object[] {
  if (tool.type !== 'function') return ownTypes.has(tool.type) ? [tool] : [];
  const { type, name, description, parameters, strict } = tool;
  return [
    {
      type,
      name,
      description: description ?? null,
      parameters: parameters ?? null,
      strict: strict ?? false,
    },
  ];
}
