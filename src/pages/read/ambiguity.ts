/**
 * Where a browser may not agree on how the text after a tag is read.
 *
 * `<title>`, `<textarea>`, `<iframe>` and their like make the text after them text, not markup; but inside `<math>`,
 * `<select>` and `<frameset>` browsers ignore some of them, and `<noscript>` is markup or text depending on whether
 * scripts run. Only a tree would show which. So the text of such an element is kept only up to its first `<`, because
 * that part reads the same either way. The state is a few flags. When in doubt, a flag stays set.
 */
import type { Token } from 'parse5';

/** MathML elements that hold only text. Any tag inside is read as HTML. */
const mathLeaves = new Set(['mi', 'mo', 'mn', 'ms', 'mtext']);
const mathNames = new Set([
  ...mathLeaves,
  ...'semantics annotation mrow mfrac msqrt mroot mstyle merror mpadded mphantom mfenced menclose'.split(' '),
  ...'msub msup msubsup munder mover munderover mmultiscripts mprescripts none mtable mlabeledtr'.split(' '),
  ...'mtr mtd mspace maction'.split(' '),
]);

export class Ambiguity {
  #math = false;
  /** Set once the content of `<math>` or `<select>` is unusual: then its end is unknown. */
  #forever = false;
  #mathLeaf = '';
  #select = false;
  #noscript = false;
  #frameset = false;

  /** True between `<noscript>` and its end tag, where no other `</noscript` is kept. */
  get inNoscript(): boolean {
    return this.#noscript;
  }

  /** For every start tag that is kept. */
  start(tag: Token.TagToken): void {
    if (this.#math) this.#insideMath(tag);
    const name = tag.tagName;
    if (name === 'math' && !tag.selfClosing) this.#math = true;
    if (name === 'select') this.#select = true;
    if (name === 'template' && this.#select) this.#forever = true;
    if (name === 'noscript') this.#noscript = true;
    if (name === 'frameset') this.#frameset = true;
  }

  /** For every end tag that is kept. */
  end(name: string): void {
    if (name === 'noscript') this.#noscript = false;
    if (name === 'select') this.#select = false;
    if (name === 'math') this.#math = false;
    if (name === 'math' || name === this.#mathLeaf) this.#mathLeaf = '';
  }

  /** Whether the text of this element may be read as markup. */
  covers(name: string): boolean {
    if (this.#math || this.#forever || this.#noscript) return true;
    if (this.#frameset && name !== 'noframes') return true;
    return this.#select && name !== 'script';
  }

  #insideMath(tag: Token.TagToken): void {
    const name = tag.tagName;
    if (!mathNames.has(name) || this.#mathLeaf !== '') this.#forever = true;
    if (mathLeaves.has(name) && !tag.selfClosing) this.#mathLeaf = name;
  }
}
