/** Text of a bounded number of UTF-8 bytes. The first piece that does not fit ends it. */
export class Output {
  /** Bytes of UTF-8. */
  readonly max: number;
  readonly #written: Buffer[] = [];
  #length = 0;
  #full = false;
  #incomplete = false;
  /** Pieces that fit, not yet written. Most are a few characters long. */
  #waiting = '';
  /** The first half of a surrogate pair whose second half is in the next piece. */
  #half = '';

  constructor(maxBytes: number) {
    this.max = maxBytes;
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
    this.#flush();
    return this.#length;
  }

  /** Adds as many code points as fit. With `references`, it adds no part of a reference such as `&amp;`. */
  addText(piece: string, { references = false } = {}): void {
    if (this.#full) return;
    const text = this.#half + piece;
    this.#half = /[\ud800-\udbff]$/.exec(text)?.[0] ?? '';
    const whole = text.slice(0, text.length - this.#half.length);
    if (this.fits(whole)) return this.#append(whole);
    this.#full = true;
    // Buffer's `write` ends between two characters.
    const room = Buffer.alloc(this.max - this.#length);
    const kept = room.toString('utf8', 0, room.write(whole));
    this.#append(references ? withoutHalfReference(kept, whole) : kept);
  }

  /** Adds the whole piece or nothing. */
  addWhole(piece: string): void {
    this.#full ||= !this.fits(piece);
    if (!this.#full) this.#append(piece);
  }

  /** Records that a large piece is missing. Later pieces are still added. */
  leaveOut(): void {
    this.#incomplete = true;
  }

  fits(piece: string): boolean {
    // A UTF-16 unit is at most three bytes of UTF-8.
    if (this.#length + 3 * (this.#waiting.length + piece.length) <= this.max) return true;
    this.#flush();
    return Buffer.byteLength(piece) <= this.max - this.#length;
  }

  toString(): string {
    this.#flush();
    return Buffer.concat(this.#written).toString();
  }

  #append(text: string): void {
    this.#waiting += text;
    if (this.#waiting.length > 16_384) this.#flush();
  }

  #flush(): void {
    if (this.#waiting === '') return;
    const bytes = Buffer.from(this.#waiting);
    this.#written.push(bytes);
    this.#length += bytes.length;
    this.#waiting = '';
  }
}

/** Removes a reference that the cut breaks. The longest is `&CounterClockwiseContourIntegral;`. */
function withoutHalfReference(kept: string, text: string): string {
  return /^[#\w;]/.test(text.slice(kept.length)) ? kept.replace(/&#?\w{0,31}$/, '') : kept;
}
