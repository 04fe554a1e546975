/** 10,000 random conversations through the translation both ways, and as many with something broken in them. The seed is printed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Answer, Message, ModelEvent } from '../../conversation.ts';
import { RelayError } from '../../errors.ts';
import { openai } from './openai.ts';
import { Random, rounds, seed } from '../../../test/support/random.ts';

const runs = rounds(10_000);

const words = [
  'a',
  'größer',
  '🙂',
  '中文',
  '\n',
  '"',
  '\\',
  '@/etc/passwd',
  '/cost',
  '</s>',
  '{"x":1}',
  ' ',
  '\u2028',
  'data:',
];

function text(random: Random): string {
  return `x${Array.from({ length: random.below(6) }, () => random.pick(words)).join('')}`;
}

function json(random: Random, depth = 0): unknown {
  const kind = random.below(depth > 3 ? 4 : 6);
  if (kind === 0) return random.below(1000) - 500;
  if (kind === 1) return text(random);
  if (kind === 2) return random.chance(0.5);
  if (kind === 3) return null;
  if (kind === 4) return Array.from({ length: random.below(3) }, () => json(random, depth + 1));
  return object(random, depth + 1);
}

function object(random: Random, depth = 0): Record<string, unknown> {
  return Object.fromEntries(
    Array.from({ length: random.below(4) }, (_, index) => [`${text(random)}${index}`, json(random, depth)]),
  );
}

const base64 = (random: Random): string =>
  btoa(String.fromCharCode(...Array.from({ length: 1 + random.below(9) }, () => random.below(256))));

type Case = { body: Record<string, unknown>; system: string[]; messages: Message[] };

/** A request, and what must come of it: put together side by side, not one from the other. */
function conversation(random: Random): Case {
  const given: object[] = [];
  const system: string[] = [];
  const messages: Message[] = [];
  const maybeSystem = (): void => {
    if (!random.chance(0.2)) return;
    const texts = Array.from({ length: 1 + random.below(2) }, () => text(random));
    system.push(...texts);
    const content =
      texts.length === 1 && random.chance(0.5) ? texts[0] : texts.map((text) => ({ type: 'text', text }));
    given.push({ role: random.pick(['system', 'developer']), content });
  };
  let call = 0;
  const turns = 1 + random.below(4);
  for (let turn = 0; turn < turns; turn += 1) {
    maybeSystem();
    for (let more = 0; more === 0 || random.chance(0.1); more += 1) userTurn();
    if (turn + 1 < turns || random.chance(0.3)) assistantTurn(turn + 1 === turns);
  }
  return { body: { model: 'opus', messages: given, ...parameters(random) }, system, messages };

  function userTurn(): void {
    if (random.chance(0.4)) {
      const only = text(random);
      given.push({ role: 'user', content: only });
      messages.push({ role: 'user', content: [{ type: 'text', text: only }] });
      return;
    }
    const parts: object[] = [];
    const blocks: Extract<Message, { role: 'user' }>['content'][number][] = [];
    const count = 1 + random.below(5);
    while (blocks.length < count) {
      const kind = random.below(5);
      const data = base64(random);
      if (kind === 0) parts.push({ type: 'text', text: random.pick(['', ' ', '\n\t']) });
      else if (kind === 1) {
        const type = random.pick(['image/png', 'image/jpeg', 'image/gif', 'image/webp'] as const);
        parts.push({ type: 'image_url', image_url: { url: `data:${type};base64,${data}`, detail: 'auto' } });
        blocks.push({ type: 'image', source: { type: 'base64', media_type: type, data } });
      } else if (kind === 2) {
        const title = text(random);
        parts.push({
          type: 'file',
          file: { file_data: `data:application/pdf;base64,${data}`, filename: title },
        });
        blocks.push({
          type: 'document',
          source: { type: 'base64', media_type: 'application/pdf', data },
          title,
        });
      } else {
        const words = text(random);
        parts.push({ type: 'text', text: words });
        blocks.push({ type: 'text', text: words });
      }
    }
    given.push({ role: 'user', content: parts });
    messages.push({ role: 'user', content: blocks });
  }

  function assistantTurn(mustCall: boolean): void {
    const texts = Array.from({ length: random.below(3) }, () => text(random));
    const calls =
      mustCall || random.chance(0.5)
        ? Array.from({ length: 1 + random.below(3) }, () => ({
            id: `call_${(call += 1)}`,
            name: random.pick(['f', 'g-h', 'i_2']),
            input: object(random),
          }))
        : [];
    const uses = calls.map(({ id, name, input }) => ({ type: 'tool_use' as const, id, name, input }));
    const content =
      random.chance(0.5) && texts.length === 1 ? texts[0] : texts.map((text) => ({ type: 'text', text }));
    given.push({
      role: 'assistant',
      content: texts.length === 0 ? random.pick([null, '', []]) : content,
      ...(calls.length === 0
        ? {}
        : {
            tool_calls: calls.map(({ id, name, input }) => ({
              id,
              type: 'function',
              function: { name, arguments: JSON.stringify(input, null, random.below(2)) },
            })),
          }),
    });
    const blocks = [...texts.map((text) => ({ type: 'text' as const, text })), ...uses];
    if (blocks.length > 0) messages.push({ role: 'assistant', content: blocks });
    if (calls.length === 0) return;
    const results = calls.map(({ id }) => ({
      id,
      content: random.chance(0.1) ? '' : text(random),
      asParts: random.chance(0.3),
    }));
    for (const { id, content, asParts } of results.toSorted(() => random.below(3) - 1)) {
      given.push({
        role: 'tool',
        tool_call_id: id,
        content: asParts ? [{ type: 'text', text: content }] : content,
      });
      maybeSystem();
    }
    messages.push({
      role: 'user',
      content: results.map(({ id, content, asParts }) => ({
        type: 'tool_result',
        tool_use_id: id,
        content: asParts ? (content === '' ? [] : [{ type: 'text', text: content }]) : content,
      })),
    });
  }
}

