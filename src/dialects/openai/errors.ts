/** Errors in the shape of the OpenAI dialect, with the codes that its clients look for. Pure. */
import { errorTable, type RelayError } from '../../errors.ts';

export function chatError(error: RelayError): object {
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

/** Limits that a short wait does not lift. */
const quotas: ReadonlySet<string | undefined> = new Set(['key_daily', 'global_daily', 'plan']);

export function codeOf({ code, details }: RelayError): string {
  if (code === 'unauthorized') return 'invalid_api_key';
  if (details.reason === 'unknown_model') return 'model_not_found';
  // Clients shorten the conversation when they get this code.
  if (details.reason === 'prompt_too_long') return 'context_length_exceeded';
  if (code === 'rate_limited') {
    return quotas.has(details.limit) && details.shouldRetry === false
      ? 'insufficient_quota'
      : 'rate_limit_exceeded';
  }
  return code;
}
