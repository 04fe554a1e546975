/** The order that the Messages API holds a conversation to. What the CLI is sent in another order, it mends without a word. Pure. */
import type { Message } from '../../conversation.ts';
import { problem, shorten, type Place } from './problem.ts';

/** A message, and its place in the request. */
export type Placed = { message: Message; place: Place };

/** The system may speak anywhere but first. Throws `bad_request` for a conversation that does not begin with the user, does not end with the user, or leaves a tool's use without its result. */
export function requireOrder(messages: readonly Placed[]): void {
  const [first] = messages;
  const last = messages.findLast(({ message }) => message.role !== 'system');
  if (first === undefined || last === undefined)
    throw problem(['messages'], 'at least one message is required');
  if (first.message.role !== 'user')
    throw problem([...first.place, 'role'], 'first message must use the "user" role');
  if (last.message.role !== 'user') {
    throw problem(
      [...last.place, 'role'],
      'The conversation must end with a user message: what the assistant said last cannot be continued here (assistant message prefill)',
    );
  }
  requireResults(turnsOf(messages));
}

type PlacedBlock = { block: Message['content'][number]; place: Place };
type Turn = { role: Message['role']; place: Place; blocks: PlacedBlock[] };

/** Neighbours of one role are one turn. */
function turnsOf(messages: readonly Placed[]): Turn[] {
  const turns: Turn[] = [];
  for (const { message, place } of messages) {
    if (message.role === 'system') continue;
    const blocks = message.content.map((block, index) => ({ block, place: [...place, 'content', index] }));
    const before = turns.at(-1);
    if (before?.role === message.role) before.blocks.push(...blocks);
    else turns.push({ role: message.role, place, blocks });
  }
  return turns;
}

function requireResults(turns: readonly Turn[]): void {
  const everUsed = new Set<string>();
  let waiting = new Map<string, Place>();
  for (const { role, blocks } of turns) {
    if (role === 'assistant') {
      waiting = usesOf(blocks, everUsed);
      continue;
    }
    const answered = new Set<string>();
    let othersBegan = false;
    for (const { block, place } of blocks) {
      if (block.type !== 'tool_result') {
        othersBegan = true;
        continue;
      }
      const id = block.tool_use_id;
      if (othersBegan)
        throw problem(place, '`tool_result` blocks must come before the other blocks of a message');
      if (answered.has(id))
        throw problem(
          [...place, 'tool_use_id'],
          `found more than one \`tool_result\` block with the id ${shorten(id)}`,
        );
      if (!waiting.has(id)) {
        throw problem(
          [...place, 'tool_use_id'],
          `unexpected \`tool_use_id\` ${shorten(id)}: each \`tool_result\` block must have a corresponding \`tool_use\` block in the previous message`,
        );
      }
      answered.add(id);
    }
    for (const [id, place] of waiting) {
      if (!answered.has(id)) {
        throw problem(
          place,
          `\`tool_use\` without a \`tool_result\` block immediately after: ${shorten(id)}. Each \`tool_use\` block must have a corresponding \`tool_result\` block in the next message`,
        );
      }
    }
    waiting = new Map();
  }
}

function usesOf(blocks: readonly PlacedBlock[], everUsed: Set<string>): Map<string, Place> {
  const uses = new Map<string, Place>();
  for (const { block, place } of blocks) {
    if (block.type !== 'tool_use') continue;
    if (everUsed.has(block.id)) throw problem([...place, 'id'], '`tool_use` ids must be unique');
    everUsed.add(block.id);
    uses.set(block.id, place);
  }
  return uses;
}
