/**
 * parse5's tokenizer, with what it keeps of one token bounded: a page can be one tag of ten megabytes, and in JavaScript
 * a name that grows letter by letter, or a value in which every second character is replaced, takes thirty times its length.
 */
import { Token, Tokenizer, TokenizerMode } from 'parse5';

/** How much is known of a name or a value, at least: more than any rule compares. UTF-16 units. */
export const knownLength = 4096;
/** More than any tag means to have; those after them are not known. */
const maxAttributes = 1000;
/** The source of a longer token is let go piece by piece. UTF-16 units. */
const longestHeld = 65_536;
/** Text that is not dropped, because the tokenizer may step back to it: more than a reference has. */
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

export type PageHandler = {
  onStartTag(tag: Token.TagToken): void;
  onEndTag(tag: Token.TagToken): void;
  onCharacter?(token: Token.CharacterToken): void;
  onComment?(token: Token.CommentToken): void;
  onDoctype?(token: Token.DoctypeToken): void;
  onEof?(token: Token.EOFToken): void;
  /** The last to see the source of an unfinished token up to that place in the page. */
  onLetGo?(token: Token.Token, end: number): void;
};

export class PageTokenizer extends Tokenizer {
  readonly #handler: PageHandler;

  constructor(handler: PageHandler) {
    super(
      { sourceCodeLocationInfo: true },
      {
        onStartTag: (tag) => handler.onStartTag(tag),
        onEndTag: (tag) => handler.onEndTag(tag),
        onCharacter: (token) => handler.onCharacter?.(token),
        // These two are never called: see _ensureCharacterToken.
        onNullCharacter: () => {},
        onWhitespaceCharacter: () => {},
        onComment: (token) => handler.onComment?.(token),
        onDoctype: (token) => handler.onDoctype?.(token),
        onEof: (token) => handler.onEof?.(token),
      },
    );
    this.#handler = handler;
  }

  /** For after a start tag: reads what follows as this element's text. False when it has markup inside. */
  readTextOf(name: string): boolean {
    const mode = textModes.get(name);
    if (mode !== undefined) this.state = mode;
    return mode !== undefined;
  }

  /** The next piece of the page; its text passes on, whatever its length, and is not held until its token ends. */
  read(text: string): void {
    this.write(text, false);
    this.flushCurrentCharacterToken();
    this.#forget();
  }

  end(): void {
    this.write('', true);
  }

  /** Without the place of each attribute, which nobody asks for. */
  protected override _createAttr(firstCharacter: string): void {
    this._flushRun('');
    this.currentAttr = { name: firstCharacter, value: '' };
  }

  protected override _leaveAttrName(): void {
    const tag = this.currentToken;
    if (tag === null || !('attrs' in tag) || tag.attrs.length < maxAttributes) super._leaveAttrName();
  }

  /** Adds to the token what was read of its text, its comment or its attribute's value. */
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

  /** Text as one token: parse5 makes one of each word and one of each space between two, and no rule here tells them apart. */
  protected override _ensureCharacterToken(_type: Token.CharacterToken['type']): void {
    super._ensureCharacterToken(Token.TokenType.CHARACTER);
  }

  /** What an unfinished token has gathered beyond the text of the page itself. */
  #forget(): void {
    // Where line ends and pairs of surrogates were, for steps back: these are never further than a name or a reference.
    const { gapStack } = this.preprocessor as unknown as { gapStack: number[] };
    if (gapStack.length > knownLength) gapStack.splice(0, gapStack.length - knownLength);

    this.currentAttr.name = shorten(this.currentAttr.name);
    const token = this.currentToken;
    if (token === null) return;
    const { offset, droppedBufferSize } = this.preprocessor;
    if (offset - (token.location?.startOffset ?? offset) > longestHeld) {
      // What stands before the token passes on first; then the run that has not been added to it yet.
      this._emitCurrentCharacterToken(token.location);
      if (this.preprocessor.willDropParsedChunk()) this.#handler.onLetGo?.(token, offset - stepBack);
      this.preprocessor.dropParsedChunk(stepBack);
      this.entityStartPos -= this.preprocessor.droppedBufferSize - droppedBufferSize;
    }
    if ('tagName' in token) token.tagName = shorten(token.tagName);
    if ('publicId' in token) {
      token.name &&= shorten(token.name);
      token.publicId &&= shorten(token.publicId);
      token.systemId &&= shorten(token.systemId);
    }
  }
}

function shorten(name: string): string {
  return name.length > knownLength ? name.slice(0, knownLength) : name;
}
