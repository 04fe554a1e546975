/**
 * The model's one message, put together from the events of its stream. Pure.
 *
 * Source of the shapes: the Messages API's reference (streaming). A delta of a kind that is not known here changes nothing: whoever
 * reads the events themselves sees it. What is not an event of that API in its place is `MalformedEvent`.
 */
import { z } from 'zod';
import { noTokens, type Answer, type ModelEvent, type TokenUsage } from '../conversation.ts';
import { parseExactly, rememberText } from '../exact-json.ts';

/** Thrown for an event that the Messages API does not send, or not there. */
export class MalformedEvent extends Error {
  override readonly name = 'MalformedEvent';
}

export type AnswerContent = Answer['content'];

export type ModelMessage = {
  /** Throws `MalformedEvent`. */
  add(event: ModelEvent): void;
  /** A `message_start` has come. */
  readonly started: boolean;
  readonly id: string;
  readonly model: string;
  /** Of the last `message_delta`; undefined while there is none. */
  readonly stopReason: string | undefined;
  readonly stopSequence: string | null;
  /** What `message_delta` told of a refusal besides; undefined for nothing. */
  readonly stopDetails: unknown;
  readonly usage: TokenUsage;
  readonly rawUsage: Readonly<Record<string, unknown>>;
  /** The model asks for a tool. */
  readonly usesTool: boolean;
  /** The text blocks' texts so far, joined. */
  text(): string;
  /** The blocks so far. Throws `MalformedEvent` where a tool's input is no JSON object, unless the message was cut off in it. */
  content(): AnswerContent;
};

/** An answer is at most some hundred thousand tokens. */
const maxCharacters = 16 * 1024 * 1024;
const maxBlocks = 10_000;

const count = z.number().int().nonnegative().nullish().catch(undefined);
const counts = z.looseObject({
  input_tokens: count,
  output_tokens: count,
  cache_read_input_tokens: count,
  cache_creation_input_tokens: count,
});
const usage = counts.nullish().catch(undefined);

const startEvent = z.object({
  message: z.object({
    id: z.string().catch(''),
    model: z.string().catch(''),
    usage,
  }),
});
const blockStartEvent = z.object({
  index: z.number().int(),
  content_block: z.looseObject({ type: z.string() }),
});
const blockDeltaEvent = z.object({ index: z.number().int(), delta: z.looseObject({ type: z.string() }) });
const blockStopEvent = z.object({ index: z.number().int() });
const deltaEvent = z.object({
  delta: z
    .object({
      stop_reason: z.string().nullish(),
      stop_sequence: z.string().nullish().catch(null),
      stop_details: z.unknown().optional(),
    })
    .optional(),
  usage,
});

type Block = { value: { type: string } & Record<string, unknown>; inputJson: string; open: boolean };

/** What the model was in the middle of when it stopped for one of these stays as it is. */
const cutOff: ReadonlySet<string> = new Set(['max_tokens', 'model_context_window_exceeded', 'refusal']);

