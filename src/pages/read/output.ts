/** Text of a bounded number of UTF-8 bytes. The first piece that does not fit ends it. */
export class Output {
  /** Bytes of UTF-8. */
  readonly max: number;
  readonly #bytes: Buffer;
  #length = 0;
  #full = false;
  #incomplete = false;
  /** The first half of a surrogate pair whose second half is in the next piece. */
  #half = '';

  constructor(maxBytes: number) {
    this.max = maxBytes;
    this.#bytes = Buffer.allocUnsafe(maxBytes);
  }

  /** True once something did not fit. Nothing is added after that. */
  get full(): boolean {
    return this.#full;
  }

  /** True once a part of the page is missing: it did not fit, or `leaveOut` was called. */
  get incomplete(): boolean {
    return this.#full || this.#incomplete;
  }

  /** Bytes of UTF-8. */
  get length(): number {
    return this.#length;
  }

  /** Adds as many code points as fit. With `references`, it adds no part of a reference such as `&amp;`. */
  addText(piece: string, { references = false } = {}): void {
    if (this.#full) return;
    const text = this.#half + piece;
    this.#half = /[\ud800-\udbff]$/.exec(text)?.[0] ?? '';
    const whole = text.slice(0, text.length - this.#half.length);
    this.#full = !this.fits(whole);
    const start = this.#length;
    // Buffer's `write` ends between two characters.
    this.#length += this.#bytes.write(whole, start);
    if (!this.#full || !references) return;
    const kept = this.#bytes.toString('utf8', start, this.#length);
    this.#length = start + Buffer.byteLength(withoutHalfReference(kept, whole));
  }

  /** Adds the whole piece or nothing. */
  addWhole(piece: string): void {
    this.#full ||= !this.fits(piece);
    if (!this.#full) this.#length += this.#bytes.write(piece, this.#length);
  }

  /** Records that a large piece is missing. Later pieces are still added. */
  leaveOut(): void {
    this.#incomplete = true;
  }

  fits(piece: string): boolean {
    return Buffer.byteLength(piece) <= this.max - this.#length;
  }

  toString(): string {
    return this.#bytes.toString('utf8', 0, this.#length);
  }
}

/** Removes a reference that the cut breaks. The longest is `&CounterClockwiseContourIntegral;`. */
function withoutHalfReference(kept: string, text: string): string {
  return /^[#\w;]/.test(text.slice(kept.length)) ? kept.replace(/&#?\w{0,31}$/, '') : kept;
}
