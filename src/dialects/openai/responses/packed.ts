/**
 * What a client carries to its next request unread, as the `encrypted_content` of an item: the model's thinking, or the summary of a
 * conversation. Nothing in it is secret: the API signs the thinking. Pure.
 */
import { z } from 'zod';
import { findUnsendable } from '../../unsendable.ts';

/** The content of another API's items begins in another way. */
const prefix = 'claude1.';

const packed = z.discriminatedUnion('type', [
  z.object({ type: z.literal('thinking'), thinking: z.string(), signature: z.string() }),
  z.object({ type: z.literal('redacted_thinking'), data: z.string() }),
  z.object({ type: z.literal('summary'), text: z.string() }),
]);

export type Packed = z.infer<typeof packed>;

/** Undefined for a block that could not be sent back: thinking without a signature. */
export function pack(value: object): string | undefined {
  const { data } = packed.safeParse(value);
  return data === undefined ? undefined : prefix + Buffer.from(JSON.stringify(data)).toString('base64url');
}

/** Undefined for what is not from here. */
export function unpack(content: unknown): Packed | undefined {
  if (typeof content !== 'string' || !content.startsWith(prefix)) return undefined;
  try {
    const json = Buffer.from(content.slice(prefix.length), 'base64url').toString();
    const { data } = packed.safeParse(JSON.parse(json));
    return findUnsendable(data) === undefined ? data : undefined;
  } catch {
    return undefined;
  }
}