export function createMessage(): ModelMessage {
  const blocks: Block[] = [];
  const known = {
    started: false,
    id: '',
    model: '',
    stopSequence: null as string | null,
    stopDetails: undefined as unknown,
  };
  let stopReason: string | undefined;
  let tokens = noTokens;
  let rawUsage: Record<string, unknown> = {};
  let characters = 0;

  const grow = (by: number): void => {
    characters += by;
    if (characters > maxCharacters) throw new MalformedEvent('the message is too long');
  };
  const noteUsage = (told: z.infer<typeof usage>): void => {
    if (told === undefined || told === null) return;
    tokens = readUsage(told, tokens);
    rawUsage = { ...rawUsage, ...told };
  };
  const openBlock = (index: number): Block => {
    const block = blocks[index];
    if (block?.open !== true) throw new MalformedEvent('a delta or an end of a block that is not open');
    return block;
  };
  const append = (block: Block, field: string, delta: Record<string, unknown>): void => {
    const before = block.value[field] ?? '';
    const piece = delta[field];
    if (typeof before !== 'string' || typeof piece !== 'string')
      throw new MalformedEvent(`${field} is no text`);
    grow(piece.length);
    block.value[field] = before + piece;
  };

  const applyDelta = (block: Block, delta: { type: string } & Record<string, unknown>): void => {
    switch (delta.type) {
      case 'text_delta':
        return append(block, 'text', delta);
      case 'thinking_delta':
        return append(block, 'thinking', delta);
      case 'signature_delta':
        block.value['signature'] = '';
        return append(block, 'signature', delta);
      case 'input_json_delta': {
        const piece = delta['partial_json'];
        if (typeof piece !== 'string') throw new MalformedEvent('partial_json is no text');
        grow(piece.length);
        block.inputJson += piece;
        return;
      }
      case 'citations_delta': {
        grow(JSON.stringify(delta).length);
        const before = block.value['citations'];
        block.value['citations'] = [
          ...(Array.isArray(before) ? (before as unknown[]) : []),
          delta['citation'],
        ];
        return;
      }
      default:
    }
  };

  return {
    add: (event) => {
      if (event.type === 'message_start') {
        if (known.started) throw new MalformedEvent('a second message');
        const { message } = read(startEvent, event);
        known.started = true;
        known.id = message.id;
        known.model = message.model;
        noteUsage(message.usage);
        return;
      }
      if (!known.started) throw new MalformedEvent(`${event.type} before message_start`);
      switch (event.type) {
        case 'content_block_start': {
          const { index, content_block: value } = read(blockStartEvent, event);
          if (index !== blocks.length || index >= maxBlocks) throw new MalformedEvent('a block out of order');
          grow(JSON.stringify(value).length);
          blocks.push({ value: { ...value }, inputJson: '', open: true });
          return;
        }
        case 'content_block_delta': {
          const { index, delta } = read(blockDeltaEvent, event);
          applyDelta(openBlock(index), delta);
          return;
        }
        case 'content_block_stop':
          openBlock(read(blockStopEvent, event).index).open = false;
          return;
        case 'message_delta': {
          const { delta, usage } = read(deltaEvent, event);
          stopReason = delta?.stop_reason ?? stopReason;
          known.stopSequence = delta?.stop_sequence ?? known.stopSequence;
          known.stopDetails = delta?.stop_details ?? known.stopDetails;
          noteUsage(usage);
          return;
        }
        default:
      }
    },
    get started() {
      return known.started;
    },
    get id() {
      return known.id;
    },
    get model() {
      return known.model;
    },
    get stopReason() {
      return stopReason;
    },
    get stopDetails() {
      return known.stopDetails;
    },
    get stopSequence() {
      return known.stopSequence;
    },
    get usage() {
      return tokens;
    },
    get rawUsage() {
      return rawUsage;
    },
    get usesTool() {
      return blocks.some(({ value }) => value.type === 'tool_use');
    },
    text: () =>
      blocks
        .map(({ value }) => (value.type === 'text' && typeof value['text'] === 'string' ? value['text'] : ''))
        .join(''),
    content: () => {
      const cut = stopReason !== undefined && cutOff.has(stopReason);
      return blocks.map(({ value, inputJson }) => {
        if (inputJson !== '') value['input'] = rememberText(inputOf(inputJson, cut), inputJson);
        return value;
      });
    },
  };
}

/** The counts that `told` holds; `before` stands for those it does not. The counts of `message_delta` are totals, not increments. */
function readUsage(told: z.infer<typeof counts>, before: TokenUsage): TokenUsage {
  return {
    input_tokens: told.input_tokens ?? before.input_tokens,
    output_tokens: told.output_tokens ?? before.output_tokens,
    cache_read_input_tokens: told.cache_read_input_tokens ?? before.cache_read_input_tokens,
    cache_creation_input_tokens: told.cache_creation_input_tokens ?? before.cache_creation_input_tokens,
  };
}

/** A tool's input, to the digit. Of one that was cut off nothing can be told: an empty object. */
function inputOf(json: string, cut: boolean): Record<string, unknown> {
  try {
    const value = parseExactly(json);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>;
    }
  } catch {
    // Told below.
  }
  if (cut) return {};
  throw new MalformedEvent('the input of a tool is no JSON object');
}

function read<T>(schema: z.ZodType<T>, event: ModelEvent): T {
  const parsed = schema.safeParse(event);
  if (!parsed.success) throw new MalformedEvent(`${event.type} of a wrong shape`);
  return parsed.data;
}
