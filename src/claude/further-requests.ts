/**
 * When the CLI asks the model again without being told to, and what that costs. The relay kills the process at the first sign of it;
 * requests that can have gone out before that are counted. Pure.
 */
import type { ModelEvent, TokenUsage } from '../conversation.ts';
import { blockFurtherRequests } from './blackhole-proxy.ts';
import { MalformedEvent, ModelMessage } from './message.ts';
import type { TurnEnd } from './outcome.ts';
import type { CliEvent } from './protocol.ts';

const finalStops = new Set(['end_turn', 'stop_sequence']);

/** After another stop reason, an answer with nothing to see, or a tool call, which the CLI would answer. */
export function asksAgain(stopReason: string, message: ModelMessage): boolean {
  return !finalStops.has(stopReason) || message.text().trim() === '' || message.usesTool;
}

/** Whether the CLI may have asked again before it was ended. After a tool call it has no turn left (`--max-turns`). */
export function mayHaveAskedAgain(end: TurnEnd, { stopReason }: ModelMessage): boolean {
  return end.cause === 'broken_off' || (end.cause === 'stopped' && stopReason !== 'tool_use');
}

export class FurtherRequests {
  /** The process has turned the blackhole proxy on: no further request can reach the model. */
  ruledOut = false;
  /** Announced, and without a message so far. */
  #announced = 0;
  readonly #reported: TokenUsage[] = [];

  /** Takes what the process prints after the turn's own message began. */
  note(event: CliEvent): void {
    if (event.kind === 'control_response')
      this.ruledOut ||= event.ok && event.requestId === blockFurtherRequests.id;
    else if (event.kind === 'requesting' && !this.ruledOut) this.#announced += 1;
    else if (event.kind === 'stream' && event.event.type === 'message_start') {
      this.#announced = Math.max(0, this.#announced - 1);
      this.#reported.push(usageOf(event.event));
    }
  }

  get count(): number {
    return this.#announced + this.#reported.length;
  }

  /** The turn's usage with that of the further requests: what they reported, or else the input of the first once more. */
  addTo(first: TokenUsage): TokenUsage {
    const unreported = Array.from({ length: this.#announced }, () => ({ ...first, output_tokens: 0 }));
    return [...this.#reported, ...unreported].reduce(sum, first);
  }
}

function usageOf(messageStart: ModelEvent): TokenUsage {
  const message = new ModelMessage();
  try {
    message.add(messageStart);
  } catch (error) {
    if (!(error instanceof MalformedEvent)) throw error;
  }
  return message.usage;
}

function sum(a: TokenUsage, b: TokenUsage): TokenUsage {
  return {
    input_tokens: a.input_tokens + b.input_tokens,
    output_tokens: a.output_tokens + b.output_tokens,
    cache_read_input_tokens: a.cache_read_input_tokens + b.cache_read_input_tokens,
    cache_creation_input_tokens: a.cache_creation_input_tokens + b.cache_creation_input_tokens,
  };
}
