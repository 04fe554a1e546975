/** The blocks of a message: those of the Messages API -> those that the relay passes on. Pure. */
import type {
  AssistantBlock,
  DocumentBlock,
  ImageBlock,
  TextBlock,
  ToolResultBlock,
  UserBlock,
} from '../../conversation.ts';
import { problem, type Place } from './problem.ts';
import type { RequestBlock, RequestText } from './schema.ts';

/** What is noticed on the way. */
export type Notes = {
  ignore: (parameter: string) => void;
  /** A tool result named this tool. */
  reference: (tool: string) => void;
};

type RequestOf<Type extends RequestBlock['type']> = Extract<RequestBlock, { type: Type }>;

const userOnly = new Set(['image', 'document', 'tool_result']);
const assistantOnly = new Set(['tool_use', 'thinking', 'redacted_thinking']);

export function userBlocks(
  content: string | readonly RequestBlock[],
  place: Place,
  notes: Notes,
): UserBlock[] {
  if (typeof content === 'string') return [{ type: 'text', text: wordsOf(content, place) }];
  if (content.length === 0) throw problem(place, 'messages must have non-empty content');
  return content.map((block, index) => userBlock(block, [...place, index], notes));
}

export function assistantBlocks(
  content: string | readonly RequestBlock[],
  place: Place,
  notes: Notes,
): AssistantBlock[] {
  if (typeof content === 'string') return [{ type: 'text', text: someText(content, place) }];
  if (content.length === 0) throw problem(place, 'messages must have non-empty content');
  return content.map((block, index) => assistantBlock(block, [...place, index], notes));
}

function userBlock(block: RequestBlock, place: Place, notes: Notes): UserBlock {
  noteCommon(block, notes);
  switch (block.type) {
    case 'text':
      return { type: 'text', text: wordsOf(block.text, [...place, 'text']), ...citationsOf(block) };
    case 'image':
      return imageBlock(block, notes);
    case 'document':
      return documentBlock(block);
    case 'tool_result':
      return toolResult(block, place, notes);
    case 'tool_use':
    case 'thinking':
    case 'redacted_thinking':
  }
  throw misplaced(block.type, place);
}

function assistantBlock(block: RequestBlock, place: Place, notes: Notes): AssistantBlock {
  noteCommon(block, notes);
  switch (block.type) {
    case 'text':
      // The model itself writes a block of line breaks at times, and it comes back as it was.
      return { type: 'text', text: someText(block.text, [...place, 'text']), ...citationsOf(block) };
    case 'tool_use':
      return { type: 'tool_use', id: block.id, name: block.name, input: block.input };
    case 'thinking':
      return { type: 'thinking', thinking: block.thinking, signature: block.signature };
    case 'redacted_thinking':
      return { type: 'redacted_thinking', data: block.data };
    case 'image':
    case 'document':
    case 'tool_result':
  }
  throw misplaced(block.type, place);
}

function misplaced(type: string, place: Place): Error {
  const role = userOnly.has(type) ? 'user' : assistantOnly.has(type) ? 'assistant' : 'other';
  return problem([...place, 'type'], `\`${type}\` blocks may only be in \`${role}\` messages`);
}

/** The text of a block that the model has to see: the CLI would leave an empty one out. */
export function wordsOf(text: string, place: Place): string {
  if (someText(text, place).trim() === '')
    throw problem(place, 'text content blocks must contain non-whitespace text');
  return text;
}

function someText(text: string, place: Place): string {
  if (text === '') throw problem(place, 'text content blocks must be non-empty');
  return text;
}

/** Notes what has no effect on any block. */
export function noteCommon(block: RequestBlock | RequestText, { ignore }: Notes): void {
  if ('cache_control' in block && block.cache_control) ignore('cache_control');
}

function citationsOf({ citations }: RequestText): { citations?: Record<string, unknown>[] } {
  return citations && citations.length > 0 ? { citations } : {};
}

function imageBlock({ type, source, transformations }: RequestOf<'image'>, { ignore }: Notes): ImageBlock {
  if (transformations) ignore('transformations');
  return { type, source };
}

function documentBlock({ type, source, title, context, citations }: RequestOf<'document'>): DocumentBlock {
  return {
    type,
    source,
    ...(title === undefined || title === null ? {} : { title }),
    ...(context === undefined || context === null ? {} : { context }),
    ...(citations?.enabled === undefined ? {} : { citations: { enabled: citations.enabled } }),
  };
}

function toolResult(block: RequestOf<'tool_result'>, place: Place, notes: Notes): ToolResultBlock {
  const { type, tool_use_id, content, is_error } = block;
  const told =
    typeof content === 'string'
      ? content
      : content?.flatMap((each, index) => resultBlock(each, [...place, 'content', index], notes));
  return {
    type,
    tool_use_id,
    ...(told === undefined ? {} : { content: told }),
    ...(is_error === undefined ? {} : { is_error }),
  };
}

type ResultBlock = Exclude<RequestOf<'tool_result'>['content'], string | undefined>[number];

/** A reference puts its tool on offer, and is nothing that the model reads: the CLI takes it out of a result. */
function resultBlock(
  block: ResultBlock,
  place: Place,
  notes: Notes,
): (TextBlock | ImageBlock | DocumentBlock)[] {
  if (block.type === 'tool_reference') {
    notes.reference(block.tool_name);
    return [];
  }
  noteCommon(block, notes);
  if (block.type === 'text') return [{ type: 'text', text: someText(block.text, [...place, 'text']) }];
  return [block.type === 'image' ? imageBlock(block, notes) : documentBlock(block)];
}
