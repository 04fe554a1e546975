/** A caller's marks for the prompt cache. Pure. */
import { z } from 'zod';
import type { CacheMark, TextBlock } from '../conversation.ts';
import { given } from './given.ts';

/** Anything else in it needs a beta header. */
export const cacheControl = z.object({ type: z.literal('ephemeral'), ttl: z.enum(['5m', '1h']).nullish() });

type Place = { cache_control?: z.infer<typeof cacheControl> | null | undefined };

/** The mark of a place, as a field of what becomes of it. */
export function markOf({ cache_control: mark }: Place): { cache_control?: CacheMark } {
  return mark ? { cache_control: { type: mark.type, ...given({ ttl: mark.ttl }) } } : {};
}

/** The CLI makes the system prompt one block and marks its end: an earlier mark is without effect, and added to `ignored`. */
export function systemMarkOf(
  blocks: readonly TextBlock[],
  ignored: Set<string>,
  name: string,
): { systemMark?: CacheMark } {
  if (blocks.slice(0, -1).some((block) => block.cache_control)) ignored.add(name);
  return given({ systemMark: blocks.findLast((block) => block.cache_control)?.cache_control });
}
