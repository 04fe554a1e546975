/**
 * A page without scripts, styles, svg and comments, as it streams by.
 *
 * parse5's tokenizer and a few flags: no tree and no stack, so no page makes it slow or large. What is kept is cut out
 * of the page as it stands, never written anew. It makes pages smaller; it does not make them safe to show: handlers in
 * attributes, `javascript:` links and forms stay.
 *
 * Two rules keep the result free of what was taken out, however a browser reads it: no tag that changes how text is read
 * is kept where browsers may disagree about it (ambiguity.ts), and a cut never joins a `<` to what follows.
 */
import { type Token, TokenizerMode, type TokenHandler } from 'parse5';

import { Ambiguity } from './ambiguity.ts';
import type { Output } from './output.ts';
import { SvgSpan } from './svg.ts';
import { knownLength, PageTokenizer } from './tokenizer.ts';

/** Sees the page's own tags and the text of its text-only elements, kept or not. */
export type PageObserver = {
  startTag(tag: Token.TagToken): void;
  /** `raw` is the page's text, `chars` has its character references resolved. Comes in pieces. */
  elementText(name: string, raw: string, chars: string): void;
  /** All other text, with its character references resolved. Comes in pieces. */
  text?(chars: string): void;
  endTag(name: string): void;
};

export type StripOptions = {
  /** False keeps everything; the page is still cut at a token when it is too long. */
  readonly strip: boolean;
  /** Keeps formulas, which some pages hold in scripts that are TeX; nothing runs them. */
  readonly formulas?: boolean;
  readonly observers: readonly PageObserver[];
};

export type Stripper = {
  write(text: string): void;
  end(): void;
};

/** Elements after whose start tag text is read differently: HTML standard, sections 13.2.6.2 and 13.2.6.4. */
const textModes = new Map<string, PageTokenizer['state']>([
  ['title', TokenizerMode.RCDATA],
  ['textarea', TokenizerMode.RCDATA],
  ['style', TokenizerMode.RAWTEXT],
  ['xmp', TokenizerMode.RAWTEXT],
  ['iframe', TokenizerMode.RAWTEXT],
  ['noembed', TokenizerMode.RAWTEXT],
  ['noframes', TokenizerMode.RAWTEXT],
  ['script', TokenizerMode.SCRIPT_DATA],
  ['plaintext', TokenizerMode.PLAINTEXT],
]);

export function isJsonLd(tag: Token.TagToken): boolean {
  return isScript(tag, /^\s*application\/ld\+json\s*(;|$)/i);
}

function isScript(tag: Token.TagToken, ofType: RegExp): boolean {
  const type = tag.attrs.find(({ name }) => name === 'type')?.value ?? '';
  return tag.tagName === 'script' && type.length < knownLength && ofType.test(type);
}

export function createStripper(output: Output, options: StripOptions): Stripper {
  const handler = new StripHandler(output, options);
  return {
    write: (text) => handler.tokenizer.read(text),
    end: () => handler.tokenizer.end(),
  };
}

class StripHandler implements TokenHandler {
  readonly tokenizer: PageTokenizer;
  readonly #output: Output;
  readonly #strip: boolean;
  readonly #formulas: boolean;
  readonly #observers: readonly PageObserver[];
  readonly #svg = new SvgSpan();
  readonly #ambiguity = new Ambiguity();
  /** The element whose text is being read, and what becomes of that text. */
  #text: { readonly name: string; readonly keep: boolean; readonly ambiguous: boolean } | undefined;
  /** Set when ambiguous text has come to its first `<`: the rest of the element's text goes. */
  #textEnded = false;
  /** Where in the page the next token starts, in UTF-16 units. */
  #offset = 0;
  #lessThanLast = false;
  #cut = false;

  constructor(output: Output, { strip, formulas = false, observers }: StripOptions) {
    this.tokenizer = new PageTokenizer(this, output.max);
    this.#output = output;
    this.#strip = strip;
    this.#formulas = formulas;
    this.#observers = observers;
  }

