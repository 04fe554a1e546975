/**
 * The profile of a key: what its owner set for its requests. A request that says nothing about a field gets that of the profile. With
 * a lock, the profile's fields are all that the model gets: no other place of a request holds a system prompt, an effort or a limit.
 * `routes/models.ts` chooses the model. Pure, except for the one look-up.
 */
import type { Conversation } from '../conversation.ts';
import type { ParsedRequest } from '../dialects/dialect.ts';
import { RelayError } from '../errors.ts';
import type { Key } from '../keys/key.ts';
import type { Keys } from '../keys/store.ts';

export type ProfileParts = { keys: Pick<Keys, 'systemOf'> };

/**
 * The request as the profile changes it. `replaced`: fields of the request that have no effect. Throws `forbidden` for a system prompt
 * if that of the key is locked: without its own instructions, the program would work in a wrong way.
 */
export function withProfile<Asked extends Pick<ParsedRequest, 'conversation' | 'model'>>(
  asked: Asked,
  key: Key,
  { keys }: ProfileParts,
): Asked & { replaced: string[] } {
  const { locked = false, effort, maxTokens } = key;
  const given = asked.conversation;
  const conversation: Conversation = { ...given };
  const replaced: string[] = [];

  if (locked && asked.model !== undefined && asked.model !== (key.model ?? asked.model))
    replaced.push('model');

  if (key.systemBytes !== undefined) {
    const later = given.messages.some(({ role }) => role === 'system');
    if (locked && (later || given.system.length > 0)) {
      throw new RelayError(
        'forbidden',
        'The system prompt of this key is locked. Leave out "system", "instructions", and messages with the role system or developer.',
      );
    }
    const system = given.system.length > 0 ? undefined : keys.systemOf(key.id);
    if (system !== undefined) conversation.system = [system];
  }

  if (effort !== undefined) {
    // Thinking is the older form of it, and no thinking the least effort.
    const hasOwn = (given.effort ?? given.thinking) !== undefined;
    if (locked || !hasOwn) {
      conversation.effort = effort;
      delete conversation.thinking;
      if (hasOwn && (given.effort !== effort || given.thinking !== undefined)) replaced.push('effort');
    }
  }

  const wanted = given.maxTokens;
  if (maxTokens !== undefined && (wanted === undefined || (locked && wanted > maxTokens))) {
    conversation.maxTokens = maxTokens;
    if (wanted !== undefined) replaced.push('max_tokens');
    const { thinking } = conversation;
    // The API refuses a budget that leaves nothing for the answer.
    if (thinking?.type === 'enabled' && thinking.budget_tokens >= maxTokens) {
      conversation.thinking = { type: 'off' };
      replaced.push('thinking');
    }
  }
  return { ...asked, conversation, replaced };
}