function parameters(random: Random): Record<string, unknown> {
  const tools = ['f', 'g-h', 'i_2'].map((name) => ({
    type: 'function',
    function: { name, description: text(random), parameters: { type: 'object', properties: object(random) } },
  }));
  const all: Record<string, () => unknown> = {
    temperature: () => random.below(21) / 10,
    top_p: () => random.below(11) / 10,
    max_completion_tokens: () => 1 + random.below(1000),
    stop: () => random.pick(['END', ['a', 'b'], null]),
    stream: () => random.chance(0.5),
    tools: () => tools,
    reasoning_effort: () => random.pick(['none', 'low', 'max']),
    response_format: () =>
      random.pick([
        { type: 'text' },
        { type: 'json_schema', json_schema: { name: 'x', schema: object(random) } },
      ]),
    seed: () => random.below(100),
    metadata: () => object(random),
    n: () => 1,
  };
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, make]) => (random.chance(0.3) ? [[name, make()]] : [])),
  );
}

test(`random chat requests lose nothing and keep their order (SEED=${seed})`, () => {
  const random = new Random(seed);
  let blocks = 0;
  for (let run = 0; run < runs; run += 1) {
    const { body, system, messages } = conversation(random);
    // As it comes over the wire.
    const parsed = openai.parse(JSON.parse(JSON.stringify(body))).conversation;
    assert.deepEqual(parsed.system, system, `run ${run}`);
    assert.deepEqual(parsed.messages, messages, `run ${run}`);
    assert.equal(parsed.tools?.length, (body['tools'] as unknown[] | undefined)?.length);
    blocks += messages.reduce((sum, { content }) => sum + content.length, 0);
  }
  assert.ok(blocks > 3 * runs, 'the conversations are more than a text each');
});

