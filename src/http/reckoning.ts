/**
 * What turns cost. Claude Code reports it at their end; for a turn that was ended early or is still to come it is reckoned.
 *
 * Nothing here is a list of prices: those change every month. For each model there is one number, learned from the costs that Claude
 * Code reports. It suffices, because the models of the Claude API have one ratio of their prices: output costs 5 times input, a write
 * to the cache 1.25 times, a read a tenth or less (platform.claude.com, "Pricing", October 2026).
 */
import { noTokens, type Conversation, type TokenUsage } from '../conversation.ts';
import { estimateText, estimateTokens, mostTokens } from '../dialects/token-estimate.ts';
import type { Spend } from '../limits/spending.ts';

/** Dollars for a token of input of the dearest model on that page, Claude Fable 5.1. */
const dearest = 10e-6;
/** What Claude Code asks for when the caller gives no `max_tokens` (2.1.197: 32,000; 2.1.332: 64,000 at most). */
const mostOutput = 64_000;
/** The largest context window; the API refuses more. */
const mostInput = 1_000_000;
/** What Claude Code adds to a request. */
const addedInput = 200;
/** A model that takes longer to its first text thinks, which is often not shown. A fast one writes about so many tokens in a second. */
const usualWaitMs = 2000;
const tokensPerSecond = 100;

export class Reckoning {
  readonly #rates = new Map<string, number>();

  /** What a turn of `model` used. `usd`: as reported; null: it was not. */
  used(model: string, usage: TokenUsage, usd: number | null): Spend {
    const { input_tokens, cache_creation_input_tokens, output_tokens } = usage;
    const inputs = asInput(usage);
    // Claude Code reports 0 for a model whose prices it does not know.
    const reported = usd !== null && usd > 0;
    if (reported && inputs > 0) this.#rates.set(model, usd / inputs);
    return {
      usd: reported ? usd : inputs * this.#rateOf(model),
      tokens: input_tokens + cache_creation_input_tokens + output_tokens,
    };
  }

  /** The most that a turn can use. */
  most(model: string, conversation: Conversation): Spend {
    const output_tokens = mostOutputOf(conversation);
    const cache_creation_input_tokens = Math.min(mostTokens(conversation) + addedInput, mostInput);
    return this.used(model, { ...noTokens, cache_creation_input_tokens, output_tokens }, null);
  }

  #rateOf(model: string): number {
    return this.#rates.get(model) ?? dearest;
  }
}

/** The usage of a turn that ended early: what was reported, and what the turn shows of the rest. */
export function completeUsage(
  usage: TokenUsage,
  conversation: Conversation,
  { text, hiddenMs }: { text: string; hiddenMs: number },
): TokenUsage {
  const thoughtMs = Math.max(0, hiddenMs - usualWaitMs);
  const written = Math.ceil(estimateText(text) + (thoughtMs / 1000) * tokensPerSecond);
  return {
    ...usage,
    ...(asInput(usage) === 0 && { input_tokens: estimateTokens(conversation) + addedInput }),
    output_tokens: Math.max(usage.output_tokens, Math.min(written, mostOutputOf(conversation))),
  };
}

function mostOutputOf({ maxTokens = mostOutput }: Conversation): number {
  return maxTokens;
}

/** The number of tokens of input that cost the same. */
function asInput(usage: TokenUsage): number {
  const { input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens } = usage;
  return (
    input_tokens + 5 * output_tokens + 1.25 * cache_creation_input_tokens + 0.1 * cache_read_input_tokens
  );
}
