/** The tools of a Messages request. Pure. */
import type { Tool } from '../../conversation.ts';
import { markOf } from '../cache-mark.ts';
import { given } from '../given.ts';
import type { Notes } from './blocks.ts';
import { problem } from './problem.ts';
import { noSuchTool, type CallerTool, type MessagesRequest, type RequestTool } from './schema.ts';

/**
 * The tools that the model is offered: the caller's own. A server tool next to them is left out; alone, its loss would be the loss of
 * what was asked. A tool with `defer_loading` is offered once a tool result has named it (`tool_reference`), as at the API, or at once
 * if the API's search for tools was to find it. Throws `bad_request`.
 */
export function offeredTools(tools: readonly RequestTool[], notes: Notes): Tool[] {
  const server = tools.filter((tool) => !isCallers(tool)).map(({ type }) => String(type));
  if (tools.length > 0 && server.length === tools.length) throw problem(['tools', 0, 'type'], noSuchTool);
  for (const type of server) notes.ignored.add(`tools.${type}`);
  const hasSearch = server.some((type) => type.startsWith('tool_search_'));
  const names = new Set<string>();
  return tools.flatMap((tool, index): Tool[] => {
    if (!isCallers(tool)) return [];
    if (names.has(tool.name)) throw problem(['tools', index, 'name'], 'must be unique among the tools');
    names.add(tool.name);
    if (typeof tool.eager_input_streaming === 'boolean') notes.ignored.add('tools.eager_input_streaming');
    if (tool.allowed_callers !== undefined) notes.ignored.add('tools.allowed_callers');
    if (tool.defer_loading === true && !hasSearch && !notes.referenced.has(tool.name)) return [];
    const { name, description, input_schema, strict, input_examples } = tool;
    return [{ name, input_schema, ...given({ description, strict, input_examples }), ...markOf(tool) }];
  });
}

function isCallers(tool: RequestTool): tool is CallerTool {
  return (tool.type ?? 'custom') === 'custom';
}

/** Throws `bad_request` for a choice that does not match the offered tools. */
export function requireChoice(
  { tool_choice: choice, tools: asked = [] }: MessagesRequest,
  tools: readonly Tool[],
): void {
  if (choice === undefined || choice.type === 'auto' || choice.type === 'none') return;
  if (tools.length === 0) throw problem(['tool_choice'], 'requires tools');
  if (choice.type !== 'tool' || tools.some(({ name }) => name === choice.name)) return;
  const isServers = asked.some((tool) => !isCallers(tool) && tool['name'] === choice.name);
  const why = isServers ? ': the relay has no tools that Anthropic runs' : '';
  throw problem(['tool_choice', 'name'], `is not one of the offered tools${why}`);
}
