/**
 * An answer that must satisfy a schema. The relay asks for it as the input of an extra tool, which the model has to call, and
 * passes it on as one text block that holds the JSON.
 */
import type { Answer, Conversation, ModelEvent, Tool, ToolChoice } from '../conversation.ts';
import { invalidOutput, RelayError } from '../errors.ts';
import { parseExactly, WrittenJson } from '../exact-json.ts';
import { ModelMessage } from './message.ts';
import type { Outcome } from './outcome.ts';
import type { JsonSchema } from './schema.ts';
import type { Schemas } from './schemas.ts';

export type Structured = NonNullable<ReturnType<typeof structuredBy>>;

const usualName = 'structured_output';

/** Undefined for a conversation without a schema. */
export function structuredBy(conversation: Conversation) {
  const { schema, tools = [] } = conversation;
  if (schema === undefined) return undefined;
  let name = usualName;
  while (tools.some((tool) => tool.name === name)) name += '_';
  const wrapped = !isPlainObjectSchema(schema);
  const { schema: _, ...rest } = conversation;
  const filter = eventFilter(name, wrapped);
  const message = new ModelMessage();
  const tool: Tool = {
    name,
    description: 'Gives the answer. Call it once, with the whole answer as its input.',
    input_schema: wrapped ? wrap(schema) : schema,
  };
  /** What the model is asked in place of the schema. */
  const asked: Conversation = { ...rest, tools: [...tools, tool], toolChoice: choiceOf(conversation, name) };
  return {
    conversation: asked,
    /** The events that the caller gets for this one: those of the text block. */
    event: (event: ModelEvent): readonly ModelEvent[] => {
      const events = filter(event);
      for (const one of events) message.add(one);
      return events;
    },
    /**
     * The answer as its caller reads it. `structured` is not judged yet; it is absent where the model asked for one of the caller's
     * tools instead, or stopped before the value was whole. Throws `invalid_output`.
     */
    answer: (answer: Answer): Answer => ({
      ...answer,
      content: message.content(),
      text: message.text(),
      ...valueOf(answer, name, message.text()),
    }),
  };
}

/** The answer once its value satisfies the schema, or `invalid_output`. Never rejects. */
export async function satisfied(
  answer: Answer,
  structured: Structured,
  { request: { schema }, unsatisfied }: { request: Conversation; unsatisfied: Schemas['unsatisfied'] },
): Promise<Outcome> {
  try {
    const judged = structured.answer(answer);
    if (schema !== undefined && judged.structured !== undefined) {
      const why = await unsatisfied(schema, judged.structured.value);
      if (why !== undefined) throw invalidOutput(why);
    }
    return { ok: true, answer: judged };
  } catch (error) {
    if (error instanceof RelayError) return { ok: false, error };
    return {
      ok: false,
      error: new RelayError('internal', 'Something went wrong inside the relay.', { cause: error }),
    };
  }
}

/** `text` is the JSON of the value. */
function valueOf({ content, stopReason }: Answer, name: string, text: string): Partial<Answer> {
  const uses = content.filter(({ type }) => type === 'tool_use');
  const ours = uses.filter((use) => use['name'] === name);
  if (ours.length < uses.length) return {};
  // Cut off or declined: the stop reason says so, and there is nothing to judge.
  if (!finished.has(stopReason)) return {};
  if (ours.length === 0) throw invalidOutput('the model answered with text instead');
  if (ours.length > 1) throw invalidOutput('the model gave more than one value');
  if (text === '') throw invalidOutput('the value is missing');
  return { structured: new WrittenJson(text), stopReason: 'end_turn', stopSequence: null };
}

const finished: ReadonlySet<string> = new Set(['tool_use', 'end_turn', 'stop_sequence']);

/** With the caller's tools, the model may call one of them first. */
function choiceOf({ tools = [], toolChoice }: Conversation, name: string): ToolChoice {
  if (tools.length === 0 || toolChoice?.type === 'none')
    return { type: 'tool', name, disable_parallel_tool_use: true };
  if (toolChoice?.type === 'tool') return toolChoice;
  return {
    type: 'any',
    ...(toolChoice?.disable_parallel_tool_use === true ? { disable_parallel_tool_use: true } : {}),
  };
}

/** What the API takes as a tool's input schema: of an object, with no choice at its top. */
function isPlainObjectSchema(schema: JsonSchema): boolean {
  return (
    schema['type'] === 'object' &&
    !['anyOf', 'oneOf', 'allOf', 'not', 'if', '$ref', 'enum', 'const'].some((word) => word in schema)
  );
}

function wrap(schema: JsonSchema): JsonSchema {
  return {
    type: 'object',
    // References from its own root would begin one level too high; with an `$id` they do not.
    properties: { value: '$id' in schema ? schema : moveReferences(schema) },
    required: ['value'],
    additionalProperties: false,
  };
}

/** Keywords whose values are data, in which nothing is a reference. */
const data = new Set(['const', 'enum', 'default', 'examples']);

function moveReferences(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(moveReferences);
  if (typeof schema !== 'object' || schema === null) return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]: [string, unknown]) => {
      if (key === '$ref' && typeof value === 'string' && /^#(?:\/|$)/.test(value))
        return [key, `#/properties/value${value.slice(1)}`];
      return [key, data.has(key) ? value : moveReferences(value)];
    }),
  );
}

/** Drops what is neither the answer nor a call of the caller's tools, and renumbers the rest. */
function eventFilter(name: string, wrapped: boolean): (event: ModelEvent) => readonly ModelEvent[] {
  const newIndexes = new Map<unknown, number>();
  const answers = new Map<unknown, { json: string; input: unknown }>();
  return (event) => {
    if (!event.type.startsWith('content_block_')) return [event];
    if (event.type === 'content_block_start') {
      const block = event['content_block'] as { type: string; name?: unknown; input?: unknown };
      if (block.type !== 'tool_use') return [];
      const index = newIndexes.size;
      newIndexes.set(event['index'], index);
      if (block.name !== name) return [{ ...event, index }];
      answers.set(event['index'], { json: '', input: block.input });
      return [{ type: 'content_block_start', index, content_block: { type: 'text', text: '' } }];
    }
    const index = newIndexes.get(event['index']);
    if (index === undefined) return [];
    const answer = answers.get(event['index']);
    if (answer === undefined) return [{ ...event, index }];
    if (event.type === 'content_block_stop') {
      const rest = wrapped || answer.json === '' ? textOf(answer.json, answer.input, wrapped) : '';
      return [...textDelta(index, rest), { type: 'content_block_stop', index }];
    }
    const piece = (event['delta'] as { partial_json?: unknown } | undefined)?.partial_json;
    if (typeof piece !== 'string') return [];
    answer.json += piece;
    return wrapped ? [] : textDelta(index, piece);
  };
}

function textDelta(index: number, text: string): ModelEvent[] {
  return text === '' ? [] : [{ type: 'content_block_delta', index, delta: { type: 'text_delta', text } }];
}

/** The JSON of the answer; empty where the wrapping object does not hold it, or is cut off. */
function textOf(json: string, input: unknown, wrapped: boolean): string {
  try {
    const parsed = json === '' ? (input ?? {}) : parseExactly(json);
    return JSON.stringify(wrapped ? (parsed as { value?: unknown } | null)?.value : parsed) ?? '';
  } catch {
    return '';
  }
}
