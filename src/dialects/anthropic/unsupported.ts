/** Blocks and sources that the Messages API has and the relay has not, each with its reason. Pure. */
import { problem, shorten, type Place } from './problem.ts';

const serverTool = 'the relay has no tools of its own, and cannot go on with what a tool of the API began';
const file = 'the relay keeps no files and fetches nothing for a request: send the content itself, in base64';

const blockReasons: ReadonlyMap<string, string> = new Map([
  ['search_result', 'send the result as a text or document block'],
  ['container_upload', file],
  ['compaction', 'the relay cannot let the API summarise a conversation'],
  ['fallback', 'the relay asks one model once'],
  ['browser_state', 'it belongs to a toolset that Anthropic defines'],
  ['tool_addition', 'send the tools that are on offer now as `tools`'],
  ['tool_removal', 'send the tools that are on offer now as `tools`'],
  ['mcp_tool_use', 'the relay connects to no MCP server'],
  ['mcp_tool_result', 'the relay connects to no MCP server'],
  ['mcp_tool_listing', 'the relay connects to no MCP server'],
  ...[
    'server_tool_use',
    'web_search_tool_result',
    'web_fetch_tool_result',
    'code_execution_tool_result',
    'bash_code_execution_tool_result',
    'text_editor_code_execution_tool_result',
    'tool_search_tool_result',
    'advisor_tool_result',
  ].map((type): [string, string] => [type, serverTool]),
]);

const sourceReasons: ReadonlyMap<string, string> = new Map([
  ['url', 'the relay fetches nothing for a request: send the content itself, in base64'],
  ['file', file],
  ['content', 'send the document as a text source, or its parts as blocks of their own'],
]);

/** Throws `bad_request` for what is known and not supported. What is not known at all is the schema's to refuse. */
export function refuseForeignBlocks(messages: unknown): void {
  each(messages, ['messages'], (message, place) => {
    each(message['content'], [...place, 'content'], (block, place) => {
      refuseBlock(block, place);
      each(block['content'], [...place, 'content'], refuseBlock);
    });
  });
}

function refuseBlock(block: Record<string, unknown>, place: Place): void {
  const { type } = block;
  if (typeof type !== 'string') return;
  const reason = blockReasons.get(type);
  if (reason !== undefined)
    throw problem(place, `\`${shorten(type)}\` blocks are not supported here: ${reason}`);
  const { type: source } = (block['source'] ?? {}) as { type?: unknown };
  const why =
    typeof source === 'string' && (type === 'image' || type === 'document')
      ? sourceReasons.get(source)
      : undefined;
  if (why !== undefined)
    throw problem(
      [...place, 'source', 'type'],
      `sources of the type '${String(source)}' are not supported here: ${why}`,
    );
}

function each(
  list: unknown,
  place: Place,
  visit: (item: Record<string, unknown>, place: Place) => void,
): void {
  if (!Array.isArray(list)) return;
  list.forEach((item: unknown, index) => {
    if (typeof item === 'object' && item !== null) visit(item as Record<string, unknown>, [...place, index]);
  });
}
