/**
 * POST /v1/messages/count_tokens: a clear no, for nothing here guesses.
 *
 * The CLI has one question for it, `get_context_usage` (measured on 2.1.197 and 2.1.330). It has the messages counted apart from the
 * system prompt, which goes as a message of the user, never with the caller's tools, and takes a filler off again; and where the
 * upstream cannot count it answers with an estimate (2.1.330) or has the model write a token, which costs (2.1.197), without saying so.
 */
import { RelayError } from '../../errors.ts';
import type { AppContext } from '../app.ts';
import type { Exchange } from '../exchange.ts';
import { identify } from '../identify.ts';

export function countTokens(request: Request, exchange: Exchange, context: AppContext): never {
  identify(request, exchange, 'complete', context);
  throw new RelayError(
    'not_supported',
    'Tokens cannot be counted before they are used here: send the message, its answer tells the usage.',
    // The SDKs would ask twice more.
    { shouldRetry: false },
  );
}
