/**
 * An answer that must satisfy a schema: asked for as the input of a tool of the relay's own, which the model is made to call, and told
 * as one text block that holds the JSON.
 */
import type { Answer, Conversation, ModelEvent, Tool, ToolChoice } from '../conversation.ts';
import { invalidOutput, RelayError } from '../errors.ts';
import { parseExactly, withoutExactNumbers } from '../exact-json.ts';
import { createMessage } from './message.ts';
import type { Outcome } from './outcome.ts';
import type { JsonSchema } from './schema.ts';

export type Structured = {
  /** What is asked of the model in place of the schema. */
  conversation: Conversation;
  /** The events that stand for this one, which are a message of their own. */
  event(event: ModelEvent): readonly ModelEvent[];
  /**
   * The answer as its caller reads it: with `structured` a value that still has to be judged, without where the model asked for a
   * tool of the caller's instead, or stopped before the value was whole. Throws `invalid_output`.
   */
  answer(answer: Answer): Answer;
};

const usualName = 'structured_output';

/** Undefined for a conversation without a schema. */
export function structuredBy(conversation: Conversation): Structured | undefined {
  const { schema, tools = [] } = conversation;
  if (schema === undefined) return undefined;
  let name = usualName;
  while (tools.some((tool) => tool.name === name)) name += '_';
  const wrapped = !isPlainObjectSchema(schema);
  const { schema: _, ...rest } = conversation;
  const told = eventFilter(name, wrapped);
  const message = createMessage();
  const tool: Tool = {
    name,
    description: 'Gives the answer. Call it once, with the whole answer as its input.',
    input_schema: wrapped ? wrap(schema) : schema,
  };
  return {
    conversation: {
      ...rest,
      tools: [...tools, tool],
      toolChoice: choiceOf(conversation, name),
    },
    event: (event) => {
      const events = told(event);
      for (const one of events) message.add(one);
      return events;
    },
    answer: (answer) => ({
      ...answer,
      content: message.content(),
      text: message.text(),
      ...outcomeOf(answer, name, wrapped),
    }),
  };
}

/** Why a value does not satisfy a schema; undefined when it does. */
type Judge = (schema: JsonSchema, value: unknown) => Promise<string | undefined>;

/** An answer by a schema is one when it was judged. Never rejects. */
export async function satisfied(
  answer: Answer,
  structured: Structured,
  { request: { schema }, unsatisfied }: { request: Conversation; unsatisfied: Judge },
): Promise<Outcome> {
  try {
    const judged = structured.answer(answer);
    if (schema !== undefined && 'structured' in judged) {
      const why = await unsatisfied(schema, withoutExactNumbers(judged.structured));
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

/** What else is different in the answer. */
function outcomeOf({ content, stopReason }: Answer, name: string, wrapped: boolean): Partial<Answer> {
  const uses = content.filter(({ type }) => type === 'tool_use');
  const [ours, ...more] = uses.filter((use) => use['name'] === name);
  if (uses.some((use) => use['name'] !== name)) return {};
  // Cut off or declined: the stop reason tells, and there is nothing to judge.
  if (!finished.has(stopReason)) return {};
  if (ours === undefined) throw invalidOutput('the model answered in words instead');
  if (more.length > 0) throw invalidOutput('the model gave more than one');
  const input = ours['input'] as Record<string, unknown>;
  if (wrapped && !Object.hasOwn(input, 'value')) throw invalidOutput('the value is missing');
  return { structured: wrapped ? input['value'] : input, stopReason: 'end_turn', stopSequence: null };
}

const finished: ReadonlySet<string> = new Set(['tool_use', 'end_turn', 'stop_sequence']);

/** With tools of the caller's own the model may ask for one of them first. */
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

/** Leaves out what is neither the answer nor a call of the caller's tools, and numbers the rest anew. */
function eventFilter(name: string, wrapped: boolean): (event: ModelEvent) => readonly ModelEvent[] {
  const indexes = new Map<unknown, number>();
  const kept = new Map<unknown, { json: string; input: unknown }>();
  return (event) => {
    const { index } = event;
    if (event.type === 'content_block_start') {
      const block = event['content_block'] as { type: string; name?: unknown; input?: unknown };
      if (block.type !== 'tool_use') return [];
      const at = indexes.size;
      indexes.set(index, at);
      if (block.name !== name) return [{ ...event, index: at }];
      kept.set(index, { json: '', input: block.input });
      return [{ type: 'content_block_start', index: at, content_block: { type: 'text', text: '' } }];
    }
    const at = indexes.get(index);
    if (!event.type.startsWith('content_block_')) return [event];
    if (at === undefined) return [];
    const ours = kept.get(index);
    if (ours === undefined) return [{ ...event, index: at }];
    if (event.type === 'content_block_stop') {
      const rest = wrapped || ours.json === '' ? textOf(ours.json, ours.input, wrapped) : '';
      return [...textDelta(at, rest), { type: 'content_block_stop', index: at }];
    }
    const piece = (event['delta'] as { partial_json?: unknown } | undefined)?.partial_json;
    if (typeof piece !== 'string') return [];
    ours.json += piece;
    return wrapped ? [] : textDelta(at, piece);
  };
}

function textDelta(index: number, text: string): ModelEvent[] {
  return text === '' ? [] : [{ type: 'content_block_delta', index, delta: { type: 'text_delta', text } }];
}

/** The JSON text of the answer, as the model wrote it where that is all of it. */
function textOf(json: string, input: unknown, wrapped: boolean): string {
  if (json === '') return JSON.stringify(unwrap(input ?? {}, wrapped)) ?? '';
  if (!wrapped) return json;
  try {
    return JSON.stringify(unwrap(parseExactly(json), wrapped)) ?? '';
  } catch {
    // The answer as a whole will be refused.
    return '';
  }
}

function unwrap(input: unknown, wrapped: boolean): unknown {
  return wrapped ? (input as { value?: unknown } | null)?.value : input;
}
