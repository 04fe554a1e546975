/**
 * Removes scripts, styles, svg and comments from a page as it streams by.
 *
 * Uses parse5's tokenizer and a few flags, without a tree or a stack, so no page makes it slow or large. The rest of the page
 * stays unchanged, except `data:` URLs and tags that are too large. The result is smaller, but not safe to show: handlers in
 * attributes, `javascript:` links and forms stay.
 *
 * Two rules make sure that no browser finds a removed element again. Where browsers may disagree on how text is read, no tag
 * that decides it is kept (ambiguity.ts). A cut never joins a `<` to the text after it.
 */
import { Token } from 'parse5';

import { Ambiguity } from './ambiguity.ts';
import { DataUrls } from './data-urls.ts';
import type { Output } from './output.ts';
import { SvgSpan } from './svg.ts';
import { shortenTag, type ShortTag, TagSource } from './tag-source.ts';
import { knownLength, type PageHandler, PageTokenizer } from './tokenizer.ts';

/** Gets the page's own tags and texts, kept or not. */
export type PageObserver = {
  startTag(tag: Token.TagToken): void;
  /**
   * Text comes in pieces: `raw` as in the page, `chars` with its character references resolved. `element`: the name of the
   * text-only element around it.
   */
  text(chars: string, raw: string, element: string | undefined): void;
  endTag(name: string): void;
};

export type StripOptions = {
  /** False keeps everything. A page that is too long is still cut at a token. */
  readonly strip: boolean;
  /** Keeps formulas that are TeX in a script; nothing runs them. */
  readonly formulas?: boolean;
  readonly observers: readonly PageObserver[];
};

export function createStripper(output: Output, options: StripOptions): PageTokenizer {
  return new StripHandler(output, options).tokenizer;
}

export function isJsonLd(tag: Token.TagToken): boolean {
  return isScript(tag, /^\s*application\/ld\+json\s*(;|$)/i);
}

function isScript(tag: Token.TagToken, ofType: RegExp): boolean {
  const type = tag.attrs.find(({ name }) => name === 'type')?.value ?? '';
  return tag.tagName === 'script' && type.length < knownLength && ofType.test(type);
}

/**
 * A tag that does not fit ends the page, because little room is lost. A tag larger than this, in UTF-16 units and as a share of
 * the room, is left out instead.
 */
const largeTag = { length: 256, share: 1 / 8 } as const;

class StripHandler implements PageHandler {
  readonly tokenizer: PageTokenizer;
  readonly #output: Output;
  readonly #options: StripOptions;
  readonly #svg = new SvgSpan();
  readonly #ambiguity = new Ambiguity();
  /**
   * The element whose text is being read. `ended`: ambiguous text has reached its first `<`, and the rest of it is removed.
   */
  #text:
    | { readonly name: string; readonly keep: boolean; readonly ambiguous: boolean; ended?: true }
    | undefined;
  /** For the text of a style sheet or a script. */
  #urls: DataUrls | undefined;
  /** The beginning of a token that is too long to be held. */
  #begun: TagSource | undefined;
  /** Where in the page the next token starts, in UTF-16 units. */
  #offset = 0;
  #lessThanLast = false;
  #cut = false;

  constructor(output: Output, options: StripOptions) {
    this.tokenizer = new PageTokenizer(this);
    this.#output = output;
    this.#options = options;
  }

