/** The content of whole answers and streams of each completion route, in one form for comparison. */
import assert from 'node:assert/strict';
import type { Ending } from './endings.ts';

export type Json = Record<string, unknown>;
/** The content of an answer, or the code of its error. */
export type Held =
  | { error: unknown }
  | { text: unknown; calls: unknown; stop: unknown; usage: unknown; more?: unknown };
export type Route = {
  path: string;
  body: (prompt: string, asks: Ending['asks']) => Json;
  whole: (body: Json) => Held;
  stream: (events: Json[]) => Held;
  /** The stop reason in the route's format. Absent: unchanged. */
  stop?: (reason: string) => string;
};

const schemas: Record<string, Json> = {
  schema: { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] },
  list: { type: 'array', items: { type: 'integer' } },
};
const parameters = { type: 'object', properties: { city: { type: 'string' } } };

export const routes: Route[] = [
  {
    path: '/v1/complete',
    body: (prompt, asks) => ({
      prompt,
      output_format: 'json',
      ...(asks === undefined ? {} : { schema: schemas[asks] }),
    }),
    whole: (body) => ({
      text: body['result'],
      calls: [],
      stop: body['stop_reason'],
      usage: body['usage'],
      more: [body['stop_sequence'], body['resolved_model']],
    }),
    stream: (events) => {
      const end = events.at(-1) ?? {};
      const deltas = events.filter(({ type }) => type === 'delta').map(({ text }) => text);
      const text = 'text' in end ? end['text'] : end['result'];
      const told = typeof text === 'string' ? text : JSON.stringify(text);
      assert.equal(deltas.join(''), told);
      return {
        text,
        calls: [],
        stop: end['stop_reason'],
        usage: end['usage'],
        more: [end['stop_sequence'], end['resolved_model']],
      };
    },
  },
  {
    path: '/v1/messages',
    body: (prompt, asks) => ({
      model: 'opus',
      max_tokens: 4096,
      messages: [{ role: 'user', content: prompt }],
      ...(asks === 'tools' ? { tools: [{ name: 'get_weather', input_schema: parameters }] } : {}),
      ...(asks === 'schema' || asks === 'list'
        ? { output_config: { format: { type: 'json_schema', schema: schemas[asks] } } }
        : {}),
    }),
    whole: (body) => heldMessage(body),
    stream: (events) => heldMessage(messageOf(events)),
  },
  {
    path: '/v1/chat/completions',
    body: (prompt, asks) => ({
      model: 'opus',
      messages: [{ role: 'user', content: prompt }],
      stream_options: { include_usage: true },
      ...(asks === 'tools'
        ? { tools: [{ type: 'function', function: { name: 'get_weather', parameters } }] }
        : {}),
      ...(asks === 'schema' || asks === 'list'
        ? { response_format: { type: 'json_schema', json_schema: { name: 'n', schema: schemas[asks] } } }
        : {}),
    }),
    whole: ({ choices, usage, model }) => {
      const [choice] = choices as { message: Json; finish_reason: string }[];
      const { content, tool_calls: calls = [], refusal } = choice?.message ?? {};
      return { text: content, calls, stop: choice?.finish_reason, usage, more: [refusal, model] };
    },
    stream: heldChunks,
    stop: (reason) =>
      ({ tool_use: 'tool_calls', refusal: 'content_filter', end_turn: 'stop', stop_sequence: 'stop' })[
        reason
      ] ?? 'length',
  },
];

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

function heldMessage({ content, stop_reason, stop_sequence, usage, model, id }: Json): Held {
  const blocks = content as Json[];
  return {
    text: blocks.map(({ text }) => textOf(text)).join(''),
    calls: blocks.filter(({ type }) => type !== 'text'),
    stop: stop_reason,
    usage,
    more: [stop_sequence, model, id, blocks.map(({ citations }) => citations)],
  };
}

/** Puts a message together from its events, as the SDKs do. */
function messageOf(events: Json[]): Json {
  const [start, ...rest] = events;
  const message = { ...(start?.['message'] as Json), content: [] as Json[] };
  for (const event of rest) {
    const at = message.content[event['index'] as number] ?? {};
    const delta = (event['delta'] ?? {}) as Json;
    if (event['type'] === 'content_block_start')
      message.content.push({ ...(event['content_block'] as Json) });
    else if (event['type'] === 'message_delta') {
      Object.assign(message, delta, {
        usage: { ...((message as Json)['usage'] as Json), ...(event['usage'] as Json) },
      });
    } else if (event['type'] === 'content_block_stop' && typeof at['json'] === 'string') {
      at['input'] = parsed(at['json']);
      delete at['json'];
    } else if (typeof delta['partial_json'] === 'string') {
      at['json'] = textOf(at['json']) + delta['partial_json'];
    } else if (delta['type'] === 'citations_delta') {
      at['citations'] = [...((at['citations'] as unknown[]) ?? []), delta['citation']];
    } else {
      for (const name of ['text', 'thinking', 'signature']) {
        if (typeof delta[name] === 'string') at[name] = textOf(at[name]) + textOf(delta[name]);
      }
    }
  }
  return message;
}

/** An input that was cut off is not compared. */
function parsed(json: string): unknown {
  try {
    return JSON.parse(json === '' ? '{}' : json);
  } catch {
    return {};
  }
}

function heldChunks(chunks: Json[]): Held {
  const calls: { id: unknown; type: unknown; function: { name: string; arguments: string } }[] = [];
  let text: string | null = null;
  let stop: unknown;
  let usage: unknown;
  let refusal: unknown = null;
  let model: unknown;
  for (const chunk of chunks) {
    const [choice] = chunk['choices'] as { delta: Json; finish_reason: unknown }[];
    usage = chunk['usage'] ?? usage;
    model = chunk['model'];
    if (choice === undefined) continue;
    const { content, tool_calls, refusal: why } = choice.delta;
    if (typeof content === 'string') text = (text ?? '') + content;
    refusal = why ?? refusal;
    stop = choice.finish_reason ?? stop;
    for (const call of (tool_calls ?? []) as { index: number; id?: string; function: Json }[]) {
      calls[call.index] ??= { id: call.id, type: 'function', function: { name: '', arguments: '' } };
      const { function: called } = calls[call.index] as (typeof calls)[number];
      called.name += textOf(call.function['name']);
      called.arguments += textOf(call.function['arguments']);
    }
  }
  return { text, calls, stop, usage, more: [refusal, model] };
}

/** The code of an error in each route's format. */
export function errorOf(body: Json): unknown {
  const { error } = body;
  return typeof error === 'object' && error !== null
    ? ((error as Json)['code'] ?? (error as Json)['type'])
    : error;
}
