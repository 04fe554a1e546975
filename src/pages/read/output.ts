/** Text with an upper bound in UTF-8 bytes: what does not fit is left out, from there on, and said so. */
export class Output {
  /** Bytes of UTF-8. */
  readonly max: number;
  readonly #written: Buffer[] = [];
  #length = 0;
  #full = false;
  #incomplete = false;
  /** Pieces that are known to fit, not yet written: most are a few characters long. */
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

  /** True once anything of the page is missing: what did not fit, or what `leaveOut` was called for. */
  get incomplete(): boolean {
    return this.#full || this.#incomplete;
  }

  /** Bytes of UTF-8. */
  get length(): number {
    this.#flush();
    return this.#length;
  }

  /** Adds as many code points as fit; of the text of a page also no part of a reference such as `&amp;`. */
  addText(piece: string, { references = false } = {}): void {
    if (this.#full) return;
    const text = this.#half + piece;
    this.#half = /[\ud800-\udbff]$/.exec(text)?.[0] ?? '';
    const whole = text.slice(0, text.length - this.#half.length);
    if (this.fits(whole)) return this.#append(whole);
    this.#full = true;
    // Ends between two characters, as Buffer's `write` does.
    const room = Buffer.alloc(this.max - this.#length);
    const kept = room.toString('utf8', 0, room.write(whole));
    this.#append(references ? withoutHalfReference(kept, whole) : kept);
  }

  /** Adds all of it, or nothing. */
  addWhole(piece: string): void {
    this.#full ||= !this.fits(piece);
    if (!this.#full) this.#append(piece);
  }

  /** Notes that a piece is missing which is too large; what follows it is still added. */
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

/** A reference that the text breaks off in goes; the longest is `&CounterClockwiseContourIntegral;`. */
function withoutHalfReference(kept: string, text: string): string {
  return /^[#\w;]/.test(text.slice(kept.length)) ? kept.replace(/&#?\w{0,31}$/, '') : kept;
}