  onStartTag(tag: Token.TagToken): void {
    const name = tag.tagName;
    const { inHtml } = this.#svg;
    this.#endUrls();
    if (name === 'style' || name === 'script') this.#urls = new DataUrls(name);
    if (this.#svg.active && this.#svg.start(tag)) {
      if (inHtml) this.tokenizer.readTextOf(name);
      return this.#dropTag(tag);
    }
    for (const observer of this.#options.observers) observer.startTag(tag);
    const drop = name === 'svg' || name === 'style' || (name === 'script' && !this.#keepScript(tag));
    if (this.tokenizer.readTextOf(name)) {
      this.#text = { name, keep: !drop, ambiguous: this.#ambiguity.covers(name) };
    }
    if (name === 'svg' && !tag.selfClosing) this.#svg.enter();
    if (drop) return this.#dropTag(tag);
    if (this.#keepTag(tag)) this.#ambiguity.start(tag);
  }

  onEndTag(tag: Token.TagToken): void {
    const name = tag.tagName;
    this.#endUrls();
    if (this.#svg.active && this.#svg.end(name)) return this.#dropTag(tag);
    for (const observer of this.#options.observers) observer.endTag(name);
    const text = this.#text;
    this.#text = undefined;
    const stray = name === 'svg' || name === 'style' || name === 'script';
    if (text === undefined ? stray : !text.keep) return this.#dropTag(tag);
    // Before the tag is kept: this `</noscript` is the one that may be kept.
    this.#ambiguity.end(name);
    if (!this.#keepTag(tag) && text !== undefined) this.#emit(`</${name}>`, true);
  }

  onCharacter(token: Token.CharacterToken): void {
    const raw = this.#take(token);
    this.#addText(this.#urls?.write(raw) ?? raw, token.chars);
  }

  onComment(token: Token.CommentToken): void {
    this.#endUrls();
    this.#drop(this.#take(token));
  }

  onDoctype(token: Token.DoctypeToken): void {
    const { text } = this.#takeTag(token);
    if (this.#svg.active) this.#drop(text ?? '');
    else if (text === undefined || !this.#emitWhole(text)) this.#leaveOut();
  }

  onEof(token: Token.EOFToken): void {
    this.#endUrls();
    const { text, complete } = this.#takeTag(token);
    // A tag that the end of the page cuts is not a tag.
    if (this.#options.strip) return;
    if (!complete || text === undefined || !this.#emitWhole(text)) this.#output.leaveOut();
  }

  onDropSource(token: Token.Token, end: number): void {
    const raw = this.#takeTo(end);
    if (token.type === Token.TokenType.COMMENT) return this.#drop(raw);
    this.#begun ??= new TagSource();
    this.#begun.write(raw);
  }

  #keepScript(tag: Token.TagToken): boolean {
    return isJsonLd(tag) || (this.#options.formulas === true && isScript(tag, /^\s*math\/tex\s*(;|$)/i));
  }

  #keepTag(tag: Token.TagToken): boolean {
    const source = this.#takeTag(tag);
    if (this.#options.strip && this.#ambiguity.inNoscript && /<\/noscript/i.test(source.text ?? '')) {
      this.#cut = true;
      return false;
    }
    this.#emitTag(source, tag);
    return true;
  }

  #dropTag(tag: Token.TagToken): void {
    const source = this.#takeTag(tag);
    if (this.#options.strip) this.#cut = true;
    else this.#emitTag(source, tag);
  }

  /** Keeps the tag, or only its name if it is too large. */
  #emitTag({ text, complete }: ShortTag, tag: Token.TagToken): void {
    if (!complete) this.#output.leaveOut();
    if (text !== undefined && this.#emitWhole(text)) return;
    this.#leaveOut();
    if (tag.tagName.length < knownLength) this.#emit(bareTag(tag), true);
  }

  /** False when the tag is large and does not fit. */
  #emitWhole(text: string): boolean {
    const large = Math.max(largeTag.length, this.#output.max * largeTag.share);
    if (text.length > large && !this.#output.fits(text)) return false;
    this.#emit(text, true);
    return true;
  }

  #leaveOut(): void {
    this.#output.leaveOut();
    this.#cut = true;
  }

  #addText(piece: string, chars: string): void {
    const text = this.#text;
    if (text !== undefined || !this.#svg.active) {
      for (const observer of this.#options.observers) observer.text(chars, piece, text?.name);
    }
    if (text === undefined ? this.#svg.active : !text.keep || text.ended === true) return this.#drop(piece);
    const lessThan = text?.ambiguous === true && this.#options.strip ? piece.indexOf('<') : -1;
    if (text === undefined || lessThan === -1) return this.#emit(piece, false);
    text.ended = true;
    this.#emit(piece.slice(0, lessThan), false);
    this.#cut = true;
  }

  /** The text of a style sheet or a script is over. */
  #endUrls(): void {
    const rest = this.#urls?.end() ?? '';
    this.#urls = undefined;
    if (rest !== '') this.#addText(rest, '');
  }

  /** Removes a piece, or keeps it without `strip`. */
  #drop(piece: string): void {
    if (this.#options.strip) this.#cut = true;
    else this.#emit(piece, false);
  }

  #emit(raw: string, whole: boolean): void {
    if (raw === '') return;
    // `<` and `script>` around a comment would become a tag once the comment is gone.
    if (this.#options.strip && this.#cut && this.#lessThanLast) this.#output.addText(' ');
    if (whole) this.#output.addWhole(raw);
    else this.#output.addText(raw, { references: true });
    this.#cut = false;
    this.#lessThanLast = raw.endsWith('<');
  }

  #takeTag(token: Token.Token): ShortTag {
    const raw = this.#take(token);
    const begun = this.#begun;
    this.#begun = undefined;
    if (begun === undefined) return shortenTag(raw);
    begun.write(raw);
    return begun.end();
  }

  /** The rest of the token as in the page, with what the tokenizer ignored before it (`</>`). */
  #take({ location }: Token.Token): string {
    return this.#takeTo(location?.endOffset ?? this.#offset);
  }

  #takeTo(end: number): string {
    const { html, droppedBufferSize } = this.tokenizer.preprocessor;
    const raw = html.slice(this.#offset - droppedBufferSize, end - droppedBufferSize);
    this.#offset = end;
    return raw;
  }
}

/** The tag's name, and the attribute that decides how the text after it is read. */
function bareTag(tag: Token.TagToken): string {
  if (tag.type === Token.TokenType.END_TAG) return `</${tag.tagName}>`;
  const type = isJsonLd(tag) ? ' type="application/ld+json"' : '';
  return `<${tag.tagName}${type}${tag.selfClosing ? '/' : ''}>`;
}
