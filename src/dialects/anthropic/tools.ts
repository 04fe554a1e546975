/** The tools of a Messages request. Pure. */
import type { Tool } from '../../conversation.ts';
import { given } from '../given.ts';
import { noteCacheControl, type Notes } from './blocks.ts';
import { problem } from './problem.ts';
import type { MessagesRequest, RequestTool } from './schema.ts';

/**
 * The tools that the model is offered. One with `defer_loading` is offered once a tool result has named it
 * (`tool_reference`), as at the API. Throws `bad_request`.
 */
export function offeredTools(tools: readonly RequestTool[], notes: Notes): Tool[] {
  const names = new Set<string>();
  return tools.flatMap((tool, index): Tool[] => {
    if (names.has(tool.name)) throw problem(['tools', index, 'name'], 'must be unique among the tools');
    names.add(tool.name);
    noteCacheControl(tool, notes);
    if (typeof tool.eager_input_streaming === 'boolean') notes.ignored.add('tools.eager_input_streaming');
    if (tool.allowed_callers !== undefined) notes.ignored.add('tools.allowed_callers');
    if (tool.defer_loading === true && !notes.referenced.has(tool.name)) return [];
    const { name, description, input_schema, strict, input_examples } = tool;
    return [{ name, input_schema, ...given({ description, strict, input_examples }) }];
  });
}

/** Throws `bad_request` for a choice that does not match the offered tools. */
export function requireChoice(choice: MessagesRequest['tool_choice'], tools: readonly Tool[]): void {
  if (choice === undefined || choice.type === 'auto' || choice.type === 'none') return;
  if (tools.length === 0) throw problem(['tool_choice'], 'requires tools');
  if (choice.type === 'tool' && !tools.some(({ name }) => name === choice.name)) {
    throw problem(['tool_choice', 'name'], 'is not one of the offered tools');
  }
}
