/**
 * What turns cost. Claude Code reports it at their end; for a turn that was ended early or is still to come it is reckoned.
 *
 * Nothing here is a list of prices: those change every month. For each model there is one number, learned from the costs that Claude
 * Code reports. It suffices, because the models of the Claude API have one ratio of their prices: output costs 5 times input, a write
 * to the cache 1.25 times, a read a tenth or less (platform.claude.com, "Pricing", October 2026).
 */
import { noTokens, type Conversation, type TokenUsage } from '../conversation.ts';
import { estimateTokens } from '../dialects/token-estimate.ts';
import type { Spend } from '../limits/spending.ts';

/** Dollars for a token of input of the dearest model on that page, Claude Fable 5.1. */
const dearest = 10e-6;
/** What Claude Code asks for when the caller gives no `max_tokens` (2.1.197: 32,000; 2.1.332: 64,000 at most). */
const mostOutput = 64_000;
/** The most input for an estimate of some tokens (docs/api.md), with what Claude Code adds. */
const mostInput = (estimate: number): number => Math.ceil(1.5 * estimate) + 200;

export class Reckoning {
  readonly #rates = new Map<string, number>();

  /** What a turn of `model` used. `usd`: as reported; null: it was not. */
  used(model: string, usage: TokenUsage, usd: number | null): Spend {
    const { input_tokens, cache_creation_input_tokens, output_tokens } = usage;
    const inputs = asInput(usage);
    if (usd !== null && usd > 0 && inputs > 0) this.#rates.set(model, usd / inputs);
    return {
      usd: usd ?? inputs * this.#rateOf(model),
      tokens: input_tokens + cache_creation_input_tokens + output_tokens,
    };
  }

  /** The most that a turn can use. */
  most(model: string, conversation: Conversation): Spend {
    const output_tokens = conversation.maxTokens ?? mostOutput;
    const cache_creation_input_tokens = mostInput(estimateTokens(conversation));
    return this.used(model, { ...noTokens, cache_creation_input_tokens, output_tokens }, null);
  }

  #rateOf(model: string): number {
    return this.#rates.get(model) ?? dearest;
  }
}

/** The number of tokens of input that cost the same. */
function asInput(usage: TokenUsage): number {
  const { input_tokens, output_tokens, cache_creation_input_tokens, cache_read_input_tokens } = usage;
  return (
    input_tokens + 5 * output_tokens + 1.25 * cache_creation_input_tokens + 0.1 * cache_read_input_tokens
  );
}