  onStartTag(tag: Token.TagToken): void {
    const name = tag.tagName;
    const { inHtml } = this.#svg;
    if (this.#svg.active && this.#svg.start(tag)) {
      if (inHtml) this.#readText(name);
      return this.#drop(tag);
    }
    for (const observer of this.#observers) observer.startTag(tag);
    const drop = name === 'svg' || name === 'style' || (name === 'script' && !this.#keepScript(tag));
    const ambiguous = this.#ambiguity.covers(name);
    if (this.#readText(name)) {
      this.#text = { name, keep: !drop, ambiguous };
      this.#textEnded = false;
    }
    if (name === 'svg' && !tag.selfClosing) this.#svg.enter();
    if (drop) return this.#drop(tag);
    if (this.#keepTag(tag)) this.#ambiguity.start(tag);
  }

  onEndTag(tag: Token.TagToken): void {
    const name = tag.tagName;
    if (this.#svg.active && this.#svg.end(name)) return this.#drop(tag);
    for (const observer of this.#observers) observer.endTag(name);
    const text = this.#text;
    this.#text = undefined;
    const stray = name === 'svg' || name === 'style' || name === 'script';
    if (text === undefined ? stray : !text.keep) return this.#drop(tag);
    // Before it is kept: this is the one `</noscript` that may stand there.
    this.#ambiguity.end(name);
    if (!this.#keepTag(tag) && text !== undefined) this.#emit(`</${name}>`, true);
  }

  onCharacter(token: Token.CharacterToken): void {
    const raw = this.#raw(token);
    const text = this.#text;
    if (text === undefined) {
      if (this.#svg.active) return this.#drop(token, false);
      for (const observer of this.#observers) observer.text?.(token.chars);
      return this.#keepText(token, raw);
    }
    for (const observer of this.#observers) observer.elementText(text.name, raw, token.chars);
    if (!text.keep || this.#textEnded) return this.#drop(token, false);
    const lessThan = text.ambiguous ? raw.indexOf('<') : -1;
    if (lessThan === -1) return this.#keepText(token, raw);
    this.#textEnded = true;
    this.#keepText(token, raw, lessThan);
  }

  onNullCharacter(token: Token.CharacterToken): void {
    this.onCharacter(token);
  }

  onWhitespaceCharacter(token: Token.CharacterToken): void {
    this.onCharacter(token);
  }

  onComment(token: Token.CommentToken): void {
    this.#drop(token);
  }

  onDoctype(token: Token.DoctypeToken): void {
    if (this.#svg.active) return this.#drop(token);
    this.#keepTag(token);
  }

  onEof(token: Token.EOFToken): void {
    // A tag that the page breaks off in is no tag.
    if (!this.#strip) this.#emit(this.#wholeRaw(token), true);
  }

  #keepScript(tag: Token.TagToken): boolean {
    return isJsonLd(tag) || (this.#formulas && isScript(tag, /^\s*math\/tex\s*(;|$)/i));
  }

  /** Tells the tokenizer how to read what follows; false when it goes on as before. */
  #readText(name: string): boolean {
    const mode = textModes.get(name);
    if (mode !== undefined) this.tokenizer.state = mode;
    return mode !== undefined;
  }

  #keepTag(token: Token.TagToken | Token.DoctypeToken): boolean {
    const raw = this.#wholeRaw(token);
    if (this.#strip && this.#ambiguity.inNoscript && /<\/noscript/i.test(raw)) {
      this.#drop(token);
      return false;
    }
    this.#emit(raw, true);
    this.#pass(token);
    return true;
  }

  #keepText(token: Token.CharacterToken, raw: string, length = raw.length): void {
    this.#emit(this.#strip ? raw.slice(0, length) : raw, false);
    this.#pass(token);
    if (length < raw.length) this.#cut = true;
  }

  /** `whole`: false for what a cut may divide, should it be kept after all. */
  #drop(token: Token.Token, whole = true): void {
    if (!this.#strip) this.#emit(whole ? this.#wholeRaw(token) : this.#raw(token), whole);
    else this.#cut = true;
    this.#pass(token);
  }

  #emit(raw: string, whole: boolean): void {
    if (raw === '') return;
    // `<` and `script>` around a comment would become a tag once the comment is gone.
    if (this.#strip && this.#cut && this.#lessThanLast) this.#output.addText(' ');
    if (whole) this.#output.addWhole(raw);
    else this.#output.addText(raw, { references: true });
    this.#cut = false;
    this.#lessThanLast = raw.endsWith('<');
  }

  /** The token as it stands in the page, with what the tokenizer ignored before it (`</>`). */
  #raw({ location }: Token.Token): string {
    const { html, droppedBufferSize } = this.tokenizer.preprocessor;
    const end = location?.endOffset ?? this.#offset;
    return html.slice(this.#offset - droppedBufferSize, end - droppedBufferSize);
  }

  /** The same of what is kept whole or not at all; the text of one that cannot fit is no longer there. */
  #wholeRaw(token: Token.Token): string {
    const length = (token.location?.endOffset ?? this.#offset) - this.#offset;
    if (length <= this.#output.max) return this.#raw(token);
    this.#output.end();
    return '';
  }

  #pass({ location }: Token.Token): void {
    this.#offset = location?.endOffset ?? this.#offset;
  }
}
