/** A request for a response -> a conversation. Pure. */
import type { Conversation } from '../../../conversation.ts';
import type { Recall } from '../../dialect.ts';
import { given } from '../../given.ts';
import { parseBody, requireSendable } from '../../problem.ts';
import { unreadNames } from '../../unread.ts';
import { problem } from '../problem.ts';
import { readSampling, schemaOf } from '../settings.ts';
import { noteParameters } from './ignored.ts';
import { readInput } from './items.ts';
import { responsesRequest, type ResponsesRequest } from './request.ts';
import { readTools, type CallerTools } from './tools.ts';

export type ReadRequest = {
  conversation: Conversation;
  /** The parameters, for the answer that repeats them. */
  request: ResponsesRequest;
  callers: CallerTools;
  /** The answer is a summary of the conversation. */
  compact: boolean;
  ignored: Set<string>;
};

/** Throws a `bad_request` that names the place. */
export function readResponsesRequest(body: unknown, recall: Recall = () => undefined): ReadRequest {
  requireSendable(body, [], problem);
  const read = parseBody(responsesRequest, body, problem);
  const { input, ...parameters } = read;
  const request: ResponsesRequest = given(parameters);
  const ignored = unreadNames(body, read);
  noteParameters(request, ignored);
  const { system, messages, tools: additional, compact } = readInput(input, ignored, recall);
  const { asked, callers } = readTools(request, additional, ignored);
  const effort = request.reasoning?.effort ?? undefined;
  const instructions = request.instructions ?? '';
  const conversation: Conversation = {
    system: instructions.trim() === '' ? system : [instructions, ...system],
    messages,
    ...readSampling(request, { maxTokens: request.max_output_tokens, effort }, ignored),
    ...asked,
    ...(compact ? withoutCalls(asked) : schemaOf(request.text?.format)),
  };
  return { conversation, request, callers, compact, ignored };
}

/** The tools stay, so that the conversation is the same as before for the prompt cache. */
function withoutCalls({ tools }: Pick<Conversation, 'tools'>): Pick<Conversation, 'toolChoice'> {
  return tools === undefined ? {} : { toolChoice: { type: 'none' } };
}
