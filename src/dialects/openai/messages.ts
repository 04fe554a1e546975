/** The messages of the OpenAI dialect -> system prompt and turns of the Messages API. Pure. */
import type { AssistantBlock, Message, ToolResultBlock, ToolUseBlock } from '../../conversation.ts';
import { textBlocks, userBlocks } from './parts.ts';
import { problem, refuse } from './problem.ts';
import type { AssistantMessage, ChatMessage } from './request.ts';
import { requireSendable, type Path } from '../problem.ts';

type ToolMessage = Extract<ChatMessage, { role: 'tool' }>;

/** The calls of an assistant message by the caller's ids, until a message of another role follows. */
type OpenCalls = { path: Path; calls: Map<string, { id: string; result?: ToolResultBlock }> };

/**
 * System and developer messages become the system prompt, wherever they stand. The tool messages after an assistant message become
 * one user message, in the order of its calls. Throws a `bad_request` that names the place.
 */
export function readMessages(
  given: readonly ChatMessage[],
  ignored: Set<string>,
): { system: string[]; messages: Message[] } {
  const system: string[] = [];
  const messages: Message[] = [];
  const usedIds = new Set<string>();
  let open: OpenCalls | undefined;
  let last: Path | undefined;

  const closeCalls = (): void => {
    if (open === undefined) return;
    messages.push({ role: 'user', content: resultsOf(open) });
    open = undefined;
  };

  given.forEach((message, index) => {
    const path = ['messages', index];
    switch (message.role) {
      case 'system':
      case 'developer':
        system.push(...textBlocks(message.content).map(({ text }) => text));
        return;
      case 'tool':
        addResult(message, path, open);
        break;
      case 'user': {
        closeCalls();
        const content = userBlocks(message.content, [...path, 'content'], ignored);
        if (content.length === 0) refuse([...path, 'content'], 'must not be blank');
        messages.push({ role: 'user', content });
        break;
      }
      case 'assistant': {
        closeCalls();
        const { blocks, calls } = readAssistant(message, path, usedIds);
        // The Messages API has no empty message.
        if (blocks.length > 0) messages.push({ role: 'assistant', content: blocks });
        if (calls.size > 0) open = { path, calls };
      }
    }
    last = path;
  });
  closeCalls();
  if (last === undefined) refuse(['messages'], 'must contain a message with the role user');
  if (messages.at(-1)?.role !== 'user') {
    refuse(last, 'must have the role user or tool: the relay cannot continue a text of the assistant');
  }
  return { system, messages };
}

function readAssistant(
  message: AssistantMessage,
  path: Path,
  usedIds: Set<string>,
): { blocks: AssistantBlock[]; calls: OpenCalls['calls'] } {
  const calls: OpenCalls['calls'] = new Map();
  const uses = (message.tool_calls ?? []).map((call, index): ToolUseBlock => {
    const at = [...path, 'tool_calls', index];
    if (calls.has(call.id)) refuse([...at, 'id'], 'is the id of another call in this message');
    const id = freeId(call.id, usedIds);
    calls.set(call.id, { id });
    const input = readArguments(call.function.arguments, [...at, 'function', 'arguments']);
    return { type: 'tool_use', id, name: call.function.name, input };
  });
  const blocks = [...textBlocks(message.content), ...textBlocks(message.refusal), ...uses];
  return { blocks, calls };
}

/** The caller's id if the Messages API accepts it (`[\w-]+`, unique in the conversation), otherwise a similar one. */
function freeId(asked: string, used: Set<string>): string {
  const plain = asked.replaceAll(/[^\w-]/g, '_');
  let id = plain;
  for (let suffix = 2; used.has(id); suffix += 1) id = `${plain}_${suffix}`;
  used.add(id);
  return id;
}

/** Some clients store an empty text for a call without arguments. */
function readArguments(text: string, path: Path): Record<string, unknown> {
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refuse(path, 'is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse(path, 'must be a JSON object');
  }
  requireSendable(value, path, problem);
  return value as Record<string, unknown>;
}

function addResult(message: ToolMessage, path: Path, open: OpenCalls | undefined): void {
  if (open === undefined) {
    refuse([...path, 'role'], 'is tool, but no assistant message with tool_calls comes before it');
  }
  const call = open.calls.get(message.tool_call_id);
  if (call === undefined) {
    refuse([...path, 'tool_call_id'], 'is not the id of a call in the previous assistant message');
  }
  if (call.result !== undefined)
    refuse([...path, 'tool_call_id'], 'is the id of a call that is answered already');
  const content = typeof message.content === 'string' ? message.content : textBlocks(message.content);
  call.result = { type: 'tool_result', tool_use_id: call.id, content };
}

function resultsOf({ path, calls }: OpenCalls): ToolResultBlock[] {
  return [...calls.values()].map(
    ({ result }, index) =>
      result ??
      refuse([...path, 'tool_calls', index, 'id'], 'is the id of a call that no tool message answers'),
  );
}
