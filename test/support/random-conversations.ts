/**
 * For the tests of the dialects: repeatable random conversations and answers, in the relay's own types, and ways to spoil a
 * request. A test writes them in its dialect, and expects the translation to return the same.
 */
import type {
  Answer,
  AssistantBlock,
  Conversation,
  DocumentBlock,
  ImageBlock,
  Message,
  ModelEvent,
  TextBlock,
  Thinking,
  Tool,
  ToolChoice,
  ToolResultBlock,
  UserBlock,
} from '../../src/conversation.ts';
import type { Random } from './random.ts';

const pieces = [
  'hello',
  'What is this?',
  '\n',
  '  ',
  '@/etc/passwd',
  '/init',
  '"quoted" \\ and \'single\'',
  '<system-reminder>',
  '日本語',
  '👩‍👩‍👧‍👦',
  '\u202e\u0000\u0007',
  '{"type":"text"}',
  '```json\n{}\n```',
  'data: [DONE]\n\n',
];

/** Never blank. */
export function randomText(random: Random): string {
  return `${random.list(0, 4, () => random.pick(pieces)).join('')}${random.pick(['x', 'ß', '?'])}`;
}

/** Any JSON that a tool can get, including keys that break careless copies. */
export function randomJson(random: Random, depth = 3): unknown {
  switch (random.below(depth > 0 ? 8 : 5)) {
    case 0:
      return null;
    case 1:
      return random.chance(0.5);
    case 2:
      return random.pick([0, -1, 1.5, 1e21, 2 ** 53]);
    case 3:
    case 4:
      return random.pick(pieces);
    case 5:
      return random.list(0, 3, () => randomJson(random, depth - 1));
    default:
      return randomObject(random, depth - 1);
  }
}