test(`random answers lose nothing and keep their order, whole, streamed and sent back (SEED=${seed})`, () => {
  const random = new Random(seed + 1);
  for (let run = 0; run < runs; run += 1) {
    const { answer, events } = randomAnswer(random);
    const { responder } = openai.parse({
      messages: [{ role: 'user', content: 'hi' }],
      stream_options: { include_usage: true },
    });
    const facts = { requestId: `req_${run}`, model: 'opus', at: run, durationMs: 1 };
    const whole = responder.body(answer, facts) as Completion;
    const speaking = responder.stream(() => facts);
    const streamed = accumulate(events.map((event) => speaking.event(event)).join('') + speaking.end(answer));
    const { annotations, ...message } = whole.choices[0].message;
    assert.deepEqual(annotations, []);
    assert.deepEqual(
      streamed,
      { message, finish: whole.choices[0].finish_reason, usage: whole.usage },
      `run ${run}`,
    );

    // The message that an app keeps and sends back is the one that the model gave: its texts as one, and its calls.
    const uses = answer.content.filter((block) => block.type === 'tool_use');
    const results = uses.map((use) => ({ role: 'tool', tool_call_id: use['id'], content: 'x' }));
    const next = openai.parse({
      messages: [
        { role: 'user', content: 'hi' },
        whole.choices[0].message,
        ...results,
        { role: 'user', content: 'go on' },
      ],
    }).conversation.messages;
    const said = answer.text.trim() === '' ? [] : [{ type: 'text', text: answer.text }];
    const expected = [...said, ...uses];
    if (expected.length > 0)
      assert.deepEqual(next[1], { role: 'assistant', content: expected }, `run ${run}`);
    else assert.equal(next.length, 2);
  }
});

type Completion = {
  choices: [{ message: Record<string, unknown>; finish_reason: string }];
  usage: object;
};

function randomAnswer(random: Random): { answer: Answer; events: ModelEvent[] } {
  const content: Answer['content'][number][] = [];
  const events: ModelEvent[] = [{ type: 'message_start', message: { model: 'claude-x' } }];
  const count = random.below(5);
  for (let index = 0; index < count; index += 1) {
    const kind = random.pick(['text', 'text', 'thinking', 'tool_use'] as const);
    const value =
      kind === 'tool_use'
        ? { id: `toolu_${index}`, name: 'f', input: object(random) }
        : kind === 'text'
          ? { text: text(random) }
          : { thinking: text(random), signature: 's' };
    content.push({ type: kind, ...value });
    const opening = {
      text: { text: '' },
      thinking: { thinking: '', signature: '' },
      tool_use: { id: `toolu_${index}`, name: 'f', input: {} },
    }[kind];
    events.push({ type: 'content_block_start', index, content_block: { type: kind, ...opening } });
    const [deltaType, field, whole] =
      'input' in value
        ? (['input_json_delta', 'partial_json', JSON.stringify(value.input)] as const)
        : 'text' in value
          ? (['text_delta', 'text', value.text] as const)
          : (['thinking_delta', 'thinking', value.thinking] as const);
    // An empty input may come as no piece at all.
    if (whole !== '{}' || random.chance(0.5)) {
      for (let at = 0; at < whole.length;) {
        const size = random.below(5);
        events.push({
          type: 'content_block_delta',
          index,
          delta: { type: deltaType, [field]: whole.slice(at, at + size) },
        });
        at += size;
      }
    }
    events.push({ type: 'content_block_stop', index });
    if (random.chance(0.1)) events.push({ type: 'ping' });
  }
  const texts = content.flatMap((block) => (block.type === 'text' ? [String(block['text'])] : []));
  const calls = content.some((block) => block.type === 'tool_use');
  const count3 = (): number => random.below(1000);
  const usage = {
    input_tokens: count3(),
    output_tokens: count3(),
    cache_read_input_tokens: count3(),
    cache_creation_input_tokens: count3(),
  };
  return {
    answer: {
      messageId: 'msg_1',
      content,
      text: texts.join(''),
      stopReason: calls ? 'tool_use' : random.pick(['end_turn', 'max_tokens', 'refusal', 'stop_sequence']),
      stopSequence: null,
      resolvedModel: 'claude-x',
      usage,
      rawUsage: usage,
      costUsd: null,
    },
    events,
  };
}

type Chunk = {
  choices: { delta: Record<string, unknown>; finish_reason: string | null }[];
  usage: object | null;
};

