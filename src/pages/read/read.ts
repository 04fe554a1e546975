/** Reads the body of a reply: type, coding, charset and strip, each with its bound. */
import { setImmediate } from 'node:timers/promises';
import type { Readable } from 'node:stream';

import { RelayError } from '../../errors.ts';
import { ByteSource } from './bytes.ts';
import type { PageCaps } from '../caps.ts';
import { openText } from './charset.ts';
import { type ContentType, readContentType } from './content-type.ts';
import { decode, readCoding } from './decode.ts';
import { articleOf, createJsonLdCollector } from './json-ld.ts';
import { createMetadataCollector, type PageAbout, type PageMetadata } from './metadata.ts';
import { Output } from './output.ts';
import type { PageRequest } from '../request.ts';
import { isBinary, sniffBytes, sniffKind } from './sniff.ts';
import { createStripper } from './strip.ts';
import type { PageTokenizer } from './tokenizer.ts';
import { isBrokenOff, type Reply } from '../guard/transport.ts';

export type PageText = {
  readonly kind: 'html' | 'text';
  /** The page, cut; for an article, the HTML to read it from. */
  readonly text: string;
  readonly truncated: boolean;
  readonly contentType: string;
  readonly charset: string;
  readonly wireBytes: number;
  readonly decodedBytes: number;
  readonly jsonLd: readonly string[];
  readonly metadata: PageMetadata;
  readonly about: PageAbout;
};

/** How much text is read before other work has its turn. UTF-16 units. */
const turnLength = 65_536;

/**
 * Throws `unsupported_content_type` and `unsupported_encoding`, before the body is read if the headers decide. Rejects with the
 * signal's reason when it aborts, also while it reads bytes that have arrived.
 */
export async function readPage(
  reply: Reply,
  url: string,
  request: PageRequest,
  caps: PageCaps,
  signal: AbortSignal,
): Promise<PageText> {
  const type = readContentType(reply.headers['content-type']);
  const bodiless = reply.status === 204 || reply.status === 205 || reply.status === 304;
  if (type.kind === 'unsupported' && !bodiless) throw unsupportedType();
  const coding = readCoding(bodiless ? undefined : reply.headers['content-encoding']);

  const body = new BoundedBody(reply.body, caps);
  const onCut = (): void => {
    body.cut = true;
  };
  const source = new ByteSource(body.decoded(decode(body.wire(), coding, onCut)));
  const kind = bodiless ? 'html' : await kindOf(type, source);
  const encoding = type.kind === 'unknown' && kind === 'html' ? 'html' : type.encoding;
  const reader = await openText(source, type.charset, encoding);

  const article = request.format === 'text' || request.format === 'markdown';
  const metadataOnly = kind === 'html' && request.format === 'metadata';
  const output = new Output(kind === 'html' && article ? caps.articleBytes : request.max_bytes);
  const jsonLd = createJsonLdCollector(caps.jsonLdBytes);
  const collector = createMetadataCollector(url);
  const stripper = createStripper(output, {
    strip: request.strip || article,
    formulas: article,
    observers: [jsonLd, collector],
  });
  const writer = kind === 'html' ? stripper : { read: (text: string) => output.addText(text), end: () => {} };

  await pump(reader.pieces(), writer, () => {
    signal.throwIfAborted();
    // Metadata can be anywhere in a page, and does not fill the output.
    if (!output.full || metadataOnly) return true;
    // The answer is full. The rest of a page may still hold JSON-LD; a text has none.
    body.endAfter(caps.tailMs);
    return kind === 'html';
  });
  body.stop();
  return {
    kind,
    text: output.toString(),
    // A tag that is too large holds no text of an article.
    truncated: body.cut || (!metadataOnly && (article ? output.full : output.incomplete)),
    contentType: type.value,
    charset: reader.charset,
    wireBytes: body.wireBytes,
    decodedBytes: body.decodedBytes,
    jsonLd: jsonLd.blocks,
    metadata: collector.metadata(),
    about: collector.about(articleOf(jsonLd.blocks)),
  };
}

/** Passes the text on in pieces of one size, with a turn of the event loop after each. `goOn` false ends it. */
async function pump(
  text: AsyncIterable<string>,
  writer: Pick<PageTokenizer, 'read' | 'end'>,
  goOn: () => boolean,
): Promise<void> {
  let waiting = '';
  for await (const piece of text) {
    waiting += piece;
    while (waiting.length >= turnLength) {
      writer.read(waiting.slice(0, turnLength));
      waiting = waiting.slice(turnLength);
      if (!goOn()) return;
      await setImmediate();
    }
  }
  writer.read(waiting);
  writer.end();
}

async function kindOf(type: ContentType, source: ByteSource): Promise<'html' | 'text'> {
  if (type.kind === 'html') return 'html';
  const start = await source.peek(sniffBytes);
  if (type.kind === 'unknown') {
    const sniffed = start.length === 0 ? 'html' : sniffKind(start);
    if (sniffed === 'unsupported') throw unsupportedType();
    return sniffed;
  }
  if (type.kind === 'file' && sniffKind(start) === 'unsupported') throw unsupportedType();
  const utf16 = /^utf-?16/i.test(type.charset ?? '');
  if (!utf16 && isBinary(start)) {
    throw new RelayError('unsupported_content_type', 'The page is sent as text, but it holds binary data.');
  }
  return 'text';
}

function unsupportedType(): RelayError {
  return new RelayError(
    'unsupported_content_type',
    'The page is neither HTML nor text, JSON, XML or a feed.',
  );
}

/** Takes no more of a body than the caps allow. A body that ends early is a cut, not an error. */
class BoundedBody {
  wireBytes = 0;
  decodedBytes = 0;
  cut = false;
  readonly #body: Readable;
  readonly #caps: PageCaps;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(body: Readable, caps: PageCaps) {
    this.#body = body;
    this.#caps = caps;
  }

  async *wire(): AsyncGenerator<Buffer> {
    try {
      yield* this.#bounded(this.#body, 'wireBytes');
    } catch (error) {
      if (!this.#stopped && !isBrokenOff(error)) throw error;
      this.cut = true;
    }
  }

  decoded(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    return this.#bounded(chunks, 'decodedBytes');
  }

  async *#bounded(
    chunks: AsyncIterable<Buffer>,
    counter: 'wireBytes' | 'decodedBytes',
  ): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      const room = this.#caps[counter] - this[counter];
      this[counter] += Math.min(chunk.length, room);
      yield chunk.subarray(0, room);
      if (chunk.length > room) {
        this.cut = true;
        return;
      }
    }
  }

  /** Ends the body after so many milliseconds, from the first call on. */
  endAfter(milliseconds: number): void {
    this.#timer ??= setTimeout(() => this.stop(), milliseconds);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#stopped = true;
    this.#body.destroy();
  }
}