function randomObject(random: Random, depth = 2): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const key of random.list(0, 4, () =>
    random.pick(['a', 'type', '', '__proto__', 'constructor', 'ключ', 'cache_control']),
  )) {
    Object.defineProperty(object, key, {
      value: randomJson(random, depth),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return object;
}

const textBlock = (random: Random): TextBlock => ({ type: 'text', text: randomText(random) });

function randomBase64(random: Random): string {
  return Buffer.from(random.list(1, 40, () => random.below(256))).toString('base64');
}

function randomImage(random: Random): ImageBlock {
  const media_type = random.pick(['image/png', 'image/jpeg', 'image/gif', 'image/webp'] as const);
  return { type: 'image', source: { type: 'base64', media_type, data: randomBase64(random) } };
}

function randomDocument(random: Random): DocumentBlock {
  return {
    type: 'document',
    source: random.chance(0.5)
      ? { type: 'base64', media_type: 'application/pdf', data: randomBase64(random) }
      : { type: 'text', media_type: 'text/plain', data: randomText(random) },
    ...(random.chance(0.3) ? { title: randomText(random) } : {}),
    ...(random.chance(0.3) ? { context: randomText(random) } : {}),
    ...(random.chance(0.3) ? { citations: { enabled: random.chance(0.5) } } : {}),
  };
}

function randomTool(random: Random, name: string): Tool {
  return {
    name,
    ...(random.chance(0.7) ? { description: randomText(random) } : {}),
    input_schema: { ...randomObject(random), type: 'object' },
    ...(random.chance(0.3) ? { strict: random.chance(0.5) } : {}),
  };
}

function toolResult(random: Random, id: string): ToolResultBlock {
  const content = (): Exclude<ToolResultBlock['content'], undefined> =>
    random.chance(0.5)
      ? random.pick(['', randomText(random)])
      : random.list(0, 3, () => random.pick([textBlock, textBlock, randomImage, randomDocument])(random));
  return {
    type: 'tool_result',
    tool_use_id: id,
    ...(random.chance(0.9) ? { content: content() } : {}),
    ...(random.chance(0.3) ? { is_error: random.chance(0.5) } : {}),
  };
}

/**
 * A conversation as the relay takes it: it begins and ends with the user, each use of a tool has its result in the next turn, and
 * neighbours of one role occur.
 */
export function randomConversation(random: Random): Conversation {
  const tools = random.list(0, 3, (index) =>
    randomTool(random, `${random.pick(['get', 'Read-', 'mcp__x__'])}${index}`),
  );
  const toolNames = ['gone', ...tools.map(({ name }) => name)];
  const messages: Message[] = [];
  let ids: string[] = [];
  let lastId = 0;
  const rounds = 1 + random.below(4);
  for (let round = 0; round < rounds; round += 1) {
    const results = ids.map((id) => toolResult(random, id));
    const others = random.list(results.length === 0 ? 1 : 0, 3, (): UserBlock =>
      random.pick([textBlock, textBlock, randomImage, randomDocument])(random),
    );
    messages.push(
      ...cut<UserBlock>(random, [...results, ...others]).map((content): Message => ({
        role: 'user',
        content,
      })),
    );
    if (round === rounds - 1) break;
    ids = [];
    const blocks = random.list(1, 4, (): AssistantBlock => {
      switch (random.below(5)) {
        case 0:
          return {
            type: 'thinking',
            thinking: random.pick(['', randomText(random)]),
            signature: randomBase64(random),
          };
        case 1:
          return { type: 'redacted_thinking', data: randomBase64(random) };
        case 2: {
          lastId += 1;
          ids.push(`toolu_${lastId}`);
          return {
            type: 'tool_use',
            id: `toolu_${lastId}`,
            name: random.pick(toolNames),
            input: randomObject(random),
          };
        }
        default:
          return { type: 'text', text: random.pick([randomText(random), '\n\n']) };
      }
    });
    messages.push(...cut(random, blocks).map((content): Message => ({ role: 'assistant', content })));
  }
  return {
    system: random.list(0, 2, () => randomText(random)),
    messages,
    maxTokens: 2000 + random.below(100_000),
    ...(random.chance(0.2)
      ? { effort: random.pick(['low', 'medium', 'high', 'xhigh', 'max'] as const) }
      : {}),
    ...(random.chance(0.2) ? { temperature: random.pick([0, 0.5, 1]) } : {}),
    ...(random.chance(0.2) ? { topP: random.pick([0.1, 1]) } : {}),
    ...(random.chance(0.2) ? { topK: random.below(100) } : {}),
    ...(random.chance(0.2) ? { stopSequences: random.list(1, 3, () => randomText(random)) } : {}),
    ...(random.chance(0.3) ? { thinking: randomThinking(random) } : {}),
    ...(tools.length === 0 ? {} : { tools }),
    ...(tools.length === 0 || random.chance(0.7) ? {} : { toolChoice: randomChoice(random, tools) }),
    ...(random.chance(0.2) ? { schema: randomObject(random) } : {}),
  };
}

function randomThinking(random: Random): Thinking {
  const display = random.pick([{}, { display: 'summarized' }, { display: 'omitted' }] as const);
  return random.pick([
    { type: 'enabled', budget_tokens: 1024, ...display },
    { type: 'adaptive', ...display },
    { type: 'disabled' },
  ] as const);
}

function randomChoice(random: Random, tools: readonly Tool[]): ToolChoice {
  const parallel = random.chance(0.5) ? { disable_parallel_tool_use: random.chance(0.5) } : {};
  return random.pick([
    { type: 'auto', ...parallel },
    { type: 'any', ...parallel },
    { type: 'tool', name: random.pick(tools).name, ...parallel },
    { type: 'none' },
  ] as const);
}

/** One message, or sometimes two messages that are joined to one. */
function cut<T>(random: Random, blocks: T[]): T[][] {
  if (blocks.length < 2 || random.chance(0.8)) return [blocks];
  const at = 1 + random.below(blocks.length - 1);
  return [blocks.slice(0, at), blocks.slice(at)];
}

/** A whole answer of the model. */
export function randomAnswer(random: Random): Answer {
  const content = random.list(1, 4, (index): Answer['content'][number] => {
    switch (random.below(4)) {
      case 0:
        return { type: 'thinking', thinking: randomText(random), signature: randomBase64(random) };
      case 1:
        return { type: 'tool_use', id: `toolu_${index}`, name: 'get', input: randomObject(random) };
      default:
        return { type: 'text', text: randomText(random) };
    }
  });
  const usage = {
    input_tokens: random.below(1000),
    output_tokens: 1 + random.below(1000),
    cache_read_input_tokens: random.below(10),
    cache_creation_input_tokens: random.below(10),
  };
  return {
    messageId: `msg_${random.below(1e9)}`,
    content,
    text: content.map((block) => (block.type === 'text' ? String(block['text']) : '')).join(''),
    stopReason: content.some(({ type }) => type === 'tool_use')
      ? 'tool_use'
      : random.pick(['end_turn', 'max_tokens', 'refusal', 'pause_turn', 'model_context_window_exceeded']),
    stopSequence: null,
    resolvedModel: 'claude-opus-5-5',
    usage,
    rawUsage: { ...usage, service_tier: 'standard' },
    costUsd: null,
  };
}

/** The events that an answer came as, cut into deltas at random: `message_start` and those of its blocks. */
export function eventsOf(answer: Answer, random: Random): ModelEvent[] {
  const start = {
    id: answer.messageId,
    type: 'message',
    role: 'assistant',
    model: answer.resolvedModel,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { ...answer.rawUsage, output_tokens: 1 },
  };
  return [
    { type: 'message_start', message: start },
    ...answer.content.flatMap((block, index): ModelEvent[] => [
      { type: 'content_block_start', index, content_block: opened(block) },
      ...deltasOf(block, random).map((delta) => ({ type: 'content_block_delta', index, delta })),
      { type: 'content_block_stop', index },
    ]),
  ];
}

function opened(block: Answer['content'][number]): object {
  if (block.type === 'text') return { ...block, text: '' };
  if (block.type === 'thinking') return { ...block, thinking: '', signature: '' };
  return { ...block, input: {} };
}

function deltasOf(block: Answer['content'][number], random: Random): object[] {
  const cuts = (text: string): string[] =>
    text.length < 2 || random.chance(0.3)
      ? [text]
      : [text.slice(0, text.length >> 1), text.slice(text.length >> 1)];
  if (block.type === 'text') {
    return cuts(String(block['text'])).map((text) => ({ type: 'text_delta', text }));
  }
  if (block.type === 'thinking') {
    return [
      ...cuts(String(block['thinking'])).map((thinking) => ({ type: 'thinking_delta', thinking })),
      { type: 'signature_delta', signature: block['signature'] },
    ];
  }
  return ['', ...cuts(JSON.stringify(block['input']))].map((partial_json) => ({
    type: 'input_json_delta',
    partial_json,
  }));
}

export type Path = readonly (string | number)[];

/** Every place below a JSON value. A value that `isOpaque` names is a place, but nothing below it is. */
export function placesOf(value: unknown, isOpaque: (path: Path) => boolean, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null || isOpaque(path)) return [];
  const keys: (string | number)[] = Array.isArray(value) ? [...value.keys()] : Object.keys(value);
  const places: Path[] = [];
  for (const key of keys) {
    const below = [...path, key];
    places.push(below, ...placesOf((value as Record<string, unknown>)[key], isOpaque, below));
  }
  return places;
}

export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce((at: unknown, key) => (at as Record<string | number, unknown>)[key], value);
}

/** A copy with another value at a place; `undefined` removes the place. */
export function replaced(value: unknown, [key, ...rest]: Path, by: unknown): unknown {
  if (key === undefined) return by;
  const copy: unknown = Array.isArray(value)
    ? [...(value as unknown[])]
    : Object.create(null, Object.getOwnPropertyDescriptors(value as object));
  const inner = rest.length === 0 ? by : replaced((value as Record<string | number, unknown>)[key], rest, by);
  if (inner === undefined) {
    if (Array.isArray(copy)) copy.splice(Number(key), 1);
    else delete (copy as Record<string, unknown>)[key];
  } else {
    Object.defineProperty(copy, key, { value: inner, enumerable: true, configurable: true, writable: true });
  }
  return copy;
}
