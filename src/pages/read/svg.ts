/**
 * Where an `<svg>` ends, without a tree: an unclosed one must not swallow the rest of the page.
 *
 * The rules of "foreign content" in the HTML standard (section 13.2.6.5), with counters in place of the stack. It only
 * decides how much is left out; what follows is judged tag by tag, so a wrong count cannot let anything through.
 */
import type { Token } from 'parse5';

/** Start tags that end foreign content. */
const breakouts = new Set([
  ...'b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img'.split(' '),
  ...'li listing menu meta nobr ol p pre ruby s small span strong strike sub sup table tt u ul var'.split(
    ' ',
  ),
]);
/** Inside these, HTML is HTML again. */
const integrationPoints = new Set(['foreignobject', 'desc', 'title']);
/** Further HTML elements that an `<svg>` can stand in, so that their end tags can end it. */
const htmlNames = [
  ...'a abbr address article aside bdi bdo button caption cite details dialog fieldset figcaption'.split(' '),
  ...'figure footer form header hgroup html label legend main mark nav noscript object q search'.split(' '),
  ...'section summary tbody td template tfoot th thead time tr'.split(' '),
];
const htmlEnds = new Set([...breakouts, ...htmlNames]);

export class SvgSpan {
  #depth = 0;
  #integration = 0;
  /** How many of each HTML name are open inside: its keys are `htmlEnds`, so a page cannot make it grow. */
  readonly #open = new Map<string, number>();

  get active(): boolean {
    return this.#depth > 0;
  }

  /** True inside foreignObject and its like, where `<script>` and `<style>` hold text as in HTML. */
  get inHtml(): boolean {
    return this.#integration > 0;
  }

  enter(): void {
    this.#depth = 1;
    this.#integration = 0;
    this.#open.clear();
  }

  /** True when this start tag belongs to the svg; false when it ended it. */
  start(tag: Token.TagToken): boolean {
    const name = tag.tagName;
    if (!this.inHtml && this.#breaksOut(tag)) {
      this.#depth = 0;
      return false;
    }
    if (tag.selfClosing && !this.inHtml) return true;
    if (name === 'svg') this.#depth += 1;
    else if (integrationPoints.has(name)) this.#integration += 1;
    else if (htmlEnds.has(name)) this.#open.set(name, (this.#open.get(name) ?? 0) + 1);
    return true;
  }

  /** True when this end tag belongs to the svg (it may be its last); false when it ended it from outside. */
  end(name: string): boolean {
    if (name === 'svg') {
      this.#depth -= 1;
    } else if (integrationPoints.has(name)) {
      this.#integration = Math.max(0, this.#integration - 1);
    } else if (htmlEnds.has(name)) {
      const open = this.#open.get(name) ?? 0;
      if (open === 0 && (!this.inHtml || name === 'body' || name === 'html')) {
        this.#depth = 0;
        return false;
      }
      this.#open.set(name, Math.max(0, open - 1));
    }
    return true;
  }

  #breaksOut(tag: Token.TagToken): boolean {
    if (breakouts.has(tag.tagName)) return true;
    return tag.tagName === 'font' && tag.attrs.some(({ name }) => ['color', 'face', 'size'].includes(name));
  }
}
