/** The limits of a request's text and of its images and documents. */
import type { Conversation, UserBlock } from '../conversation.ts';
import { RelayError } from '../errors.ts';
import type { BodyLimits } from './body.ts';

/** Throws `payload_too_large`, naming the limit. `bodyBytes`: the size of the body. All of it but the attachments' data is text. */
export function requireRoom(
  { messages }: Conversation,
  bodyBytes: number,
  { maxInputBytes, maxAttachmentBytes }: BodyLimits,
): void {
  let attached = 0;
  for (const { role, content } of messages) {
    if (role === 'user') for (const block of content) attached += dataBytes(block);
  }
  if (attached > maxAttachmentBytes) {
    throw new RelayError(
      'payload_too_large',
      maxAttachmentBytes === 0
        ? 'This relay accepts no images or documents (MAX_ATTACHMENT_BYTES is 0).'
        : `The images and documents are larger than ${maxAttachmentBytes} bytes of base64 (MAX_ATTACHMENT_BYTES).`,
    );
  }
  if (bodyBytes - attached > maxInputBytes) {
    throw new RelayError(
      'payload_too_large',
      `The request body is larger than ${maxInputBytes} bytes (MAX_INPUT_BYTES), not counting the data of images and documents.`,
    );
  }
}

/** Base64 is one byte a character, in the body as well. */
function dataBytes(block: UserBlock): number {
  if (block.type === 'tool_result') {
    if (block.content === undefined || typeof block.content === 'string') return 0;
    return block.content.reduce((sum, each) => sum + dataBytes(each), 0);
  }
  return block.type !== 'text' && block.source.type === 'base64' ? block.source.data.length : 0;
}
