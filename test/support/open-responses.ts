/**
 * What Open Responses requires of an answer and of each event of a stream, as JSON Schema: all facts of the schemas behind
 * `ResponseResource` and the streaming events in `public/openapi/openapi.json` of github.com/openresponses/openresponses (Apache 2.0,
 * version 2026-04-24), and none of its text. It allows further fields everywhere.
 */
import assert from 'node:assert/strict';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Post } from './relay.ts';

type Schema = Record<string, unknown>;
type Fields = Record<string, Schema>;

const text = { type: 'string' };
const whole = { type: 'integer' };
const number = { type: 'number' };
const flag = { type: 'boolean' };
const record = { type: 'object' };

const just = (value: string): Schema => ({ const: value });
const oneOf = (...values: string[]): Schema => ({ enum: values });
const orNull = (schema: Schema): Schema => ({ anyOf: [schema, { type: 'null' }] });
const list = (items: Schema): Schema => ({ type: 'array', items });
const object = (required: Fields, optional: Fields = {}): Schema => ({
  type: 'object',
  properties: { ...required, ...optional },
  required: Object.keys(required),
});
const either = (...schemas: Schema[]): Schema => ({ oneOf: schemas });

const topLogprob = { token: text, logprob: number, bytes: list(whole) };
const logprob = object({ ...topLogprob, top_logprobs: list(object(topLogprob)) });
const urlCitation = object({
  type: just('url_citation'),
  url: text,
  start_index: whole,
  end_index: whole,
  title: text,
});

const inputText = object({ type: just('input_text'), text });
const outputText = object(
  { type: just('output_text'), text, annotations: list(urlCitation) },
  { logprobs: list(logprob) },
);
const summaryText = object({ type: just('summary_text'), text });
const reasoningText = object({ type: just('reasoning_text'), text });
const refusal = object({ type: just('refusal'), refusal: text });
const inputImage = object({
  type: just('input_image'),
  image_url: orNull(text),
  detail: oneOf('low', 'high', 'auto'),
});
const inputFile = object({ type: just('input_file') }, { filename: text, file_url: text });
const inputVideo = object({ type: just('input_video'), video_url: text });
const parts = [
  inputText,
  outputText,
  object({ type: just('text'), text }),
  summaryText,
  reasoningText,
  refusal,
  inputImage,
  inputFile,
];
const part = either(...parts);

const itemStatus = oneOf('in_progress', 'completed', 'incomplete');
const item = either(
  object(
    {
      type: just('message'),
      id: text,
      status: itemStatus,
      role: oneOf('user', 'assistant', 'system', 'developer'),
      content: list(either(...parts, inputVideo)),
    },
    { phase: oneOf('commentary', 'final_answer') },
  ),
  object({
    type: just('function_call'),
    id: text,
    call_id: text,
    name: text,
    arguments: text,
    status: itemStatus,
  }),
  object({
    type: just('function_call_output'),
    id: text,
    call_id: text,
    output: either(text, list(either(inputText, inputImage, inputFile))),
    status: itemStatus,
  }),
  // These two have no status in that file, but the text of the specification demands one of every item.
  object(
    { type: just('reasoning'), id: text, status: itemStatus, summary: list(part) },
    { content: list(part), encrypted_content: text },
  ),
  object(
    { type: just('compaction'), id: text, status: itemStatus, encrypted_content: text },
    { created_by: text },
  ),
);

const format = either(
  object({ type: just('text') }),
  object({ type: just('json_object') }),
  object({
    type: just('json_schema'),
    name: text,
    description: orNull(text),
    // That file has only null here, but `schema/components/schemas/JsonSchemaResponseFormat.json` and OpenAI's API have the schema too.
    schema: orNull(record),
    strict: flag,
  }),
);

const choiceValue = oneOf('none', 'auto', 'required');
const functionChoice = object({ type: just('function') }, { name: text });

const usage = object({
  input_tokens: whole,
  output_tokens: whole,
  total_tokens: whole,
  input_tokens_details: object({ cached_tokens: whole }),
  output_tokens_details: object({ reasoning_tokens: whole }),
});

const response = object({
  id: text,
  object: just('response'),
  created_at: whole,
  completed_at: orNull(whole),
  status: text,
  incomplete_details: orNull(object({ reason: text })),
  model: text,
  previous_response_id: orNull(text),
  instructions: orNull(text),
  output: list(item),
  error: orNull(object({ code: text, message: text })),
  tools: list(
    object({
      type: just('function'),
      name: text,
      description: orNull(text),
      parameters: orNull(record),
      strict: orNull(flag),
    }),
  ),
  tool_choice: either(
    functionChoice,
    choiceValue,
    object({ type: just('allowed_tools'), tools: list(functionChoice), mode: choiceValue }),
  ),
  truncation: oneOf('auto', 'disabled'),
  parallel_tool_calls: flag,
  text: object({ format }, { verbosity: oneOf('low', 'medium', 'high') }),
  top_p: number,
  presence_penalty: number,
  frequency_penalty: number,
  top_logprobs: whole,
  temperature: number,
  reasoning: orNull(
    object({
      effort: orNull(oneOf('none', 'low', 'medium', 'high', 'xhigh')),
      summary: orNull(oneOf('concise', 'detailed', 'auto')),
    }),
  ),
  usage: orNull(usage),
  max_output_tokens: orNull(whole),
  max_tool_calls: orNull(whole),
  store: flag,
  background: flag,
  service_tier: text,
  metadata: {},
  safety_identifier: orNull(text),
  prompt_cache_key: orNull(text),
});

