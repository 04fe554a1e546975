/** Tools and tool choice of the OpenAI dialect -> those of the Messages API. Pure. */
import type { Tool, ToolChoice } from '../../conversation.ts';
import { given } from '../given.ts';
import { refuse } from './problem.ts';
import type { ChatRequest } from './request.ts';
import type { Path } from '../problem.ts';

/** Throws a `bad_request` that names the place. */
export function readTools(request: ChatRequest): { tools?: Tool[]; toolChoice?: ToolChoice } {
  const tools = (request.tools ?? []).map((tool, index) => readTool(tool, ['tools', index, 'function']));
  tools.forEach(({ name }, index) => {
    if (tools.findIndex((other) => other.name === name) !== index) {
      refuse(['tools', index, 'function', 'name'], 'is the name of another tool in this request');
    }
  });
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
  const known = (name: string, path: Path): void => {
    if (!tools.some((tool) => tool.name === name)) refuse(path, 'is not one of the tools');
  };
  if (choice.type === 'function') {
    const { name } = choice.function;
    known(name, ['tool_choice', 'function', 'name']);
    return { tools, toolChoice: { type: 'tool', name, ...oneAtATime } };
  }
  const { mode, tools: allowed } = choice.allowed_tools;
  allowed.forEach((tool, index) =>
    known(tool.function.name, ['tool_choice', 'allowed_tools', 'tools', index, 'function', 'name']),
  );
  const names = new Set(allowed.map((tool) => tool.function.name));
  return {
    tools: tools.filter(({ name }) => names.has(name)),
    ...chosen({ type: mode === 'required' ? 'any' : 'auto', ...oneAtATime }),
  };
}

/** Plain `auto` is the default. */
function chosen(choice: Extract<ToolChoice, { type: 'auto' | 'any' }>): { toolChoice?: ToolChoice } {
  return choice.type === 'auto' && choice.disable_parallel_tool_use === undefined
    ? {}
    : { toolChoice: choice };
}

function readTool({ function: tool }: NonNullable<ChatRequest['tools']>[number], path: Path): Tool {
  const { type = 'object', ...parameters } = tool.parameters ?? { properties: {} };
  if (type !== 'object') refuse([...path, 'parameters', 'type'], 'must be object');
  return {
    name: tool.name,
    input_schema: { type, ...parameters },
    ...given({ description: tool.description, strict: tool.strict || undefined }),
  };
}