/** As a client puts the chunks together. */
function accumulate(stream: string): { message: object; finish: string | undefined; usage: unknown } {
  const frames = stream.split('\n\n').slice(0, -1);
  assert.equal(frames.pop(), 'data: [DONE]');
  const message: {
    role?: unknown;
    content?: string | null;
    refusal?: unknown;
    tool_calls?: { function: { arguments: string } }[];
  } = {};
  let finish: string | undefined;
  let usage: unknown;
  for (const frame of frames) {
    assert.equal(finish === undefined || usage === undefined, true, 'nothing comes after the usage');
    const chunk = JSON.parse(frame.slice('data: '.length)) as Chunk;
    usage = chunk.usage ?? undefined;
    const [choice] = chunk.choices;
    if (choice === undefined) continue;
    assert.equal(finish, undefined, 'nothing but the usage comes after the reason');
    finish = choice.finish_reason ?? undefined;
    const { role, content, refusal, tool_calls: calls } = choice.delta;
    if (role !== undefined) Object.assign(message, { role, content, refusal });
    else if (typeof content === 'string') message.content = (message.content ?? '') + content;
    for (const { index, ...call } of (calls ?? []) as { index: number; function: { arguments: string } }[]) {
      message.tool_calls ??= [];
      const known = message.tool_calls[index];
      if (known === undefined) message.tool_calls[index] = call;
      else known.function.arguments += call.function.arguments;
    }
  }
  return { message, finish, usage };
}

type Path = (string | number)[];

test(`a chat request broken in one place is accepted or refused with a place (SEED=${seed})`, () => {
  const random = new Random(seed + 2);
  let refused = 0;
  for (let run = 0; run < runs; run += 1) {
    const body = JSON.parse(JSON.stringify(conversation(random).body)) as Record<string, unknown>;
    const path = breakSomething(body, random);
    const told = JSON.stringify({ run, path, body }).slice(0, 4000);
    let error: unknown;
    try {
      openai.parse(body);
    } catch (thrown) {
      error = thrown;
    }
    if (error === undefined) continue;
    refused += 1;
    assert.ok(error instanceof RelayError, told);
    assert.equal(error.code, 'bad_request', told);
    const { param } = error.details;
    // A body without one name is broken as a whole; a message may be broken by what another one lacks.
    if (param === undefined) assert.match(error.message, /^The request body /, told);
    else {
      assert.ok(error.message.includes(param), told);
      assert.ok(
        param.startsWith(String(path[0])) || (path[0] === 'tools' && param.startsWith('tool_choice')),
        `${param} ${told}`,
      );
      if (path[0] !== 'messages') continue;
      const index = /^messages\[(\d+)\]/.exec(param)?.[1];
      assert.ok(index !== undefined || path.length <= 2, `${param} ${told}`);
    }
  }
  assert.ok(refused > runs / 3, `${refused} were refused`);
});

/** Changes one random place of a body; returns where. */
function breakSomething(body: Record<string, unknown>, random: Random): Path {
  const places: Path[] = [];
  const visit = (value: unknown, path: Path): void => {
    if (path.length > 0) places.push(path);
    if (typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries(value))
      visit(inner, [...path, Array.isArray(value) ? Number(key) : key]);
  };
  visit(body, []);
  const path = random.pick(places);
  let holder = body as Record<string | number, unknown>;
  for (const step of path.slice(0, -1)) holder = holder[step] as Record<string | number, unknown>;
  const key = path.at(-1) as string | number;
  switch (random.below(6)) {
    case 0:
      if (Array.isArray(holder)) holder.splice(Number(key), 1);
      else delete holder[key];
      break;
    case 1:
      holder[key] = random.pick([null, true, 5, -1, 1.5, 'x', '', [], {}, [null], { type: 'x' }]);
      break;
    case 2:
      holder[key] = random.pick(['a\0', '\ud800x', '{', 'data:image/png;base64,!', 'https://example.com/']);
      break;
    case 3:
      if (Array.isArray(holder)) holder.push(holder[Number(key)]);
      else {
        holder['surprise'] = 1;
        return [...path.slice(0, -1), 'surprise'];
      }
      break;
    case 4:
      if (Array.isArray(holder)) holder.reverse();
      else holder[`${key}\ud800`] = 1;
      break;
    default: {
      let deep: unknown = 'x';
      for (let level = 0; level < 300; level += 1) deep = { '\u0061': [deep] };
      holder[key] = deep;
    }
  }
  return path;
}
