/** The messages of the OpenAI dialect -> system prompt and turns of the Messages API. Pure. */
import type {
  AssistantBlock,
  Conversation,
  Message,
  TextBlock,
  ToolResultBlock,
  ToolUseBlock,
} from '../../conversation.ts';
import { markOf, systemMarkOf } from '../cache-mark.ts';
import { textBlocks, userBlocks, withMark } from './parts.ts';
import { problem, refuse } from './problem.ts';
import type { AssistantMessage, ChatMessage } from './request.ts';
import { requireSendable, type Path } from '../problem.ts';

type ResultMessage = Extract<ChatMessage, { role: 'tool' | 'function' }>;

/** The id, inside this file, of a call of the old function calling, which has none: it is the only call of its message. */
const functionCallId = 'function_call';

type Call = NonNullable<AssistantMessage['tool_calls']>[number];

/** The calls of an assistant message by the caller's ids, until a message of another role follows. */
type OpenCalls = Map<string, { id: string; path: Path; result?: ToolResultBlock }>;

/**
 * System and developer messages become the system prompt, wherever they stand. The tool messages after an assistant message become
 * one user message, in the order of its calls. Throws a `bad_request` that names the place.
 */
export function readMessages(
  given: readonly ChatMessage[],
  ignored: Set<string>,
): Pick<Conversation, 'system' | 'systemMark'> & { messages: Message[] } {
  const system: TextBlock[] = [];
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
        system.push(...withMark(textBlocks(message.content), message));
        return;
      case 'tool':
      case 'function':
        addResult(message, path, open);
        break;
      case 'user': {
        closeCalls();
        const content = userBlocks(message.content, [...path, 'content'], ignored);
        if (content.length === 0) refuse([...path, 'content'], 'must not be blank');
        messages.push({ role: 'user', content: withMark(content, message) });
        break;
      }
      case 'assistant': {
        closeCalls();
        const { blocks, calls } = readAssistant(message, path, usedIds);
        // The Messages API has no empty message.
        if (blocks.length > 0) messages.push({ role: 'assistant', content: withMark(blocks, message) });
        if (calls.size > 0) open = calls;
      }
    }
    last = path;
  });
  closeCalls();
  if (last === undefined) refuse(['messages'], 'must contain a message with the role user');
  if (messages.at(-1)?.role !== 'user') {
    refuse(
      last,
      'must have the role user, tool or function: the relay cannot continue a text of the assistant',
    );
  }
  return {
    system: system.map(({ text }) => text),
    ...systemMarkOf(system, ignored, 'messages.cache_control'),
    messages,
  };
}

function readAssistant(
  message: AssistantMessage,
  path: Path,
  usedIds: Set<string>,
): { blocks: AssistantBlock[]; calls: OpenCalls } {
  const calls: OpenCalls = new Map();
  const use = (id: string, { name, arguments: text }: Call['function'], at: Path): ToolUseBlock => {
    const free = freeId(id, usedIds);
    calls.set(id, { id: free, path: at });
    return { type: 'tool_use', id: free, name, input: readArguments(text, [...at, 'arguments']) };
  };
  const uses = (message.tool_calls ?? []).map((call, index) => {
    const at = [...path, 'tool_calls', index];
    if (calls.has(call.id)) refuse([...at, 'id'], 'is the id of another call in this message');
    return use(call.id, call.function, [...at, 'function']);
  });
  // Next to tool_calls it repeats the first of them.
  if (message.function_call && uses.length === 0)
    uses.push(use(functionCallId, message.function_call, [...path, 'function_call']));
  const blocks = [...textBlocks(message.content), ...textBlocks(message.refusal), ...uses];
  return { blocks, calls };
}

/** The caller's id if the Messages API accepts it (`[\w-]+`, unique in the conversation), otherwise a similar one. */
export function freeId(asked: string, used: Set<string>): string {
  const plain = asked.replaceAll(/[^\w-]/g, '_') || 'call';
  let id = plain;
  for (let suffix = 2; used.has(id); suffix += 1) id = `${plain}_${suffix}`;
  used.add(id);
  return id;
}

/** Some clients store an empty text for a call without arguments. */
export function readArguments(text: string, path: Path): Record<string, unknown> {
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

function addResult(message: ResultMessage, path: Path, open: OpenCalls | undefined): void {
  const call = message.role === 'tool' ? callOf(message, path, open) : open?.get(functionCallId);
  if (call === undefined) {
    refuse([...path, 'role'], 'is function, but the previous assistant message has no function_call');
  }
  if (call.result !== undefined) refuse(path, 'answers a call that is answered already');
  const { content } = message;
  call.result = {
    type: 'tool_result',
    tool_use_id: call.id,
    content: typeof content === 'string' ? content : textBlocks(content),
    ...markOf(message),
  };
}

function callOf(
  { tool_call_id: id }: Extract<ChatMessage, { role: 'tool' }>,
  path: Path,
  open: OpenCalls | undefined,
) {
  if (open === undefined) {
    refuse([...path, 'role'], 'is tool, but no assistant message with tool_calls comes before it');
  }
  return (
    open.get(id) ??
    refuse([...path, 'tool_call_id'], 'is not the id of a call in the previous assistant message')
  );
}

function resultsOf(open: OpenCalls): ToolResultBlock[] {
  return [...open.values()].map(
    ({ path, result }) => result ?? refuse(path, 'is a call that no later message answers'),
  );
}
