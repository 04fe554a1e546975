/** Reading a request's JSON body, bounded while it is read. */
import { createHash } from 'node:crypto';
import { RelayError } from '../errors.ts';

export type Body = {
  value: unknown;
  bytes: number;
  /** SHA-256 of the bytes, where it was asked for. */
  digest?: string;
};

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The settings that bound a body, in bytes: reading stops at their sum. */
/** `fixed`: no setting changes the limits. */
export type BodyLimits = { maxInputBytes: number; maxAttachmentBytes: number; fixed?: true };

export type ReadOptions = {
  digest?: boolean;
  /** Called at most once, before more than `maxInputBytes` are read, with the size of the body or the largest it can have. */
  onLarge?: (bytes: number) => void;
};

/** Throws `unsupported_media_type`, `payload_too_large`, `bad_request`, or what `onLarge` throws. */
export async function readJson(
  request: Request,
  limits: BodyLimits,
  { digest = false, onLarge }: ReadOptions = {},
): Promise<Body> {
  requireJson(request.headers);
  const bytes = await readBytes(request, limits, onLarge);
  try {
    const value: unknown = JSON.parse(utf8.decode(bytes));
    if (!digest) return { value, bytes: bytes.length };
    return { value, bytes: bytes.length, digest: createHash('sha256').update(bytes).digest('base64') };
  } catch {
    throw new RelayError('bad_request', 'The request body is not valid JSON in UTF-8.');
  }
}

function requireJson(headers: Headers): void {
  const [type = '', ...parameters] = (headers.get('content-type') ?? '').toLowerCase().split(';');
  const charset = parameters.map((part) => part.trim()).find((part) => part.startsWith('charset='));
  if (type.trim() !== 'application/json') {
    throw new RelayError('unsupported_media_type', 'Send the request with content-type: application/json.');
  }
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) {
    throw new RelayError('unsupported_media_type', 'Send the request body in UTF-8.');
  }
  if ((headers.get('content-encoding') ?? 'identity') !== 'identity') {
    throw new RelayError('unsupported_media_type', 'Send the request body without a content-encoding.');
  }
}

async function readBytes(
  request: Request,
  limits: BodyLimits,
  onLarge: ReadOptions['onLarge'],
): Promise<Buffer> {
  const maxBytes = limits.maxInputBytes + limits.maxAttachmentBytes;
  const announced = request.headers.get('content-length');
  if (announced !== null) {
    if (Number(announced) > maxBytes) throw tooLarge(limits);
    if (Number(announced) > limits.maxInputBytes) onLarge?.(Number(announced));
    // The server reads no more than was announced.
    return Buffer.from(await request.arrayBuffer().catch(brokenOff));
  }
  if (request.body === null) return Buffer.alloc(0);
  const chunks: Uint8Array[] = [];
  let total = 0;
  try {
    // A refusal leaves the rest unread: cancelling the body would close the connection before the answer.
    for await (const chunk of request.body.values({ preventCancel: true })) {
      const before = total;
      total += chunk.byteLength;
      if (total > maxBytes) throw tooLarge(limits);
      // Its size is unknown until it ends.
      if (total > limits.maxInputBytes && before <= limits.maxInputBytes) onLarge?.(maxBytes);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, total);
  } catch (error) {
    if (error instanceof RelayError) throw error;
    return brokenOff(error);
  }
}

function brokenOff(cause: unknown): never {
  throw new RelayError('bad_request', 'The request body ended before it was complete.', { cause });
}

export function tooLarge({ maxInputBytes, maxAttachmentBytes, fixed }: BodyLimits): RelayError {
  const settings = maxAttachmentBytes === 0 ? 'MAX_INPUT_BYTES' : 'MAX_INPUT_BYTES and MAX_ATTACHMENT_BYTES';
  const setBy = fixed ? '' : ` (${settings})`;
  return new RelayError(
    'payload_too_large',
    `The request body is larger than ${maxInputBytes + maxAttachmentBytes} bytes${setBy}.`,
    {
      // The rest of the body is not read.
      headers: { connection: 'close' },
    },
  );
}
