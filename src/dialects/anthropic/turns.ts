/** The order that the Messages API requires of a conversation. The CLI would silently change any other. Pure. */
import type { Message } from '../../conversation.ts';
import { shorten, type Path } from '../problem.ts';
import { problem } from './problem.ts';

/** A message, and its place in the request. */
export type Placed = { message: Message; path: Path };

/**
 * A system message may stand anywhere but first. Throws `bad_request` for a conversation that does not begin with the user, does not
 * end with the user, or has a tool's use without its result.
 */
export function requireOrder(messages: readonly Placed[]): void {
  const [first] = messages;
  const last = messages.findLast(({ message }) => message.role !== 'system');
  if (first === undefined || last === undefined) {
    throw problem(['messages'], 'must hold a message of the user');
  }
  if (first.message.role !== 'user') {
    throw problem([...first.path, 'role'], 'must be user in the first message');
  }
  if (last.message.role !== 'user') {
    throw problem(
      [...last.path, 'role'],
      "must be user in the last message: the relay cannot continue the assistant's text (prefill)",
    );
  }
  requireResults(turnsOf(messages));
}

type PlacedBlock = { block: Message['content'][number]; path: Path };
type Turn = { role: Message['role']; blocks: PlacedBlock[] };

/** Neighbours of one role are one turn. */
function turnsOf(messages: readonly Placed[]): Turn[] {
  const turns: Turn[] = [];
  for (const { message, path } of messages) {
    if (message.role === 'system') continue;
    const blocks = message.content.map((block, index) => ({ block, path: [...path, 'content', index] }));
    const before = turns.at(-1);
    if (before?.role === message.role) before.blocks.push(...blocks);
    else turns.push({ role: message.role, blocks });
  }
  return turns;
}

function requireResults(turns: readonly Turn[]): void {
  const everUsed = new Set<string>();
  let open = new Map<string, Path>();
  for (const { role, blocks } of turns) {
    if (role === 'assistant') {
      open = usesOf(blocks, everUsed);
      continue;
    }
    const answered = new Set<string>();
    let othersBegan = false;
    for (const { block, path } of blocks) {
      if (block.type !== 'tool_result') {
        othersBegan = true;
        continue;
      }
      const id = block.tool_use_id;
      if (othersBegan) throw problem(path, 'is a tool_result that must come before the other blocks');
      if (answered.has(id)) {
        throw problem([...path, 'tool_use_id'], `is a second tool_result of ${shorten(id)}`);
      }
      if (!open.has(id)) {
        throw problem(
          [...path, 'tool_use_id'],
          `is ${shorten(id)}, which is no tool_use block of the message before`,
        );
      }
      answered.add(id);
    }
    for (const [id, path] of open) {
      if (!answered.has(id)) {
        throw problem(path, `is tool_use ${shorten(id)}, without a tool_result in the next message`);
      }
    }
    open = new Map();
  }
}

function usesOf(blocks: readonly PlacedBlock[], everUsed: Set<string>): Map<string, Path> {
  const uses = new Map<string, Path>();
  for (const { block, path } of blocks) {
    if (block.type !== 'tool_use') continue;
    if (everUsed.has(block.id)) throw problem([...path, 'id'], 'must be unique in the conversation');
    everUsed.add(block.id);
    uses.set(block.id, path);
  }
  return uses;
}
