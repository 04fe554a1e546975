/**
 * The parameters of the Messages API that the relay does not pass on. A parameter that is neither here nor in
 * `messagesRequest` is refused, as the API refuses it. Pure.
 *
 * Source: `MessageCreateParamsBase` of @anthropic-ai/sdk 1.12.0 and its beta twin, and what Claude Code 2.1.332 can send.
 */
import { z } from 'zod';

/** An object that the caller defines: its keys are neither checked, copied nor lost. */
export const anyObject = z
  .custom<Record<string, unknown>>(
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    { error: ({ input }) => (input === undefined ? 'is required' : 'must be an object'), abort: true },
  )
  .meta({ type: 'object' });

/** Other edits, such as a compaction, put a summary into the answer. */
const clearingEdit = z.looseObject({
  type: z.string().startsWith('clear_', 'must begin with clear_: other edits change the answer'),
});

/** Accepted without effect: the answer's meaning does not depend on them. */
export const ignoredParameters = {
  /** The CLI sends its own. */
  metadata: anyObject.optional(),
  /** The login that the relay uses decides it. */
  service_tier: z.string().optional(),
  /** The same answer comes at the usual speed. */
  speed: z.string().optional(),
  /** Reports cache misses only. */
  diagnostics: anyObject.optional(),
  /** Clearing old tool results or thinking only saves tokens: the model sees all that was sent. */
  context_management: z.looseObject({ edits: z.array(clearingEdit).nullish() }).optional(),
  /** The login that the relay uses pays. */
  billing_policy: anyObject.optional(),
  fallback_credit_token: z.union([z.string(), anyObject]).optional(),
  /** Claude Code's own check of a tool call takes the place of the API's when the answer has no verdict. */
  safeguards: z.unknown().optional(),
  /** Claude Code shortens the conversation by itself. */
  context_hint: z.unknown().optional(),
  /** Where tool results came from, the use and the payer: reports of Claude Code about its session. */
  data_flow: z.unknown().optional(),
  program_use_case_id: z.unknown().optional(),
  tags: z.unknown().optional(),
} as const;

const refused = (reason: string) => z.never({ error: `is not supported: ${reason}` }).optional();

/** Refused, because the answer would not be what the caller asked for. The value that is the API's default is accepted. */
export const refusedParameters = {
  container: refused('the relay has no containers, and offers the model only the tools of the request'),
  mcp_servers: z
    .array(z.unknown())
    .max(0, 'is not supported: the relay connects to no MCP server; send its tools as `tools`')
    .optional(),
  inference_geo: z
    .literal('global', { error: 'is not supported: the relay cannot choose where the model runs' })
    .optional(),
  compaction: refused('the relay cannot let the API summarise a conversation; send a shorter one'),
  thread: refused('the relay keeps no conversation; send all of its messages'),
  fallbacks: refused('the relay asks only one model'),
} as const;
