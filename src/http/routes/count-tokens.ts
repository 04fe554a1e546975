/**
 * POST /v1/messages/count_tokens: always 501, because the CLI has no reliable token count.
 *
 * Its `get_context_usage` (measured on 2.1.197 and 2.1.330) counts the messages without the system prompt, which it sends as a message
 * of the user, never with the caller's tools, and subtracts a filler. Where the upstream cannot count, it answers with an estimate
 * (2.1.330) or has the model write a token, which costs (2.1.197), without saying so.
 */
import { RelayError } from '../../errors.ts';

export function countTokens(): never {
  throw new RelayError(
    'not_supported',
    'This relay cannot count tokens in advance. Send the message: its answer has the usage.',
    // Without it, the SDKs would ask twice more.
    { shouldRetry: false },
  );
}
