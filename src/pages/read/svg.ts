/**
 * Finds the end of an `<svg>` without a tree. An unclosed `<svg>` must not hide the rest of the page.
 *
 * Follows the rules of "foreign content" in the HTML standard (section 13.2.6.5), with counters instead of the stack. A wrong
 * count only removes too much or too little of a drawing: a script after it is still removed.
 */
import { foreignContent, type Token } from 'parse5';

/** Inside these, HTML is HTML again. */
const integrationPoints = new Set(['foreignobject', 'desc', 'title']);
/** HTML elements that an `<svg>` can stand in, so that their end tags can end it. */
const htmlNames = new Set(
  `a abbr address article aside b bdi bdo big blockquote body br button caption center cite code dd details
  dialog div dl dt em embed fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hgroup hr
  html i img label legend li listing main mark menu meta nav nobr noscript object ol p pre q ruby s search
  section small span strike strong sub summary sup table tbody td template tfoot th thead time tr tt u ul
  var`.match(/\S+/g),
);

export class SvgSpan {
  #depth = 0;
  #integration = 0;
  /** How many of each HTML element are open inside. Its keys are `htmlNames`, so a page cannot make it grow. */
  readonly #open = new Map<string, number>();

  get active(): boolean {
    return this.#depth > 0;
  }

  /** True inside foreignObject, desc and title, where `<script>` and `<style>` hold text as in HTML. */
  get inHtml(): boolean {
    return this.#integration > 0;
  }

  enter(): void {
    this.#depth = 1;
    this.#integration = 0;
    this.#open.clear();
  }

  /** True when this start tag belongs to the svg; false when it ended the svg. */
  start(tag: Token.TagToken): boolean {
    const name = tag.tagName;
    if (!this.inHtml && foreignContent.causesExit(tag)) {
      this.#depth = 0;
      return false;
    }
    if (tag.selfClosing && !this.inHtml) return true;
    if (name === 'svg') this.#depth += 1;
    else if (integrationPoints.has(name)) this.#integration += 1;
    else if (htmlNames.has(name)) this.#open.set(name, (this.#open.get(name) ?? 0) + 1);
    return true;
  }

  /** True when this end tag belongs to the svg, or closes it; false when it ended the svg from outside. */
  end(name: string): boolean {
    if (name === 'svg') {
      this.#depth -= 1;
    } else if (integrationPoints.has(name)) {
      this.#integration = Math.max(0, this.#integration - 1);
    } else if (htmlNames.has(name)) {
      const open = this.#open.get(name) ?? 0;
      if (open === 0 && (!this.inHtml || name === 'body' || name === 'html')) {
        this.#depth = 0;
        return false;
      }
      this.#open.set(name, Math.max(0, open - 1));
    }
    return true;
  }
}
