/**
 * Tools and tool choice of a response -> those of the Messages API, and a call's name back. Pure.
 *
 * A custom tool is a function with one text. The functions of a namespace get joined names.
 */
import type { Tool, ToolChoice } from '../../../conversation.ts';
import { given } from '../../given.ts';
import { parseBody, type Path, type ProblemAt } from '../../problem.ts';
import { unreadNames } from '../../unread.ts';
import { problem, refuse } from '../problem.ts';
import {
  allowedChoice,
  type customTool,
  type functionTool,
  namedChoice,
  ownTool,
  ownTypes,
  type AnyTool,
  type ResponsesRequest,
} from './request.ts';
import type { z } from 'zod';

/** A tool as the caller knows it. */
export type CallerTool = { name: string; namespace?: string; custom: boolean };

/** The caller's tools by the name that the model knows. */
export type CallerTools = ReadonlyMap<string, CallerTool>;

const runsNone = 'names a tool that the API runs, but the relay runs no tools: send your own functions';

type Offered = CallerTool & { tool: Tool };

/** The name of a tool for the model. */
export function joinedName(name: string, namespace: string | null | undefined): string {
  return (namespace ?? '') === '' ? name : `${namespace}__${name}`;
}

/**
 * `additional` are tools that the input adds, with their places. Those that the API would run are left out, unless nothing else is
 * there. Throws a `bad_request` that names the place.
 */
export function readTools(
  request: ResponsesRequest,
  additional: readonly { tool: AnyTool; path: Path }[],
  ignored: Set<string>,
): { asked: { tools?: Tool[]; toolChoice?: ToolChoice }; callers: CallerTools } {
  const offered = new Map<string, Offered>();
  let hosted: { path: Path; type: string } | undefined;
  const sent = (request.tools ?? []).map((tool, index) => ({ tool, path: ['tools', index] as Path }));
  for (const [list, once] of [
    [sent, true],
    // A later list repeats earlier tools.
    [additional, false],
  ] as const) {
    for (const { tool, path } of list) {
      const read = readTool(tool, path, ignored);
      if (read === undefined) {
        hosted ??= { path: [...path, 'type'], type: tool.type };
        ignored.add(`tools.${tool.type}`);
      }
      for (const each of read ?? []) {
        if (once && offered.has(each.tool.name)) {
          refuse([...path, 'name'], 'is the name of another tool in this request');
        }
        offered.set(each.tool.name, each);
      }
    }
  }
  const choice = request.tool_choice ?? 'auto';
  if (offered.size === 0 && hosted !== undefined && choice !== 'none') {
    refuse(hosted.path, runsNone);
  }
  return { asked: chooseTools(request, offered, ignored), callers: offered };
}

/** Undefined for a tool that the API would run. */
function readTool(tool: AnyTool, path: Path, ignored: Set<string>): Offered[] | undefined {
  if (!ownTypes.has(tool.type)) return undefined;
  const read = parseAt(ownTool, tool, path);
  unreadNames(tool, read, 'tools', ignored);
  if (read.type !== 'namespace') return [offer(read, path)];
  const { name, description, tools } = read;
  const offered = tools.map((each, index) => offer(each, [...path, 'tools', index], name));
  describeGroup(offered, name, description);
  return offered;
}

function offer(
  read: z.infer<typeof functionTool | typeof customTool>,
  path: Path,
  namespace?: string,
): Offered {
  const custom = read.type === 'custom';
  const { name, ...rest } = custom ? customAsTool(read) : functionAsTool(read, path);
  const joined = joinedName(name, namespace);
  if (!/^[\w-]{1,128}$/.test(joined)) {
    refuse(
      [...path, 'name'],
      'must be of a-z, A-Z, 0-9, _ and -, and at most 128 characters with its namespace',
    );
  }
  return { name, custom, ...given({ namespace }), tool: { name: joined, ...rest } };
}

function functionAsTool(tool: z.infer<typeof functionTool>, path: Path): Tool {
  const { type = 'object', ...parameters } = tool.parameters ?? { properties: {} };
  if (type !== 'object') refuse([...path, 'parameters', 'type'], 'must be object');
  return {
    name: tool.name,
    input_schema: { type, ...parameters },
    ...given({ description: tool.description, strict: tool.strict || undefined }),
  };
}

function customAsTool({ name, description, format }: z.infer<typeof customTool>): Tool {
  const rule =
    format?.type === 'grammar'
      ? { description: `A text that this ${format.syntax} grammar accepts:\n\n${format.definition}` }
      : {};
  return {
    name,
    input_schema: {
      type: 'object',
      properties: { input: { type: 'string', ...rule } },
      required: ['input'],
      additionalProperties: false,
    },
    ...given({ description }),
  };
}

/** The Messages API has no groups of tools: the first one's description says what all of them are for. */
function describeGroup(
  [first]: readonly Offered[],
  name: string,
  description: string | null | undefined,
): void {
  if (first === undefined || (description ?? '').trim() === '') return;
  const group = `All tools with a name that begins with ${name}__: ${description}`;
  first.tool.description = [first.tool.description, group].filter(Boolean).join('\n\n');
}

function chooseTools(
  request: ResponsesRequest,
  offered: ReadonlyMap<string, Offered>,
  ignored: Set<string>,
): { tools?: Tool[]; toolChoice?: ToolChoice } {
  const choice = request.tool_choice ?? 'auto';
  const tools = [...offered.values()].map(({ tool }) => tool);
  const oneAtATime = request.parallel_tool_calls === false ? { disable_parallel_tool_use: true } : {};
  if (typeof choice === 'string') {
    if (tools.length === 0) return choice === 'required' ? refuse(['tool_choice'], 'requires tools') : {};
    if (choice === 'none') return { tools, toolChoice: { type: 'none' } };
    return { tools, ...chosen({ type: choice === 'required' ? 'any' : 'auto', ...oneAtATime }) };
  }
  const known = (one: AnyTool, path: Path): string => {
    const { name, namespace } = parseAt(namedChoice, one, path);
    const joined = joinedName(name, namespace);
    return offered.has(joined) ? joined : refuse([...path, 'name'], 'is not one of the tools');
  };
  if (choice.type !== 'allowed_tools') {
    if (choice.type !== 'function' && choice.type !== 'custom') {
      refuse(['tool_choice', 'type'], runsNone);
    }
    return { tools, toolChoice: { type: 'tool', name: known(choice, ['tool_choice']), ...oneAtATime } };
  }
  const { mode, tools: allowed } = parseAt(allowedChoice, choice, ['tool_choice']);
  const names = new Set(
    allowed.flatMap((one, index) => {
      if (one.type === 'function' || one.type === 'custom')
        return [known(one, ['tool_choice', 'tools', index])];
      ignored.add(`tool_choice.tools.${one.type}`);
      return [];
    }),
  );
  if (names.size === 0) refuse(['tool_choice', 'tools'], 'must include a function or a custom tool');
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

/** As `parseBody`, for a part of the body at `path`. */
export function parseAt<Output>(schema: z.ZodType<Output>, value: unknown, path: Path): Output {
  const at: ProblemAt = (inner, predicate) => problem([...path, ...inner], predicate);
  return parseBody(schema, value, at);
}
