/** Reading a request's JSON body, bounded while it is read. */
import { RelayError } from '../errors.ts';

export type Body = { value: unknown; bytes: number };

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Throws `unsupported_media_type`, `payload_too_large` or `bad_request`. */
export async function readJson(request: Request, maxBytes: number): Promise<Body> {
  requireJson(request.headers);
  const bytes = await readBytes(request, maxBytes);
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new RelayError('bad_request', 'The request body is not valid UTF-8.');
  }
  try {
    return { value: JSON.parse(text), bytes: bytes.length };
  } catch {
    throw new RelayError('bad_request', 'The request body is not valid JSON.');
  }
}

function requireJson(headers: Headers): void {
  const [type = '', ...parameters] = (headers.get('content-type') ?? '').toLowerCase().split(';');
  const charset = parameters.map((part) => part.trim()).find((part) => part.startsWith('charset='));
  if (type.trim() !== 'application/json') {
    throw new RelayError('unsupported_media_type', 'Send the request as content-type: application/json.');
  }
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) {
    throw new RelayError('unsupported_media_type', 'Send the request body in UTF-8.');
  }
  if ((headers.get('content-encoding') ?? 'identity') !== 'identity') {
    throw new RelayError('unsupported_media_type', 'Send the request body without a content-encoding.');
  }
}

async function readBytes(request: Request, maxBytes: number): Promise<Buffer> {
  const announced = request.headers.get('content-length');
  if (announced !== null) {
    if (Number(announced) > maxBytes) throw tooLarge(maxBytes);
    // The server reads no more than was announced.
    return Buffer.from(await request.arrayBuffer().catch(brokenOff));
  }
  if (request.body === null) return Buffer.alloc(0);
  const chunks: Uint8Array[] = [];
  let total = 0;
  const reader = request.body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return Buffer.concat(chunks, total);
      total += value.byteLength;
      if (total > maxBytes) throw tooLarge(maxBytes);
      chunks.push(value);
    }
  } catch (error) {
    if (error instanceof RelayError) throw error;
    return brokenOff(error);
  } finally {
    reader.releaseLock();
  }
}

function brokenOff(cause: unknown): never {
  throw new RelayError('bad_request', 'The request body ended before it was complete.', { cause });
}

function tooLarge(maxBytes: number): RelayError {
  return new RelayError(
    'payload_too_large',
    `The request body is larger than ${maxBytes} bytes (MAX_INPUT_BYTES).`,
    {
      // The rest of the body is not read.
      headers: { connection: 'close' },
    },
  );
}
