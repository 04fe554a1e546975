/** The tools of a Messages request: the caller's own. Pure. */
import type { Tool } from '../../conversation.ts';
import { problem, shorten } from './problem.ts';
import type { RequestTool } from './schema.ts';

/** Throws `bad_request` for a tool that Anthropic defines: its schema, or the tool itself, is the API's, and the relay has neither. */
export function refuseForeignTools(tools: unknown): void {
  if (!Array.isArray(tools)) return;
  tools.forEach((tool: unknown, index) => {
    const { type, name } = (tool ?? {}) as { type?: unknown; name?: unknown };
    if (typeof type !== 'string' || type === 'custom') return;
    const called = typeof name === 'string' ? `"${shorten(name)}" (${shorten(type)})` : `"${shorten(type)}"`;
    throw problem(
      ['tools', index, 'type'],
      `${called} is a tool that Anthropic defines. The relay offers the model only tools of the caller's own, which nobody here runs: give it a name, a description and an input_schema, without a type`,
    );
  });
}

/**
 * The tools that the model is offered. One with `defer_loading` is offered from the moment that a tool result has named it
 * (`tool_reference`), as at the API. Throws `bad_request`.
 */
export function offeredTools(
  tools: readonly RequestTool[],
  referenced: ReadonlySet<string>,
  note: (ignored: string) => void,
): Tool[] {
  const names = new Set<string>();
  return tools.flatMap((tool, index): Tool[] => {
    if (names.has(tool.name)) throw problem(['tools', index, 'name'], 'Tool names must be unique');
    names.add(tool.name);
    if (tool.cache_control) note('cache_control');
    if (typeof tool.eager_input_streaming === 'boolean') note('tools.eager_input_streaming');
    if (tool.allowed_callers !== undefined) {
      if (!tool.allowed_callers.includes('direct'))
        throw problem(
          ['tools', index, 'allowed_callers'],
          'not supported here: only the model itself can call a tool ("direct")',
        );
      note('tools.allowed_callers');
    }
    if (tool.defer_loading === true && !referenced.has(tool.name)) return [];
    const { name, description, input_schema, strict, input_examples } = tool;
    return [
      {
        name,
        ...(description === undefined ? {} : { description }),
        input_schema,
        ...(strict === undefined ? {} : { strict }),
        ...(input_examples === undefined ? {} : { input_examples }),
      },
    ];
  });
}
