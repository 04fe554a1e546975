/** The blocks of a message: those of the Messages API -> those that the relay passes on. Pure. */
import type {
  AssistantBlock,
  DocumentBlock,
  ImageBlock,
  TextBlock,
  ToolResultBlock,
  UserBlock,
} from '../../conversation.ts';
import { markOf } from '../cache-mark.ts';
import { given } from '../given.ts';
import type { AssistantRequestBlock, RequestText, UserRequestBlock } from './schema.ts';

/** What the request mentions: parameters without effect, and tools that a tool result names. */
export type Notes = { ignored: Set<string>; referenced: Set<string> };

type RequestOf<Type extends UserRequestBlock['type']> = Extract<UserRequestBlock, { type: Type }>;

export function userBlock(block: UserRequestBlock, notes: Notes): UserBlock {
  if (block.type === 'tool_result') return toolResult(block, notes);
  return shownBlock(block);
}

/** A block that a user message and a tool result can both hold. */
function shownBlock(
  block: RequestText | RequestOf<'image' | 'document'>,
): TextBlock | ImageBlock | DocumentBlock {
  switch (block.type) {
    case 'text':
      return textBlock(block);
    case 'image':
      return { type: 'image', source: block.source, ...markOf(block) };
    case 'document': {
      const { type, source, title, context } = block;
      const enabled = block.citations?.enabled;
      const citations = enabled === undefined ? undefined : { enabled };
      return { type, source, ...given({ title, context, citations }), ...markOf(block) };
    }
  }
}

export function assistantBlock(block: AssistantRequestBlock): AssistantBlock {
  if (block.type === 'text') return textBlock(block);
  if (block.type !== 'tool_use') return block;
  return { type: 'tool_use', id: block.id, name: block.name, input: block.input, ...markOf(block) };
}

export function textBlock(block: RequestText): TextBlock {
  const { type, text, citations } = block;
  return { type, text, ...(citations && citations.length > 0 ? { citations } : {}), ...markOf(block) };
}

/** A tool reference offers its tool. It is not text for the model: the CLI removes it from a result. */
function toolResult(block: RequestOf<'tool_result'>, notes: Notes): ToolResultBlock {
  const { type, tool_use_id, content, is_error } = block;
  const shown =
    typeof content === 'string'
      ? content
      : content?.flatMap((part) => {
          if (part.type !== 'tool_reference') return [shownBlock(part)];
          notes.referenced.add(part.tool_name);
          if (part.cache_control) notes.ignored.add('messages.content.content.cache_control');
          return [];
        });
  return { type, tool_use_id, ...given({ content: shown, is_error }), ...markOf(block) };
}
