/** The messages of Ollama's API -> system prompt and turns of the Messages API. Pure. */
import type {
  AssistantBlock,
  Message,
  TextBlock,
  ToolResultBlock,
  ToolUseBlock,
} from '../../conversation.ts';
import { freeId } from '../openai/messages.ts';
import { refuse } from '../openai/problem.ts';
import type { Path } from '../problem.ts';
import { imageBlocks } from './images.ts';
import { type OllamaMessage } from './request.ts';

/** Older clients send neither an id nor a name with a result: then the order of the calls decides. */
type OpenCalls = {
  path: Path;
  calls: { use: ToolUseBlock; asked: string | undefined; result?: ToolResultBlock }[];
};

/**
 * System messages become the system prompt, wherever they stand. The tool messages after an assistant message become one user message,
 * in the order of its calls. Throws a `bad_request` that names the place.
 */
export function readMessages(given: readonly OllamaMessage[]): { system: string[]; messages: Message[] } {
  const system: string[] = [];
  const messages: Message[] = [];
  const usedIds = new Set<string>();
  let open: OpenCalls | undefined;
  let last: Path | undefined;

  const closeCalls = (): void => {
    if (open !== undefined) messages.push({ role: 'user', content: resultsOf(open) });
    open = undefined;
  };

  given.forEach((message, index) => {
    const path = ['messages', index];
    if (message.role === 'system') {
      refuseImages(message, path);
      system.push(...textBlocks(message.content).map(({ text }) => text));
      return;
    }
    last = path;
    if (message.role === 'tool') {
      if (open !== undefined && addResult(message, path, open)) return;
      // A client that shortens its history can cut between a call and its result.
      closeCalls();
      const content = contentOf(message, path);
      if (content.length > 0) messages.push({ role: 'user', content });
      return;
    }
    closeCalls();
    if (message.role === 'user') {
      const content = contentOf(message, path);
      if (content.length === 0) refuse([...path, 'content'], 'must not be blank');
      messages.push({ role: 'user', content });
      return;
    }
    refuseImages(message, path);
    const calls = (message.tool_calls ?? []).map((call) => {
      const asked = call.id ?? undefined;
      const id = freeId(asked ?? 'call', usedIds);
      const input = call.function.arguments ?? {};
      return { asked, use: { type: 'tool_use' as const, id, name: call.function.name, input } };
    });
    const blocks: AssistantBlock[] = [...textBlocks(message.content), ...calls.map(({ use }) => use)];
    // The Messages API has no empty message.
    if (blocks.length > 0) messages.push({ role: 'assistant', content: blocks });
    if (calls.length > 0) open = { path, calls };
  });
  closeCalls();
  if (last === undefined) refuse(['messages'], 'must contain a message with the role user');
  if (messages.at(-1)?.role !== 'user') {
    refuse(last, 'must have the role user or tool: the relay cannot continue a text of the assistant');
  }
  return { system, messages };
}

/** A blank text is left out: the model accepts none. */
export function textBlocks(text: string | null | undefined): TextBlock[] {
  return (text ?? '').trim() === '' ? [] : [{ type: 'text', text: text as string }];
}

/** Images come first, as in Ollama's own templates. */
function contentOf({ content, images }: OllamaMessage, path: Path) {
  return [...imageBlocks(images, [...path, 'images']), ...textBlocks(content)];
}

function refuseImages({ images }: OllamaMessage, path: Path): void {
  if ((images ?? []).length > 0)
    refuse([...path, 'images'], 'belong to a message with the role user or tool');
}

/** False if every call has a result already. */
function addResult(message: OllamaMessage, path: Path, { calls }: OpenCalls): boolean {
  const waiting = calls.filter(({ result }) => result === undefined);
  const call =
    waiting.find(({ asked }) => asked !== undefined && asked === message.tool_call_id) ??
    waiting.find(({ use }) => use.name === message.tool_name) ??
    waiting[0];
  if (call === undefined) return false;
  const images = imageBlocks(message.images, [...path, 'images']);
  const content = images.length === 0 ? (message.content ?? '') : [...images, ...textBlocks(message.content)];
  call.result = { type: 'tool_result', tool_use_id: call.use.id, content };
  return true;
}

function resultsOf({ path, calls }: OpenCalls): ToolResultBlock[] {
  return calls.map(
    ({ result }, index) =>
      result ??
      refuse(
        [...path, 'tool_calls', index],
        'has no result: send a message with the role tool for each call',
      ),
  );
}
