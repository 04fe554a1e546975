/** The JSON-LD of a page as it stands there, collected while the page streams by, so that a cut does not lose it. */
import { isJsonLd, type PageObserver } from './strip.ts';

/** More blocks than any page means to have. */
const maxBlocks = 100;

/** `maxBytes` bounds all blocks together; a block that does not fit is left out whole. */
export function createJsonLdCollector(
  maxBytes: number,
): PageObserver & { readonly blocks: readonly string[] } {
  const blocks: string[] = [];
  let room = maxBytes;
  let pieces: string[] | undefined;
  let size = 0;
  return {
    blocks,
    startTag: (tag) => {
      pieces = isJsonLd(tag) && blocks.length < maxBlocks ? [] : undefined;
      size = 0;
    },
    elementText: (_name, raw) => {
      size += Buffer.byteLength(raw);
      if (size > room) pieces = undefined;
      else pieces?.push(raw);
    },
    endTag: () => {
      if (pieces === undefined) return;
      room -= size;
      blocks.push(pieces.join('').trim());
      pieces = undefined;
    },
  };
}
