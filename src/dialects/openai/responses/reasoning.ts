/**
 * A thinking block as the `encrypted_content` of a reasoning item. Clients send it back unread, so that the model gets its own thinking
 * again. Nothing in it is secret: the API signs what must not change. Pure.
 */
import { z } from 'zod';
import type { RedactedThinkingBlock, ThinkingBlock } from '../../../conversation.ts';

/** The content of another API's items begins in another way. */
const prefix = 'claude1.';

const thinkingBlock = z.discriminatedUnion('type', [
  z.object({ type: z.literal('thinking'), thinking: z.string(), signature: z.string() }),
  z.object({ type: z.literal('redacted_thinking'), data: z.string() }),
]);

/** Undefined for a block that could not be sent back: it has no signature. */
export function packThinking(block: object): string | undefined {
  const { data } = thinkingBlock.safeParse(block);
  return data === undefined ? undefined : prefix + Buffer.from(JSON.stringify(data)).toString('base64url');
}

/** Undefined for what is not from here. */
export function unpackThinking(content: unknown): ThinkingBlock | RedactedThinkingBlock | undefined {
  if (typeof content !== 'string' || !content.startsWith(prefix)) return undefined;
  try {
    const json = Buffer.from(content.slice(prefix.length), 'base64url').toString();
    return thinkingBlock.safeParse(JSON.parse(json)).data;
  } catch {
    return undefined;
  }
}
