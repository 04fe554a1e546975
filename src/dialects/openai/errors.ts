/** Errors in the shape of the OpenAI dialect, with the codes that its clients look for. Pure. */
import { errorTable, type RelayError } from '../../errors.ts';

export type ChatErrorBody = {
  error: { message: string; type: string; param: string | null; code: string };
};

export function chatError(error: RelayError): ChatErrorBody {
  const code = codeOf(error);
  return {
    error: {
      message: error.message,
      type: code === 'insufficient_quota' ? code : errorTable[error.code].openai,
      param: error.details.param ?? null,
      code,
    },
  };
}

/** Limits that a client does not get past by waiting a little. */
const quotas: ReadonlySet<string | undefined> = new Set(['key_daily', 'global_daily', 'plan']);

function codeOf({ code, message, details }: RelayError): string {
  if (code === 'unauthorized') return 'invalid_api_key';
  // A path below the route is not found either, and has no code there.
  if (code === 'not_found' && /\bmodel\b/i.test(message)) return 'model_not_found';
  if (code === 'rate_limited') {
    return quotas.has(details.limit) && details.shouldRetry === false
      ? 'insufficient_quota'
      : 'rate_limit_exceeded';
  }
  // The model's own words for it; clients shorten the conversation when they see this code.
  if (/prompt is too long/i.test(message)) return 'context_length_exceeded';
  return code;
}
