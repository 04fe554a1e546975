/** The input of a response -> system prompt, turns and further tools. Pure. */
import { z } from 'zod';
import type { Message } from '../../../conversation.ts';
import type { Recall } from '../../dialect.ts';
import type { Path } from '../../problem.ts';
import { unreadNames } from '../../unread.ts';
import { readArguments } from '../messages.ts';
import { refuse } from '../problem.ts';
import { blocksOf, content, textsOf } from './content.ts';
import { askForSummary, summaryBlock } from './compaction.ts';
import { groupOf } from './output.ts';
import { unpack } from './packed.ts';
import { anyTool, type AnyTool, type InputItem } from './request.ts';
import { joinedName, parseAt } from './tools.ts';
import { Turns } from './turns.ts';

export type Input = {
  system: string[];
  messages: Message[];
  /** Tools that the input adds, with their places. */
  tools: { tool: AnyTool; path: Path }[];
  /** The answer is a summary of the conversation. */
  compact: boolean;
};

type Reader = (item: InputItem, path: Path, input: Input, turns: Turns, ignored: Set<string>) => void;

/** Fields of an item of an answer that is sent back. They say nothing to the model. */
const ofAnswer = {
  type: z.unknown().optional(),
  id: z.unknown().optional(),
  status: z.unknown().optional(),
};

const call = {
  ...ofAnswer,
  call_id: z.string().min(1),
  name: z.string().min(1),
  namespace: z.string().nullish(),
};

const message = z.object({
  ...ofAnswer,
  role: z.enum(['user', 'assistant', 'system', 'developer']),
  content,
  phase: z.unknown().optional(),
});
/** `arguments` is a JSON object, as text. */
const functionCall = z.object({ ...call, arguments: z.string() });
const customToolCall = z.object({ ...call, input: z.string() });
const callOutput = z.object({
  ...ofAnswer,
  call_id: z.string().min(1),
  output: content,
  name: z.unknown().optional(),
});
const reasoning = z.object({
  ...ofAnswer,
  encrypted_content: z.unknown().optional(),
  summary: z.unknown().optional(),
  content: z.unknown().optional(),
});
const itemReference = z.object({ id: z.string() });
const compaction = z.object({ ...ofAnswer, encrypted_content: z.string() });
const additionalTools = z.object({ ...ofAnswer, role: z.unknown().optional(), tools: z.array(anyTool) });

/** Parses the item and notes the fields that are not known. */
function read<Output>(schema: z.ZodType<Output>, item: InputItem, path: Path, ignored: Set<string>): Output {
  const parsed = parseAt(schema, item, path);
  unreadNames(item, parsed, 'input', ignored);
  return parsed;
}

const readers: Readonly<Record<string, Reader>> = {
  message: (item, path, { system }, turns, ignored) => {
    const given = read(message, item, path, ignored);
    const at = [...path, 'content'];
    switch (given.role) {
      case 'system':
      case 'developer':
        system.push(...textsOf(given.content, at).map(({ text }) => text));
        return;
      case 'assistant':
        turns.assistant(textsOf(given.content, at), path);
        return;
      case 'user': {
        const blocks = blocksOf(given.content, at, ignored);
        if (blocks.length === 0) refuse(at, 'must not be blank');
        turns.user(blocks, path);
      }
    }
  },
  function_call: (item, path, _input, turns, ignored) => {
    const given = read(functionCall, item, path, ignored);
    const args = readArguments(given.arguments, [...path, 'arguments']);
    turns.call(given.call_id, joinedName(given.name, given.namespace), args, path);
  },
  custom_tool_call: (item, path, _input, turns, ignored) => {
    const given = read(customToolCall, item, path, ignored);
    turns.call(given.call_id, joinedName(given.name, given.namespace), { input: given.input }, path);
  },
  function_call_output: addOutput,
  custom_tool_call_output: addOutput,
  reasoning: (item, path, _input, turns, ignored) => {
    const block = unpack(read(reasoning, item, path, ignored).encrypted_content);
    // Thinking of another model is not its own.
    if (block === undefined || block.type === 'summary') ignored.add('input.reasoning');
    else turns.assistant([block], path);
  },
  compaction: (item, path, _input, turns, ignored) => {
    const block = summaryBlock(read(compaction, item, path, ignored).encrypted_content);
    const unread = "is another API's summary, which the relay cannot read: send the items themselves";
    turns.user([block ?? refuse([...path, 'encrypted_content'], unread)], path);
  },
  compaction_trigger: (_item, path, input, turns) => {
    input.compact = true;
    turns.user([askForSummary], path);
  },
  additional_tools: (item, path, { tools }, _turns, ignored) => {
    const given = read(additionalTools, item, path, ignored);
    tools.push(...given.tools.map((tool, index) => ({ tool, path: [...path, 'tools', index] })));
  },
};

function addOutput(item: InputItem, path: Path, _input: Input, turns: Turns, ignored: Set<string>): void {
  const { call_id: callId, output } = read(callOutput, item, path, ignored);
  const shown = typeof output === 'string' ? output : blocksOf(output, [...path, 'output'], ignored);
  turns.result(callId, shown, path);
}

/** What a tool that the API runs did for another model. The texts that follow say what came of it. */
const hostedItems: ReadonlySet<string> = new Set([
  'web_search_call',
  'file_search_call',
  'code_interpreter_call',
  'image_generation_call',
  'mcp_list_tools',
  'mcp_call',
  'mcp_approval_request',
  'mcp_approval_response',
  'tool_search_call',
  'tool_search_output',
]);

/**
 * System and developer messages become the system prompt, wherever they stand. Throws a `bad_request` that names the place.
 */
export function readInput(given: string | readonly InputItem[], ignored: Set<string>, recall: Recall): Input {
  if (typeof given === 'string' && given.trim() === '') refuse(['input'], 'must not be blank');
  const turns = new Turns();
  const input: Input = { system: [], messages: [], tools: [], compact: false };
  const items = typeof given === 'string' ? [{ type: 'message', role: 'user', content: given }] : given;
  items.forEach((sent, index) => {
    const path = typeof given === 'string' ? ['input'] : ['input', index];
    const item = isReference(sent) ? referredItem(sent, path, recall) : sent;
    const type = item.type ?? ('role' in item ? 'message' : undefined);
    if (type !== undefined && hostedItems.has(type)) {
      ignored.add(`input.${type}`);
      return;
    }
    const reader = type === undefined || !Object.hasOwn(readers, type) ? undefined : readers[type];
    if (reader === undefined) {
      const known = [...Object.keys(readers), reference].join(', ');
      refuse([...path, 'type'], type === undefined ? 'is required' : `is not one of ${known}`);
    }
    if (input.compact) refuse(path, 'comes after compaction_trigger, which must be the last item');
    reader(item, path, input, turns, ignored);
  });
  return { ...input, messages: turns.messages() };
}

const reference = 'item_reference';

/** It may have no type. */
function isReference({ type, ...fields }: InputItem): boolean {
  return (type ?? '') === '' ? 'id' in fields && !('role' in fields) : type === reference;
}

function referredItem(item: InputItem, path: Path, recall: Recall): InputItem {
  const { id } = parseAt(itemReference, item, path);
  const referred = recall(groupOf(id), id) as InputItem | undefined;
  return (
    referred ??
    refuse(
      [...path, 'id'],
      'is not an item that the relay keeps: send the items themselves (with store: false)',
    )
  );
}
