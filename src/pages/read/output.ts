/** Text with an upper bound in UTF-8 bytes: what does not fit is left out, from there on, and said so. */
export class Output {
  /** Bytes of UTF-8. */
  readonly max: number;
  #bytes = Buffer.alloc(0);
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
    const text = this.#half + piece;
    const split = /[\ud800-\udbff]$/.test(text);
    this.#half = split ? text.slice(-1) : '';
    this.#add(split ? text.slice(0, -1) : text, references);
  }

  /** Notes that a piece is missing which is too large; what follows it is still added. */
  leaveOut(): void {
    if (!this.#full) this.#incomplete = true;
  }

  /** Adds all of it, or nothing. */
  addWhole(piece: string): void {
    if (!this.fits(piece)) this.#full = true;
    this.#add(piece);
  }

  fits(piece: string): boolean {
    if (this.#surelyFits(piece)) return true;
    this.#flush();
    return Buffer.byteLength(piece) <= this.max - this.#length;
  }

  toString(): string {
    this.#flush();
    return this.#bytes.toString('utf8', 0, this.#length);
  }

  #add(text: string, references = false): void {
    if (this.#full) return;
    if (this.#surelyFits(text)) {
      this.#waiting += text;
      if (this.#waiting.length > 16_384) this.#flush();
      return;
    }
    this.#flush();
    const start = this.#length;
    if (this.#write(text)) return;
    this.#full = true;
    if (references) this.#length -= halfReference(text, this.#bytes.toString('utf8', start, this.#length));
  }

  /** A UTF-16 unit is at most three bytes of UTF-8. */
  #surelyFits(text: string): boolean {
    return this.#length + 3 * (this.#waiting.length + text.length) <= this.max;
  }

  #flush(): void {
    if (this.#waiting === '') return;
    this.#write(this.#waiting);
    this.#waiting = '';
  }

  /** False when only a part of it fitted; that part ends between two characters, as Buffer's `write` does. */
  #write(text: string): boolean {
    const size = Buffer.byteLength(text);
    const room = Math.min(size, this.max - this.#length);
    this.#reserve(this.#length + room);
    this.#length += this.#bytes.write(text, this.#length, room, 'utf8');
    return room === size;
  }

  #reserve(length: number): void {
    if (length <= this.#bytes.length) return;
    const larger = Buffer.alloc(Math.min(this.max, Math.max(length, 2 * this.#bytes.length, 16_384)));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

/** How long the part of a reference is that the text breaks off in; the longest is `&CounterClockwiseContourIntegral;`. */
function halfReference(text: string, kept: string): number {
  const half = /&#?\w{0,31}$/.exec(kept.slice(-33))?.[0] ?? '';
  return /^[#\w;]/.test(text.slice(kept.length)) ? half.length : 0;
}
