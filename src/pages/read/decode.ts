/**
 * Content codings: at most one, and never more decoded bytes than the reader takes.
 *
 * The reader pulls the decoders, so a bomb costs one buffer and stops where its reader stops. (zlib's `maxOutputLength` does
 * not apply to streams.)
 */
import { pipeline } from 'node:stream/promises';
import {
  createBrotliDecompress,
  createInflate,
  createInflateRaw,
  type BrotliDecompress,
  type InflateRaw,
} from 'node:zlib';

import { RelayError } from '../../errors.ts';
import { ByteSource } from './bytes.ts';

export const acceptEncoding = 'gzip, deflate, br';

export type Coding = 'identity' | 'gzip' | 'deflate' | 'br';

/** Throws `unsupported_encoding` for a coding that was not offered, and for two: the second squares a bomb. */
export function readCoding(header: string | string[] | undefined): Coding {
  const [coding = 'identity', ...more] = [header ?? []]
    .flat()
    .flatMap((value) => value.toLowerCase().split(','))
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'identity');
  if (more.length === 0) {
    if (coding === 'x-gzip') return 'gzip';
    if (coding === 'gzip' || coding === 'deflate' || coding === 'br' || coding === 'identity') return coding;
  }
  throw new RelayError(
    'unsupported_encoding',
    `The page must be sent in one of these codings: ${acceptEncoding}.`,
  );
}

/**
 * The decoded bytes. A body that breaks off or turns to garbage ends there and calls `onCut`. If nothing could be decoded, it is
 * an `upstream_protocol` error.
 */
export async function* decode(
  chunks: AsyncIterable<Buffer>,
  coding: Coding,
  onCut: () => void,
): AsyncGenerator<Buffer> {
  if (coding === 'identity') {
    yield* chunks;
    return;
  }
  const source = new ByteSource(chunks);
  let any = false;
  try {
    for await (const chunk of decoders[coding](source)) {
      any = true;
      yield chunk;
    }
  } catch (error) {
    if (!isZlibError(error)) throw error;
    // Z_BUF_ERROR: the input ended before the stream did, perhaps before any output.
    if (!any && error.code !== 'Z_BUF_ERROR') {
      throw new RelayError('upstream_protocol', 'The page is not in the coding that its header names.', {
        cause: error,
      });
    }
    onCut();
  }
}

const decoders = {
  gzip: gunzip,
  deflate: async function* (source: ByteSource): AsyncGenerator<Buffer> {
    // Some servers send raw deflate under this name. RFC 1950: the low four bits of a zlib stream are 8.
    const [first = 8] = await source.peek(1);
    yield* run((first & 0x0f) === 8 ? createInflate(options) : createInflateRaw(options), source);
  },
  br: (source: ByteSource) => run(createBrotliDecompress(options), source),
} as const satisfies Record<Exclude<Coding, 'identity'>, (source: ByteSource) => AsyncGenerator<Buffer>>;

/**
 * RFC 1952, member by member. zlib's gunzip drops the end of a page that garbage follows. Here, as in browsers, the garbage and
 * the checksums are ignored.
 */
async function* gunzip(source: ByteSource): AsyncGenerator<Buffer> {
  for (let member = 0; member < maxGzipMembers && (await source.peek(1)).length > 0; member += 1) {
    if (!(await skipGzipHeader(source))) {
      if (member > 0) return;
      throw Object.assign(new Error('no gzip header'), { code: 'Z_DATA_ERROR' });
    }
    yield* run(createInflateRaw(options), source);
    await source.take(8);
  }
}

async function skipGzipHeader(source: ByteSource): Promise<boolean> {
  const magic = await source.peek(3);
  if (magic[0] !== 0x1f || magic[1] !== 0x8b || magic[2] !== 8) return false;
  const flags = (await source.take(10))[3] ?? 0;
  if ((flags & 4) !== 0) {
    const [low = 0, high = 0] = await source.take(2);
    await source.take(low + high * 256);
  }
  // FNAME and FCOMMENT end at a zero byte; FHCRC has two.
  if ((flags & 8) !== 0) await skipText(source);
  if ((flags & 16) !== 0) await skipText(source);
  if ((flags & 2) !== 0) await source.take(2);
  return true;
}

async function skipText(source: ByteSource): Promise<void> {
  for await (const piece of source) {
    const end = piece.indexOf(0);
    if (end === -1) continue;
    source.putBack(piece.subarray(end + 1));
    return;
  }
}

/** A member can be as short as twenty bytes, and each needs a decoder. */
const maxGzipMembers = 100;

/** Small, because all of a damaged piece is lost. */
const pieceBytes = 16_384;
/** The decoder works on one piece at a time, and only once its output has been read. */
const options = { chunkSize: pieceBytes, highWaterMark: 1 };

/** The decoder's whole output. Puts unread input back. Throws the decoder's error after the output before it. */
async function* run(decoder: InflateRaw | BrotliDecompress, source: ByteSource): AsyncGenerator<Buffer> {
  let fed = 0;
  let piece: Buffer = Buffer.alloc(0);
  const pieces = async function* (): AsyncGenerator<Buffer> {
    for await (const next of source) {
      piece = next.subarray(0, pieceBytes);
      source.putBack(next.subarray(piece.length));
      fed += piece.length;
      yield piece;
      // The stream has ended inside this piece.
      if (decoder.bytesWritten < fed) return;
    }
  };
  // An error of either side ends the decoder, and so the loop over its output.
  pipeline(pieces, decoder).catch(() => {});
  yield* decoder as AsyncIterable<Buffer>;
  source.putBack(piece.subarray(piece.length - (fed - decoder.bytesWritten)));
}

function isZlibError(error: unknown): error is Error & { code: string } {
  return error instanceof Error && 'code' in error && /^(Z_|ERR__)/.test(String(error.code));
}
