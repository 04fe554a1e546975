/**
 * The model's one message, put together from the events of its stream. Pure.
 *
 * Source of the shapes: the Messages API's reference (streaming). A delta of an unknown kind changes nothing here: readers of the
 * events see it. An event that the API does not send, or not there, is a `MalformedEvent`.
 */
import { z } from 'zod';
import { noTokens, type Answer, type ModelEvent, type TokenUsage } from '../conversation.ts';
import { WrittenJson } from '../exact-json.ts';

export class MalformedEvent extends Error {
  override readonly name = 'MalformedEvent';
}

/** An answer has at most a few hundred thousand tokens. */
const maxCharacters = 16 * 1024 * 1024;
const maxBlocks = 10_000;

const count = z.number().int().nonnegative().nullish().catch(undefined);
const usage = z
  .looseObject({
    input_tokens: count,
    output_tokens: count,
    cache_read_input_tokens: count,
    cache_creation_input_tokens: count,
  })
  .nullish()
  .catch(undefined);

const startEvent = z.object({
  message: z.object({ id: z.string().catch(''), model: z.string().catch(''), usage }),
});
const index = z.number().int();
const blockStartEvent = z.object({ index, content_block: z.looseObject({ type: z.string() }) });
const blockDeltaEvent = z.object({ index, delta: z.looseObject({ type: z.string() }) });
const blockStopEvent = z.object({ index });
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

/** After one of these, the last block is incomplete. */
const cutOff: ReadonlySet<string | undefined> = new Set([
  'max_tokens',
  'model_context_window_exceeded',
  'refusal',
]);

export class ModelMessage {
  /** A `message_start` has come. */
  started = false;
  id = '';
  model = '';
  /** Of the last `message_delta`. */
  stopReason: string | undefined;
  stopSequence: string | null = null;
  /** What `message_delta` added about a refusal. */
  stopDetails: unknown;
  usage: TokenUsage = noTokens;
  rawUsage: Record<string, unknown> = {};
  readonly #blocks: Block[] = [];
  #characters = 0;

  /** Throws `MalformedEvent`. */
  add(event: ModelEvent): void {
    if (event.type === 'message_start') {
      if (this.started) throw new MalformedEvent('a second message');
      const { message } = read(startEvent, event);
      this.started = true;
      this.id = message.id;
      this.model = message.model;
      this.#noteUsage(message.usage);
      return;
    }
    if (!this.started) throw new MalformedEvent(`${event.type} before message_start`);
    switch (event.type) {
      case 'content_block_start': {
        const { index, content_block: value } = read(blockStartEvent, event);
        if (index !== this.#blocks.length || index >= maxBlocks)
          throw new MalformedEvent('a block out of order');
        this.#grow(JSON.stringify(value).length);
        this.#blocks.push({ value: { ...value }, inputJson: '', open: true });
        return;
      }
      case 'content_block_delta': {
        const { index, delta } = read(blockDeltaEvent, event);
        this.#applyDelta(this.#openBlock(index), delta);
        return;
      }
      case 'content_block_stop':
        this.#openBlock(read(blockStopEvent, event).index).open = false;
        return;
      case 'message_delta': {
        const { delta, usage } = read(deltaEvent, event);
        this.stopReason = delta?.stop_reason ?? this.stopReason;
        this.stopSequence = delta?.stop_sequence ?? this.stopSequence;
        this.stopDetails = delta?.stop_details ?? this.stopDetails;
        this.#noteUsage(usage);
        return;
      }
      default:
    }
  }

  /** The model asks for a tool. */
  get usesTool(): boolean {
    return this.#blocks.some(({ value }) => value.type === 'tool_use');
  }

  /** The text blocks' texts so far, joined. */
  text(): string {
    return this.#blocks
      .map(({ value }) => (value.type === 'text' && typeof value['text'] === 'string' ? value['text'] : ''))
      .join('');
  }

  /** All that the model has written so far: texts, thinking, and what goes to tools. */
  written(): string {
    const texts = this.#blocks.flatMap(({ value, inputJson }) => [
      value['text'],
      value['thinking'],
      inputJson,
    ]);
    return texts.filter((text) => typeof text === 'string').join('');
  }

  /** The blocks so far. Throws `MalformedEvent` if a tool's input is not a JSON object, unless the message was cut off. */
  content(): Answer['content'] {
    const cut = cutOff.has(this.stopReason);
    return this.#blocks.map(({ value, inputJson }) =>
      inputJson === '' ? value : Object.assign(value, { input: inputOf(inputJson, cut) }),
    );
  }

  /** The counts of `message_delta` are totals, not increments. */
  #noteUsage(counts: z.infer<typeof usage>): void {
    if (counts === undefined || counts === null) return;
    const before = this.usage;
    this.usage = {
      input_tokens: counts.input_tokens ?? before.input_tokens,
      output_tokens: counts.output_tokens ?? before.output_tokens,
      cache_read_input_tokens: counts.cache_read_input_tokens ?? before.cache_read_input_tokens,
      cache_creation_input_tokens: counts.cache_creation_input_tokens ?? before.cache_creation_input_tokens,
    };
    this.rawUsage = { ...this.rawUsage, ...counts };
  }

  #grow(by: number): void {
    this.#characters += by;
    if (this.#characters > maxCharacters) throw new MalformedEvent('the message is too long');
  }

  #openBlock(index: number): Block {
    const block = this.#blocks[index];
    if (block?.open !== true) throw new MalformedEvent('a delta or an end of a block that is not open');
    return block;
  }

  #applyDelta(block: Block, delta: { type: string } & Record<string, unknown>): void {
    const { value } = block;
    switch (delta.type) {
      case 'text_delta':
        value['text'] = this.#longer(value['text'], delta['text']);
        return;
      case 'thinking_delta':
        value['thinking'] = this.#longer(value['thinking'], delta['thinking']);
        return;
      case 'signature_delta':
        value['signature'] = this.#longer('', delta['signature']);
        return;
      case 'input_json_delta':
        block.inputJson = this.#longer(block.inputJson, delta['partial_json']);
        return;
      case 'citations_delta': {
        this.#grow(JSON.stringify(delta).length);
        const before = Array.isArray(value['citations']) ? (value['citations'] as unknown[]) : [];
        value['citations'] = [...before, delta['citation']];
        return;
      }
      default:
    }
  }

  #longer(text: unknown, piece: unknown): string {
    const before = text ?? '';
    if (typeof before !== 'string' || typeof piece !== 'string')
      throw new MalformedEvent('a delta is not a text');
    this.#grow(piece.length);
    return before + piece;
  }
}

/** An empty object for an input that was cut off. */
function inputOf(json: string, cut: boolean): WrittenJson {
  try {
    if (json.trimStart().startsWith('{')) return new WrittenJson(json);
  } catch {
    // Reported below.
  }
  if (cut) return new WrittenJson(json, {});
  throw new MalformedEvent("a tool's input is not a JSON object");
}

function read<T>(schema: z.ZodType<T>, event: ModelEvent): T {
  const parsed = schema.safeParse(event);
  if (!parsed.success) throw new MalformedEvent(`${event.type} of a wrong shape`);
  return parsed.data;
}
