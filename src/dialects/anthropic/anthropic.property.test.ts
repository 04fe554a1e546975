/** Random conversations through the Messages dialect: nothing lost, nothing reordered; malformed ones get a 400 that names the place. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MessageStream } from '@anthropic-ai/sdk/lib/MessageStream';
import type { Conversation, Message } from '../../conversation.ts';
import { RelayError } from '../../errors.ts';
import { anthropic } from './anthropic.ts';
import {
  eventsOf,
  placesOf,
  randomAnswer,
  randomConversation,
  randomJson,
  randomText,
  replaced,
  valueAt,
  type Path,
} from '../../../test/support/random-conversations.ts';
import { Random, rounds, seed } from '../../../test/support/random.ts';

const runs = rounds(10_000);

/** A conversation as a client may write it: one of the ways that mean the same. */
function spelled(conversation: Conversation, random: Random): Record<string, unknown> {
  const {
    system,
    messages,
    effort,
    maxTokens,
    temperature,
    topP,
    topK,
    stopSequences,
    thinking,
    tools,
    toolChoice,
    schema,
  } = conversation;
  const marked = (block: object): object =>
    random.chance(0.05)
      ? {
          ...block,
          cache_control: random.pick([{ type: 'ephemeral' }, { type: 'ephemeral', ttl: '1h' }, null]),
        }
      : block;
  const content = (blocks: Message['content']): unknown => {
    const [first] = blocks;
    if (blocks.length === 1 && first?.type === 'text' && random.chance(0.5)) return first.text;
    return blocks.map((block) => {
      if (block.type === 'thinking' || block.type === 'redacted_thinking') return block;
      if (block.type === 'text' && random.chance(0.1)) return marked({ ...block, citations: null });
      if (block.type === 'tool_use' && random.chance(0.3))
        return marked({ ...block, caller: { type: 'direct' } });
      return marked(block);
    });
  };
  const format = schema === undefined ? undefined : { type: 'json_schema', schema };
  const older = random.chance(0.3);
  const said = system.map((text) => ({ type: 'text', text }));
  return {
    model: 'opus',
    max_tokens: maxTokens,
    messages: messages.map((message) => ({ role: message.role, content: content(message.content) })),
    ...(said.length === 0 && random.chance(0.5)
      ? {}
      : { system: said.length === 1 && random.chance(0.5) ? said[0]?.text : said.map(marked) }),
    ...(effort === undefined && (format === undefined || older)
      ? {}
      : {
          output_config: {
            ...(effort === undefined ? {} : { effort }),
            ...(format === undefined || older ? {} : { format }),
          },
        }),
    ...(format !== undefined && older ? { output_format: format } : {}),
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    ...(topK === undefined ? {} : { top_k: topK }),
    ...(stopSequences === undefined ? {} : { stop_sequences: stopSequences }),
    ...(thinking === undefined ? {} : { thinking }),
    ...(toolChoice === undefined ? {} : { tool_choice: toolChoice }),
    ...(tools === undefined
      ? {}
      : { tools: tools.map((tool) => marked(random.chance(0.3) ? { ...tool, type: 'custom' } : tool)) }),
    ...(random.chance(0.1) ? { metadata: { user_id: 'u' } } : {}),
    ...(random.chance(0.5) ? { stream: random.chance(0.5) } : {}),
  };
}

/** Without the marks for the prompt cache, which `spelled` adds. */
function withoutMarks({ systemMark: _mark, ...conversation }: Conversation): Conversation {
  const { messages, tools } = conversation;
  return {
    ...conversation,
    ...(tools === undefined ? {} : { tools: tools.map(unmarked) }),
    messages: messages.map(unmarkedMessage),
  };
}

function unmarkedMessage(message: Message): Message {
  return { ...message, content: message.content.map(unmarked) } as Message;
}

function unmarked<Place extends object>(place: Place): Place {
  const { cache_control: _mark, ...rest } = place as Place & { cache_control?: unknown };
  return rest as unknown as Place;
}

/** With what the system says in between, here and there. */
function withSystem(conversation: Conversation, random: Random): Conversation {
  const messages = conversation.messages.flatMap((message): Message[] =>
    random.chance(0.9)
      ? [message]
      : [message, { role: 'system', content: [{ type: 'text', text: randomText(random) }] }],
  );
  return { ...conversation, messages };
}

/** Taken as it is: no place below it is the dialect's to judge. */
const isOpaque = (path: Path): boolean =>
  ['input', 'input_schema', 'schema', 'cache_control', 'metadata', 'caller'].includes(String(path.at(-1)));

