/** A stream of bytes that can be peeked at, and put back, before it is passed on. */
export class ByteSource {
  readonly #iterator: AsyncIterator<Buffer>;
  #kept: Buffer = Buffer.alloc(0);

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#iterator = chunks[Symbol.asyncIterator]();
  }

  /** The next piece, never empty; undefined at the end. */
  async next(): Promise<Buffer | undefined> {
    if (this.#kept.length > 0) {
      const kept = this.#kept;
      this.#kept = Buffer.alloc(0);
      return kept;
    }
    for (;;) {
      const result = await this.#iterator.next();
      if (result.done === true) return undefined;
      if (result.value.length > 0) return result.value;
    }
  }

  putBack(bytes: Buffer): void {
    this.#kept = Buffer.concat([bytes, this.#kept]);
  }

  /** Up to this many of the next bytes, which stay in the source. Fewer only at the end. */
  async peek(count: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    let length = 0;
    while (length < count) {
      const piece = await this.next();
      if (piece === undefined) break;
      pieces.push(piece);
      length += piece.length;
    }
    const bytes = Buffer.concat(pieces);
    this.putBack(bytes);
    return bytes.subarray(0, count);
  }

  /** Removes and gives up to this many bytes. */
  async take(count: number): Promise<Buffer> {
    const bytes = await this.peek(count);
    this.#kept = this.#kept.subarray(bytes.length);
    return bytes;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (let piece = await this.next(); piece !== undefined; piece = await this.next()) yield piece;
  }
}
