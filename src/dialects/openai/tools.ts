/** Tools, functions and the choice among them -> those of the Messages API. Pure. */
import type { Tool, ToolChoice } from '../../conversation.ts';
import { markOf } from '../cache-mark.ts';
import { given } from '../given.ts';
import type { Path } from '../problem.ts';
import { refuse } from './problem.ts';
import type { ChatFunction, ChatRequest, FunctionTool } from './request.ts';

type Offered = { tools?: Tool[]; toolChoice?: ToolChoice };

/** Throws a `bad_request` that names the place. Adds to `ignored` the tools that are left out. */
export function readTools(request: ChatRequest, ignored: Set<string>): Offered {
  const { functions = [] } = request;
  return functions.length === 0 ? toolsOf(request, ignored) : functionsOf(request, functions);
}

function toolsOf(request: ChatRequest, ignored: Set<string>): Offered {
  if (typeof request.function_call === 'object') refuse(['function_call'], 'requires functions');
  const tools = readFunctions(ownTools(request.tools ?? [], ignored));
  const choice = request.tool_choice ?? 'auto';
  if (tools.length === 0) {
    if (choice !== 'auto' && choice !== 'none') refuse(['tool_choice'], 'requires tools');
    return {};
  }
  if (choice === 'none') return { tools, toolChoice: { type: 'none' } };
  const oneAtATime = request.parallel_tool_calls === false ? { disable_parallel_tool_use: true } : {};
  if (typeof choice === 'string') {
    const type = choice === 'required' ? 'any' : 'auto';
    return { tools, ...chosen({ type, ...oneAtATime }) };
  }
  if (choice.type === 'function') {
    const { name } = choice.function;
    requireOne(tools, name, ['tool_choice', 'function', 'name']);
    return { tools, toolChoice: { type: 'tool', name, ...oneAtATime } };
  }
  const { mode, tools: allowed } = choice.allowed_tools;
  allowed.forEach((tool, index) =>
    requireOne(tools, tool.function.name, [
      'tool_choice',
      'allowed_tools',
      'tools',
      index,
      'function',
      'name',
    ]),
  );
  const names = new Set(allowed.map((tool) => tool.function.name));
  return {
    tools: tools.filter(({ name }) => names.has(name)),
    ...chosen({ type: mode === 'required' ? 'any' : 'auto', ...oneAtATime }),
  };
}

/** A message of the old function calling holds one call. */
function functionsOf(request: ChatRequest, functions: readonly ChatFunction[]): Offered {
  if ((request.tools ?? []).length > 0) refuse(['functions'], 'cannot be sent together with tools');
  const tools = readFunctions(functions.map((each, index) => ({ path: ['functions', index], given: each })));
  const choice = request.function_call ?? 'auto';
  if (typeof choice === 'object') requireOne(tools, choice.name, ['function_call', 'name']);
  if (choice === 'none') return { tools, toolChoice: { type: 'none' } };
  const wanted =
    choice === 'auto' ? ({ type: 'auto' } as const) : ({ type: 'tool', name: choice.name } as const);
  return { tools, toolChoice: { ...wanted, disable_parallel_tool_use: true } };
}

function requireOne(tools: readonly Tool[], name: string, path: Path): void {
  if (!tools.some((tool) => tool.name === name)) refuse(path, 'is not one of the tools');
}

/** Plain `auto` is the default. */
function chosen(choice: Extract<ToolChoice, { type: 'auto' | 'any' }>): { toolChoice?: ToolChoice } {
  return choice.type === 'auto' && choice.disable_parallel_tool_use === undefined
    ? {}
    : { toolChoice: choice };
}

type Placed = { path: Path; given: ChatFunction };

/** Without the tools that other servers run, unless nothing else is asked for. */
function ownTools(tools: NonNullable<ChatRequest['tools']>, ignored: Set<string>): Placed[] {
  const own = tools.flatMap((tool, index): Placed[] => {
    if (isFunction(tool)) {
      const { function: own, cache_control: mark } = tool;
      const given = { ...own, cache_control: mark ?? own.cache_control };
      return [{ path: ['tools', index, 'function'], given }];
    }
    ignored.add(`tools.${tool.type}`);
    return [];
  });
  if (tools.length > 0 && own.length === 0) {
    refuse(
      ['tools', 0, 'type'],
      'must be function: the relay runs no tools, and the request has no function',
    );
  }
  return own;
}

function isFunction(tool: { type: string }): tool is FunctionTool {
  return tool.type === 'function';
}

export function readFunctions(functions: readonly Placed[]): Tool[] {
  const names = new Set<string>();
  return functions.map(({ path, given: asked }) => {
    const { name, description, strict, parameters: schema, cache_control } = asked;
    if (names.has(name)) refuse([...path, 'name'], 'is the name of another tool in this request');
    names.add(name);
    const { type = 'object', ...parameters } = schema ?? { properties: {} };
    if (type !== 'object') refuse([...path, 'parameters', 'type'], 'must be object');
    return {
      name,
      input_schema: { type, ...parameters },
      ...given({ description, strict: strict || undefined }),
      ...markOf({ cache_control }),
    };
  });
}
