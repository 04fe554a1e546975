/** The blocks of a message: those of the Messages API -> those that the relay passes on. Pure. */
import type {
  AssistantBlock,
  DocumentBlock,
  ImageBlock,
  TextBlock,
  ToolResultBlock,
  UserBlock,
} from '../../conversation.ts';
import { given } from '../given.ts';
import type { AssistantRequestBlock, RequestText, UserRequestBlock } from './schema.ts';

/** What the request mentions: parameters without effect, and tools that a tool result names. */
export type Notes = { ignored: Set<string>; referenced: Set<string> };

type RequestOf<Type extends UserRequestBlock['type']> = Extract<UserRequestBlock, { type: Type }>;

export function userBlock(block: UserRequestBlock, notes: Notes): UserBlock {
  if (block.type === 'tool_result') return toolResult(block, notes);
  return shownBlock(block, notes);
}

/** A block that a user message and a tool result can both hold. */
function shownBlock(
  block: RequestText | RequestOf<'image' | 'document'>,
  notes: Notes,
): TextBlock | ImageBlock | DocumentBlock {
  noteCacheControl(block, notes);
  switch (block.type) {
    case 'text':
      return textBlock(block);
    case 'image':
      return { type: 'image', source: block.source };
    case 'document': {
      const { type, source, title, context } = block;
      const enabled = block.citations?.enabled;
      const citations = enabled === undefined ? undefined : { enabled };
      return { type, source, ...given({ title, context, citations }) };
    }
  }
}

export function assistantBlock(block: AssistantRequestBlock, notes: Notes): AssistantBlock {
  noteCacheControl(block, notes);
  if (block.type === 'text') return textBlock(block);
  if (block.type !== 'tool_use') return block;
  return { type: 'tool_use', id: block.id, name: block.name, input: block.input };
}

export function noteCacheControl(block: object, { ignored }: Notes): void {
  if ('cache_control' in block && block.cache_control) ignored.add('cache_control');
}

function textBlock({ type, text, citations }: RequestText): TextBlock {
  return { type, text, ...(citations && citations.length > 0 ? { citations } : {}) };
}

/** A tool reference offers its tool. It is not text for the model: the CLI removes it from a result. */
function toolResult(block: RequestOf<'tool_result'>, notes: Notes): ToolResultBlock {
  noteCacheControl(block, notes);
  const { type, tool_use_id, content, is_error } = block;
  const shown =
    typeof content === 'string'
      ? content
      : content?.flatMap((part) => {
          if (part.type !== 'tool_reference') return [shownBlock(part, notes)];
          notes.referenced.add(part.tool_name);
          return [];
        });
  return { type, tool_use_id, ...given({ content: shown, is_error }) };
}
