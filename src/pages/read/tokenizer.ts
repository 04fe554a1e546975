/**
 * parse5's tokenizer with bounded memory for one token. A page can be one tag of ten megabytes. In JavaScript, a name that grows
 * letter by letter, or a value with many replaced characters, takes thirty times its length.
 */
import { Token, type TokenHandler, Tokenizer, TokenizerMode } from 'parse5';

/** At least this much of a name or a value is kept: more than any rule compares. UTF-16 units. */
export const knownLength = 4096;
/** More than any tag needs. The attributes after them are ignored. */
const maxAttributes = 1000;
/** The source of a longer token is passed on piece by piece. UTF-16 units. */
const longestHeld = 65_536;
/** Source that stays, because the tokenizer may step back: longer than any reference. */
const stepBack = 64;

/** Elements after whose start tag text is read differently: HTML standard, sections 13.2.6.2 and 13.2.6.4. */
const textModes = new Map<string, Tokenizer['state']>([
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

/** The other two kinds of text do not occur: see _ensureCharacterToken. */
export type PageHandler = Omit<TokenHandler, 'onNullCharacter' | 'onWhitespaceCharacter'> & {
  /** The source of an unfinished token, up to `end` in the page, is about to be dropped. */
  onDropSource?(token: Token.Token, end: number): void;
};

export class PageTokenizer extends Tokenizer {
  readonly #handler: PageHandler;

  constructor(handler: PageHandler) {
    super({ sourceCodeLocationInfo: true }, handler as TokenHandler);
    this.#handler = handler;
  }

  /** After a start tag: reads the element's content as text. False when the content is markup. */
  readTextOf(name: string): boolean {
    const mode = textModes.get(name);
    if (mode !== undefined) this.state = mode;
    return mode !== undefined;
  }

  /** Takes the next piece of the page. Its text is passed on at once, not held until its token ends. */
  read(text: string): void {
    this.write(text, false);
    this.flushCurrentCharacterToken();
    this.#forget();
  }

  end(): void {
    this.write('', true);
  }

  /** Without the location of each attribute, which is not used. */
  protected override _createAttr(firstCharacter: string): void {
    this._flushRun('');
    this.currentAttr = { name: firstCharacter, value: '' };
  }

  protected override _leaveAttrName(): void {
    const tag = this.currentToken;
    if (tag === null || !('attrs' in tag) || tag.attrs.length < maxAttributes) super._leaveAttrName();
  }

  /** Adds the text of a run to the token: to its text, its comment or its attribute's value. */
  protected override _flushRun(text: string): void {
    const token = this.currentToken;
    if (
      token === null ||
      (token.type !== Token.TokenType.COMMENT && this.currentAttr.value.length < knownLength)
    ) {
      super._flushRun(text);
    } else {
      this.runStart = this.runEnd;
    }
  }

  /** Text as one token: parse5 makes a token of each word and of each space, and no rule here needs the difference. */
  protected override _ensureCharacterToken(_type: Token.CharacterToken['type']): void {
    super._ensureCharacterToken(Token.TokenType.CHARACTER);
  }

  /** Shortens what an unfinished token has gathered. */
  #forget(): void {
    // The places of line ends and surrogate pairs, for steps back, which are never longer than a name or a reference.
    const { gapStack } = this.preprocessor as unknown as { gapStack: number[] };
    if (gapStack.length > knownLength) gapStack.splice(0, gapStack.length - knownLength);

    this.currentAttr.name = this.currentAttr.name.slice(0, knownLength);
    const token = this.currentToken;
    if (token === null) return;
    const { offset, droppedBufferSize } = this.preprocessor;
    if (offset - (token.location?.startOffset ?? offset) > longestHeld) {
      // The text before the token comes first, then the run that has not been added to it yet.
      this._emitCurrentCharacterToken(token.location);
      if (this.preprocessor.willDropParsedChunk()) this.#handler.onDropSource?.(token, offset - stepBack);
      this.preprocessor.dropParsedChunk(stepBack);
      this.entityStartPos -= this.preprocessor.droppedBufferSize - droppedBufferSize;
    }
    if ('tagName' in token) token.tagName = token.tagName.slice(0, knownLength);
    if ('publicId' in token) {
      token.name &&= token.name.slice(0, knownLength);
      token.publicId &&= token.publicId.slice(0, knownLength);
      token.systemId &&= token.systemId.slice(0, knownLength);
    }
  }
}
