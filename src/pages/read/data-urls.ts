/**
 * Shortens `data:` URLs, because an image inside a page can be larger than the page. A URL keeps its head and gets one word:
 * `data:image/png;base64,omitted`. Takes text in pieces of any size.
 */

/** Where the text stands. It decides what a URL can follow, and what ends it. */
export type UrlPlace = 'value' | 'list' | 'style' | 'script';

export const omitted = 'omitted';
/** With the hyphens that stayed before a `<` that is gone: a second pass changes nothing. */
const alreadyOmitted = /^omitted-{1,2}$/;
/** Every such URL begins like this. */
export const mayHoldDataUrl = /data:/i;

/** The head of a URL: a type and parameters, as written in HTML, JSON and scripts. */
const head = /data:((?:[\w.+/&#=%\\-]|; ?){0,100}),/iy;
const slash = String.raw`(?:\\?/|&#47;|&#x2f;|\\u002f)`;
const typed = new RegExp(
  `^(?:;.*|(?:application|audio|font|image|message|model|multipart|text|video|x-[\\w-]+)${slash}.*)?$`,
  'i',
);
/** The longest match of `head`. UTF-16 units. */
const longestHead = 206;
/** Longer than any mark before or after a URL. UTF-16 units. */
const longestEdge = 8;

/** In a script, `<!--`, `<script` and `-->` decide where the script ends, so they are kept. */
const scriptEnds = { '"': /(?<!\\)"|-{0,2}[<>]/g, "'": /(?<!\\)'|-{0,2}[<>]/g } as const;

const ends = {
  '"': /(?<!\\)"/g,
  "'": /(?<!\\)'/g,
  '(': /\)/g,
  '&quot;': /(?<!\\)&(?:quot|#34|#x22);/gi,
  '&apos;': /(?<!\\)&(?:apos|#39|#x27);/gi,
  gap: /[\s"'<>)]/g,
  value: /(?!)/g,
} as const;

export class DataUrls {
  readonly #place: UrlPlace;
  /** The end of the text that was passed on: the text before a URL shows that it is one. */
  #before = '';
  /** Not passed on yet. */
  #waiting = '';
  /** The end of the URL that is being read, and whether the URL is long enough to be replaced. */
  #url: { readonly end: RegExp; readonly isLong: boolean } | undefined;
  #started = false;

  constructor(place: UrlPlace) {
    this.#place = place;
  }

  /** The rest, at the end of the text. */
  end(): string {
    return this.write('', true);
  }

  write(piece: string, last = false): string {
    this.#waiting += piece;
    const out: string[] = [];
    while (this.#url === undefined ? this.#toUrl(out, last) : this.#throughUrl(out, last));
    return out.join('');
  }

  /** Passes on the text up to the next URL; false when more text is needed. */
  #toUrl(out: string[], last: boolean): boolean {
    const start = this.#waiting.search(mayHoldDataUrl);
    if (start === -1) {
      // The word may be cut in two.
      out.push(this.#pass(last ? this.#waiting.length : Math.max(0, this.#waiting.length - 'data'.length)));
      return false;
    }
    out.push(this.#pass(start));
    const text = this.#waiting;
    head.lastIndex = 0;
    const [found = '', type = ''] = head.exec(text) ?? [];
    if (found === '' && !last && text.length < longestHead && !text.includes(',')) return false;
    const end = found !== '' && typed.test(type) ? this.#endOfUrl() : undefined;
    out.push(this.#pass(end === undefined ? 'data:'.length : found.length));
    if (end !== undefined) this.#url = { end, isLong: false };
    return true;
  }

  /** Replaces the URL up to its end; false when more text is needed. */
  #throughUrl(out: string[], last: boolean): boolean {
    const { end, isLong } = this.#url ?? { end: ends.value, isLong: false };
    // The first letter of the rest was searched before.
    end.lastIndex = isLong ? 1 : 0;
    const found = end.exec(this.#waiting)?.index;
    if (found === undefined && !last) {
      // The end may be cut in two.
      const searched = this.#waiting.length - longestEdge;
      if (!isLong && searched <= omitted.length) return false;
      if (!isLong) out.push(omitted);
      this.#url = { end, isLong: true };
      this.#waiting = this.#waiting.slice(searched);
      return false;
    }
    const length = found ?? this.#waiting.length;
    const rest = this.#waiting.slice(0, length);
    if (!isLong) out.push(length > omitted.length && !alreadyOmitted.test(rest) ? omitted : rest);
    this.#url = undefined;
    this.#before = omitted;
    this.#waiting = this.#waiting.slice(length);
    return true;
  }

  #pass(length: number): string {
    const passed = this.#waiting.slice(0, length);
    this.#waiting = this.#waiting.slice(length);
    this.#before = (this.#before + passed.slice(-longestEdge)).slice(-longestEdge);
    this.#started ||= /\S/.test(passed);
    return passed;
  }

  /** The end of a URL that begins here; undefined where no URL can begin. */
  #endOfUrl(): RegExp | undefined {
    const before = this.#before;
    const mark = before.at(-1);
    if (mark === '"' || mark === "'") return (this.#place === 'script' ? scriptEnds : ends)[mark];
    if (this.#place === 'script') return undefined;
    if (mark === '(') return ends['('];
    if (this.#place === 'style') return mark !== undefined && /\s/.test(mark) ? ends.gap : undefined;
    if (/&(?:quot|#34|#x22);$/i.test(before)) return ends['&quot;'];
    if (/&(?:apos|#39|#x27);$/i.test(before)) return ends['&apos;'];
    if (!this.#started) return this.#place === 'list' ? ends.gap : ends.value;
    return mark !== undefined && /[\s,;=]/.test(mark) ? ends.gap : undefined;
  }
}
