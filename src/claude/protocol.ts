/**
 * The CLI's stream-json protocol, as far as the relay uses it: one JSON object a line, each way.
 *
 * Pure. The reference for the shapes is the type declarations (`sdk.d.ts`) of `@anthropic-ai/claude-agent-sdk`;
 * what is read here was seen on 2.1.197 and 2.1.330.
 */
import { z } from 'zod';
import type { Refusal } from './failure/causes.ts';
import type { Effort, ModelEvent } from '../conversation.ts';

/**
 * Sets the system prompt; sent once in a process's life (a second one is acknowledged but ignored). As one block, as the CLI itself
 * joins them: it would take a block `__SYSTEM_PROMPT_DYNAMIC_BOUNDARY__` for a sign, drop it, and cache the text before it for everybody.
 */
export function initializeLine(requestId: string, system: readonly string[]): string {
  // With no block at all the CLI would use its own coding prompt.
  return controlLine(requestId, { subtype: 'initialize', systemPrompt: [system.join('\n\n')] });
}

/** Asks for the plan's windows; costs no turn. Without the scan of the host's transcripts, where the build knows that option. */
export function usageRequestLine(requestId: string): string {
  return controlLine(requestId, { subtype: 'get_usage', skip_behaviors: true });
}

/** Settings that a process takes while it runs, with no trace in the conversation. Those that are not named stay as they are. */
export type FlagSettings = {
  /** Null: the model's own. */
  effortLevel?: Effort | null;
  /** Variables of the process's environment; empty: not set. */
  env?: Readonly<Record<string, string>>;
};

/** Sets them for the turns to come (2.1.197, 2.1.330, 2.1.332). */
export function settingsLine(requestId: string, settings: FlagSettings): string {
  return controlLine(requestId, { subtype: 'apply_flag_settings', settings });
}

/** Asks the model outside the conversation, which stays as it is. */
export function sideQuestionLine(requestId: string, question: string): string {
  return controlLine(requestId, { subtype: 'side_question', question });
}

function controlLine(requestId: string, request: object): string {
  return line({ type: 'control_request', request_id: requestId, request });
}

/** Starts the turn. Its text never reaches the model: the body's own messages take its place. */
export function startLine(): string {
  return line({
    type: 'user',
    // 2.1.330 then does not look into the text; 2.1.197 ignores the field.
    client_composed: true,
    message: { role: 'user', content: [{ type: 'text', text: '.' }] },
    parent_tool_use_id: null,
    session_id: '',
  });
}

function line(message: object): string {
  return `${JSON.stringify(message)}\n`;
}

const resultSchema = z.object({
  subtype: z.string(),
  is_error: z.boolean(),
  api_error_status: z.number().nullish().catch(null),
  result: z.string().optional().catch(undefined),
  total_cost_usd: z.number().nonnegative().catch(0),
});

/** Loose: the lock looks at every list in it (`unexpectedInInit`). */
const initSchema = z.looseObject({
  model: z.string().catch(''),
  claude_code_version: z.string().catch(''),
});

/** A message that the CLI wrote in place of the model's, because a request failed. 2.1.197 has no field that begins with `api_`. */
const failureSchema = z.object({
  error: z.string(),
  is_api_error_message: z.boolean().optional().catch(undefined),
  api_error: z.string().optional().catch(undefined),
  api_error_type: z.string().optional().catch(undefined),
  message: z.object({ content: z.array(z.object({ text: z.string().catch('') })) }).catch({ content: [] }),
});

const hookSchema = z.object({ hook_name: z.string().catch('unnamed') });

const rateLimitSchema = z.object({
  rate_limit_info: z.object({
    status: z.string().catch(''),
    resetsAt: z.number().optional().catch(undefined),
    rateLimitType: z.string().optional().catch(undefined),
    isUsingOverage: z.boolean().optional().catch(undefined),
  }),
});

const controlResponseSchema = z.object({
  response: z.looseObject({ subtype: z.string(), request_id: z.string() }),
});

/** The event is passed on as it came; `message.ts` reads it. */
const streamSchema = z.object({ event: z.looseObject({ type: z.string() }) });

/** What the CLI reports of a request that failed; `causes.ts` reads it. */
export type CliFailure = Omit<Refusal, 'status'>;

/**
 * The plan refused a request. `resetsAt`: Unix seconds. `type` is the provider's name of the limit, as it came: `five_hour`,
 * `seven_day`, `seven_day_opus`, ...
 */
export type PlanRefusal = { resetsAt: number | undefined; type: string | undefined };

export type CliInit = z.infer<typeof initSchema>;
export type CliResult = z.infer<typeof resultSchema>;

/** What a line of stdout means to the relay, which has no use for `other` lines. */
export type CliEvent =
  | { kind: 'init'; init: CliInit }
  | { kind: 'stream'; event: ModelEvent }
  | { kind: 'failure'; failure: CliFailure }
  /** The CLI is about to send a request. */
  | { kind: 'requesting' }
  | ({ kind: 'plan_refusal' } & PlanRefusal)
  /** A hook runs: the lock does not hold. */
  | { kind: 'hook'; name: string }
  | { kind: 'control_response'; requestId: string; ok: boolean; response: Record<string, unknown> }
  | { kind: 'result'; result: CliResult }
  | { kind: 'other' };

/** Undefined for a line that is not JSON, not an object, or a known kind of the wrong shape. */
export function parseLine(text: string): CliEvent | undefined {
  try {
    return readMessage(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function readMessage(message: unknown): CliEvent {
  if (typeof message !== 'object' || message === null || !('type' in message))
    throw new Error('not a message');
  const subtype = 'subtype' in message ? message.subtype : undefined;
  switch (message.type) {
    case 'system':
      if (subtype === 'init') return { kind: 'init', init: initSchema.parse(message) };
      if (typeof subtype === 'string' && subtype.startsWith('hook_')) {
        return { kind: 'hook', name: hookSchema.parse(message).hook_name };
      }
      if (subtype === 'status' && 'status' in message && message.status === 'requesting')
        return { kind: 'requesting' };
      return { kind: 'other' };
    case 'stream_event':
      return { kind: 'stream', event: streamSchema.parse(message).event };
    case 'assistant': {
      if (!('error' in message) || typeof message.error !== 'string') return { kind: 'other' };
      const read = failureSchema.parse(message);
      const failure: CliFailure = {
        kind: read.error,
        code: read.api_error,
        apiType: read.api_error_type,
        typed: read.is_api_error_message === true,
        text: read.message.content.map(({ text }) => text).join(''),
      };
      return { kind: 'failure', failure };
    }
    case 'rate_limit_event': {
      const { status, isUsingOverage, resetsAt, rateLimitType } =
        rateLimitSchema.parse(message).rate_limit_info;
      // Usage credits pay for what the plan refused: the request goes on.
      if (status !== 'rejected' || isUsingOverage === true) return { kind: 'other' };
      return { kind: 'plan_refusal', resetsAt, type: rateLimitType };
    }
    case 'control_response': {
      const { response } = controlResponseSchema.parse(message);
      const { request_id: requestId, subtype } = response;
      return { kind: 'control_response', requestId, ok: subtype === 'success', response };
    }
    case 'result':
      return { kind: 'result', result: resultSchema.parse(message) };
    default:
      return { kind: 'other' };
  }
}
