/** The order that the Messages API requires of a conversation. The CLI silently changes any other order. Pure. */
import type { Message } from '../../conversation.ts';
import { shorten, type Path } from '../problem.ts';
import { problem } from './problem.ts';

/** A message, and its place in the request. */
export type Placed = { message: Message; path: Path };

/**
 * A system message may stand anywhere but first. Throws `bad_request` for a conversation that does not begin with the user, does not
 * end with the user, or has a tool_use without its tool_result.
 */
export function requireOrder(messages: readonly Placed[]): void {
  const [first] = messages;
  const last = messages.findLast(({ message }) => message.role !== 'system');
  if (first === undefined || last === undefined) {
    throw problem(['messages'], 'must contain a user message');
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
  requireResults(messages);
}

/** Neighbours of one role are one turn. */
function requireResults(messages: readonly Placed[]): void {
  const everUsed = new Set<string>();
  /** The tool_use blocks of the assistant's last turn that have no result yet. */
  const open = new Map<string, Path>();
  let turn: Message['role'] | undefined;
  let resultsEnded = false;
  for (const { message, path: messagePath } of messages) {
    if (message.role === 'system') continue;
    if (message.role !== turn) {
      if (message.role === 'assistant') requireNone(open);
      turn = message.role;
      resultsEnded = false;
    }
    message.content.forEach((block, index) => {
      const path = [...messagePath, 'content', index];
      if (block.type === 'tool_use') {
        if (everUsed.has(block.id)) throw problem([...path, 'id'], 'must be unique in the conversation');
        everUsed.add(block.id);
        open.set(block.id, path);
      }
      if (block.type !== 'tool_result') {
        resultsEnded = true;
        return;
      }
      if (resultsEnded) throw problem(path, 'is a tool_result that must come before the other blocks');
      if (!open.delete(block.tool_use_id)) {
        throw problem(
          [...path, 'tool_use_id'],
          `is ${shorten(block.tool_use_id)}, which is not an open tool_use of the previous message`,
        );
      }
    });
  }
  requireNone(open);
}

function requireNone(open: ReadonlyMap<string, Path>): void {
  for (const [id, path] of open) {
    throw problem(path, `is tool_use ${shorten(id)}, which has no tool_result in the next message`);
  }
}
