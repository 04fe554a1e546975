/**
 * When the CLI asks the model again by itself, and what that costs. The relay ends the process at the first sign of it; what can have
 * gone out before that is counted. Pure.
 */
import type { ModelEvent, TokenUsage } from '../conversation.ts';
import { MalformedEvent, ModelMessage } from './message.ts';
import type { TurnEnd } from './outcome.ts';
import type { CliEvent } from './protocol.ts';
import { blockFurtherRequests } from './blackhole-proxy.ts';

/** After any other stop reason, and after an answer with nothing to see, the CLI would ask the model again by itself. */
const finalStops = new Set(['end_turn', 'stop_sequence']);

/** Whether the process has to be ended: after this stop reason, with nothing to see, or to tell the model that its tool is none. */
export function asksAgain(stopReason: string, message: ModelMessage): boolean {
  return !finalStops.has(stopReason) || message.text().trim() === '' || message.usesTool;
}

/** Whether it may have done so before it was ended. After a tool call it has no turn left (`--max-turns`). */
export function mayHaveAskedAgain(end: TurnEnd, { stopReason }: ModelMessage): boolean {
  return end.cause === 'broken_off' || (end.cause === 'stopped' && stopReason !== 'tool_use');
}

export type FurtherRequests = {
  /** Takes what the process prints after the turn's own message began. */
  note(event: CliEvent): void;
  /** The process has shut its way out: no further request can reach the model. */
  readonly ruledOut: boolean;
  readonly count: number;
  /** The turn's usage with that of the further requests: what they reported, or else the input of the first once more. */
  addTo(first: TokenUsage): TokenUsage;
};

export function countFurtherRequests(): FurtherRequests {
  let wayOutShut = false;
  /** Announced, and without a message so far. */
  let announced = 0;
  const reported: TokenUsage[] = [];
  return {
    note: (event) => {
      if (event.kind === 'control_response')
        wayOutShut ||= event.ok && event.requestId === blockFurtherRequests.id;
      else if (event.kind === 'requesting' && !wayOutShut) announced += 1;
      else if (event.kind === 'stream' && event.event.type === 'message_start') {
        announced = Math.max(0, announced - 1);
        reported.push(usageOf(event.event));
      }
    },
    get ruledOut() {
      return wayOutShut;
    },
    get count() {
      return announced + reported.length;
    },
    addTo: (first) => {
      const again = Array.from({ length: announced }, () => ({ ...first, output_tokens: 0 }));
      return [...reported, ...again].reduce(sum, first);
    },
  };
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