const ofItem = { item_id: text, output_index: whole };
const ofPart = { ...ofItem, content_index: whole };
const ofSummary = { ...ofItem, summary_index: whole };
const padded = { obfuscation: text };
const withLogprobs = { logprobs: list(logprob) };

/** The required fields of each event, and the optional ones. */
const events: Readonly<Record<string, [required: Fields, optional?: Fields]>> = {
  error: [
    {
      error: object(
        { type: text, code: orNull(text), message: text, param: orNull(text) },
        { headers: { type: 'object', additionalProperties: text } },
      ),
    },
  ],
  'response.created': [{ response }],
  'response.queued': [{ response }],
  'response.in_progress': [{ response }],
  'response.completed': [{ response }],
  'response.failed': [{ response }],
  'response.incomplete': [{ response }],
  'response.output_item.added': [{ output_index: whole, item: orNull(item) }],
  'response.output_item.done': [{ output_index: whole, item: orNull(item) }],
  'response.content_part.added': [{ ...ofPart, part }],
  'response.content_part.done': [{ ...ofPart, part }],
  'response.output_text.delta': [
    { ...ofPart, delta: text },
    { ...withLogprobs, ...padded },
  ],
  'response.output_text.done': [{ ...ofPart, text }, withLogprobs],
  'response.output_text.annotation.added': [
    { ...ofPart, annotation_index: whole, annotation: orNull(urlCitation) },
  ],
  'response.refusal.delta': [{ ...ofPart, delta: text }],
  'response.refusal.done': [{ ...ofPart, refusal: text }],
  'response.reasoning.delta': [{ ...ofPart, delta: text }, padded],
  'response.reasoning.done': [{ ...ofPart, text }],
  'response.reasoning_summary_part.added': [{ ...ofSummary, part }],
  'response.reasoning_summary_part.done': [{ ...ofSummary, part }],
  'response.reasoning_summary_text.delta': [{ ...ofSummary, delta: text }, padded],
  'response.reasoning_summary_text.done': [{ ...ofSummary, text }],
  'response.function_call_arguments.delta': [{ ...ofItem, delta: text }, padded],
  'response.function_call_arguments.done': [{ ...ofItem, arguments: text }],
};

const ajv = new Ajv2020({ allErrors: true, strict: false });
const responseIsValid = ajv.compile(response);
const eventIsValid = new Map(
  Object.entries(events).map(([type, [required, optional]]) => [
    type,
    ajv.compile(object({ type: just(type), sequence_number: whole, ...required }, optional)),
  ]),
);

export function requireResponse(value: unknown): void {
  assert.ok(responseIsValid(value), ajv.errorsText(responseIsValid.errors, { dataVar: 'response' }));
}

export type ResponseEvent = { type: string; sequence_number: number } & Record<string, unknown>;

/** The events of a stream up to [DONE]; each one is named by its type, is valid, and has the next number. */
export function requireEvents(stream: string): ResponseEvent[] {
  const sent = stream.split('\n\n').filter((lines) => lines !== '' && !lines.startsWith(':'));
  assert.equal(sent.pop(), 'data: [DONE]');
  return sent.map((lines, index) => {
    const [, name, data = ''] =
      /^event: (\S+)\ndata: (.+)$/.exec(lines) ?? assert.fail(`not an event: ${lines}`);
    const event = JSON.parse(data) as ResponseEvent;
    assert.equal(event.type, name);
    assert.equal(event.sequence_number, index);
    const isValid =
      eventIsValid.get(event.type) ?? assert.fail(`no event of the specification: ${event.type}`);
    assert.ok(isValid(event), ajv.errorsText(isValid.errors, { dataVar: event.type }));
    return event;
  });
}

export type ResponseBody = { id: string; status: string; output: Record<string, unknown>[] } & Record<
  string,
  unknown
>;

const path = '/v1/responses';

/** The valid response to a request. */
export async function askResponse(relay: Post, body: object): Promise<ResponseBody> {
  const response = await relay.post({ model: 'opus', ...body }, { path });
  const value = (await response.json()) as ResponseBody;
  assert.equal(response.status, 200, JSON.stringify(value));
  requireResponse(value);
  return value;
}

/** The valid events of the response to a request. */
export async function streamResponse(relay: Post, body: object): Promise<ResponseEvent[]> {
  const response = await relay.post({ model: 'opus', stream: true, ...body }, { path });
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  return requireEvents(await response.text());
}