describe('the Messages dialect', () => {
  test(`${runs} random conversations arrive unchanged`, () => {
    const random = new Random(seed);
    for (let run = 0; run < runs; run += 1) {
      const conversation = withSystem(randomConversation(random), random);
      const body: unknown = JSON.parse(JSON.stringify(spelled(conversation, random)));
      const ask = anthropic.parse(body);
      const arrived = withoutMarks(ask.conversation);
      assert.deepEqual(arrived, conversation, `run ${run} of SEED=${seed}`);
      assert.equal(JSON.stringify(arrived.messages), JSON.stringify(conversation.messages));
    }
  });

  test(`${runs} random requests, each broken at one place, are refused with that place`, () => {
    const random = new Random(seed + 1);
    for (let run = 0; run < runs; run += 1) {
      const body = spelled(withSystem(randomConversation(random), random), random);
      const { spoiled, place } = spoil(body, random);
      assert.throws(
        () => anthropic.parse(spoiled),
        (error) => {
          assert.ok(error instanceof RelayError && error.code === 'bad_request', String(error));
          assert.ok(
            error.message.startsWith(`${place}: `),
            `run ${run} of SEED=${seed}: ${place}\n${error.message}`,
          );
          return true;
        },
      );
    }
  });

  test(`${runs} requests with random values anywhere are accepted or refused`, () => {
    const random = new Random(seed + 2);
    let refused = 0;
    for (let run = 0; run < runs; run += 1) {
      let body: unknown = spelled(withSystem(randomConversation(random), random), random);
      for (let change = random.below(3); change >= 0; change -= 1) {
        const places = placesOf(body, () => false);
        if (places.length > 0)
          body = replaced(body, random.pick(places), random.pick([undefined, randomJson(random)]));
      }
      try {
        anthropic.parse(body);
      } catch (error) {
        assert.ok(
          error instanceof RelayError && error.code === 'bad_request',
          `run ${run} of SEED=${seed}: ${String(error)}`,
        );
        assert.match(error.message, /^[\w.-]+.*: ./su);
        refused += 1;
      }
    }
    assert.ok(refused > runs / 4 && refused < runs);
  });

  test('streams of random answers add up to the whole message in the official client', async () => {
    const random = new Random(seed + 3);
    for (let run = 0; run < 500; run += 1) {
      const answer = randomAnswer(random);
      const { responder } = anthropic.parse({
        model: 'opus',
        max_tokens: 1,
        messages: [{ role: 'user', content: 'x' }],
      });
      const facts = { requestId: 'req_1', model: 'opus', at: 0, durationMs: 0 };
      const stream = responder.stream(() => facts);
      const text = `${eventsOf(answer, random)
        .map((event) => stream.event(event))
        .join('')}${stream.end(answer)}`;
      // The client's own reader of recorded streams takes a line an event.
      const lines = text
        .split('\n')
        .flatMap((line) => (line.startsWith('data: ') ? `${line.slice(6)}\n` : []));
      const added = await MessageStream.fromReadableStream(new Blob(lines).stream()).finalMessage();
      const whole = responder.body(answer, facts) as Record<string, unknown>;
      for (const field of [
        'id',
        'model',
        'role',
        'stop_reason',
        'stop_sequence',
        'stop_details',
        'usage',
      ] as const) {
        assert.deepEqual(added[field], whole[field], `${field}, run ${run} of SEED=${seed}`);
      }
      assert.equal(
        JSON.stringify(added.content.map(plain)),
        JSON.stringify((whole['content'] as object[]).map(plain)),
      );
    }
  });
});

/** Without what the client adds for itself. */
function plain(block: object): object {
  return Object.fromEntries(Object.entries(block).filter(([name]) => name !== 'parsed_output'));
}

/** One thing that is certainly wrong, and where. */
function spoil(body: Record<string, unknown>, random: Random): { spoiled: unknown; place: string } {
  const places = placesOf(body, isOpaque);
  const path = random.pick(places);
  const value = valueAt(body, path);
  const key = path.at(-1);
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value) && !isOpaque(path);
  // In messages and system blocks an unknown field is not wrong.
  const isStrict = !['messages', 'system'].includes(String(path[0]));
  if (isObject && isStrict && random.chance(0.4)) {
    return { spoiled: replaced(body, [...path, 'zz_unknown'], 1), place: [...path, 'zz_unknown'].join('.') };
  }
  const isRequired =
    path.join() !== 'thinking' &&
    [
      'model',
      'max_tokens',
      'messages',
      'role',
      'text',
      'name',
      'input',
      'input_schema',
      'source',
      'media_type',
      'data',
      'tool_use_id',
      'id',
      'thinking',
      'signature',
      'budget_tokens',
    ].includes(String(key));
  const isTag = key === 'type' && !String(path[0]).startsWith('tools');
  if ((isRequired || isTag) && random.chance(0.4))
    return { spoiled: replaced(body, path, undefined), place: path.join('.') };
  // A number where none is, and a word where one is, is wrong everywhere.
  const wrong = typeof value === 'number' ? 'seven' : 7;
  return { spoiled: replaced(body, path, wrong), place: path.join('.') };
}
