/**
 * Shortens the `data:` URLs of a tag and its values that are too long.
 *
 * Only the text between the delimiters of a value is replaced, by text without delimiters, so every parser finds the same end
 * of the tag. The states are those of the HTML standard, sections 13.2.5.6 to 13.2.5.40.
 */
import { DataUrls, mayHoldDataUrl, omitted, type UrlPlace } from './data-urls.ts';

/** UTF-16 units of one value. */
export const longestValue = 16_384;
/** UTF-16 units of a tag whose values were replaced. */
export const longestTag = 65_536;
/** Replaces a value that is too long. If it is read as a URL, it leads to no page. */
const omittedValue = `data:,${omitted}`;
/** Longer than any name that is compared. */
const knownName = 32;

export type ShortTag = {
  /** Undefined when the shortened tag is still too long. */
  readonly text: string | undefined;
  /** False when a value was too long: a part that a reader may want is missing. */
  readonly complete: boolean;
};

/** The text of each state, up to the character that ends it. */
const runs = {
  open: /[^A-Za-z>]*/y,
  tagName: /[^\t\n\f\r />]*/y,
  beforeName: /[\t\n\f\r /]*/y,
  name: /[^\t\n\f\r />=]*/y,
  afterName: /[\t\n\f\r ]*/y,
  beforeValue: /[\t\n\f\r ]*/y,
  double: /[^"]*/y,
  single: /[^']*/y,
  unquoted: /[^\t\n\f\r >]*/y,
} as const;
type State = keyof typeof runs;

/** Shortens a whole tag. */
export function shortenTag(raw: string): ShortTag {
  if (raw.length <= longestValue && !mayHoldDataUrl.test(raw)) return { text: raw, complete: true };
  const source = new TagSource();
  source.write(raw);
  return source.end();
}

/** Shortens a tag that comes in pieces. A piece can begin with what the tokenizer ignored (`</>`). */
export class TagSource {
  #state: State = 'open';
  #text: string | undefined = '';
  #complete = true;
  #name = '';
  #value: { urls: DataUrls; text: string | undefined } | undefined;

  write(piece: string): void {
    let index = 0;
    while (index < piece.length) {
      const run = runs[this.#state];
      run.lastIndex = index;
      const text = run.exec(piece)?.[0] ?? '';
      index += text.length;
      const value = this.#value;
      if (value === undefined) this.#add(text);
      else value.text = joined(value.text, value.urls.write(text), longestValue);
      if (this.#state === 'name') this.#name = (this.#name + text).slice(0, knownName);
      const next = piece[index];
      if (next === undefined) break;
      const { state, taken } = follow(this.#state, next);
      this.#enter(state, this.#state);
      if (!taken) continue;
      if (state === 'name') this.#name = next;
      this.#add(next);
      index += 1;
    }
  }

  end(): ShortTag {
    this.#endValue();
    return { text: this.#text, complete: this.#complete };
  }

  #enter(state: State, from: State): void {
    if (from === 'double' || from === 'single' || from === 'unquoted') this.#endValue();
    if (state === 'double' || state === 'single' || state === 'unquoted') {
      this.#value = { urls: new DataUrls(placeOf(this.#name)), text: '' };
    }
    this.#state = state;
  }

  #endValue(): void {
    const value = this.#value;
    if (value === undefined) return;
    this.#value = undefined;
    const text = joined(value.text, value.urls.end(), longestValue);
    this.#complete &&= text !== undefined;
    this.#add(text ?? omittedValue);
  }

  #add(text: string): void {
    this.#text = joined(this.#text, text, longestTag);
  }
}

/** Undefined once the text is too long. */
function joined(text: string | undefined, more: string, longest: number): string | undefined {
  return text === undefined || text.length + more.length > longest ? undefined : text + more;
}

/** The state after the character that ended a run, and whether that character belongs to the run. */
function follow(state: State, next: string): { state: State; taken: boolean } {
  switch (state) {
    case 'open':
      return next === '>' ? { state, taken: true } : { state: 'tagName', taken: false };
    case 'beforeName':
      // The first character of a name belongs to it, `=` as well.
      return next === '>' ? { state: 'open', taken: true } : { state: 'name', taken: true };
    case 'name':
    case 'afterName':
      if (next === '=') return { state: 'beforeValue', taken: true };
      if (next === '/' || next === '>') return { state: 'beforeName', taken: false };
      return state === 'name' ? { state: 'afterName', taken: false } : { state: 'name', taken: true };
    case 'beforeValue':
      if (next === '"') return { state: 'double', taken: true };
      if (next === "'") return { state: 'single', taken: true };
      return next === '>' ? { state: 'beforeName', taken: false } : { state: 'unquoted', taken: false };
    case 'double':
    case 'single':
      return { state: 'beforeName', taken: true };
    case 'tagName':
    case 'unquoted':
      return { state: 'beforeName', taken: false };
  }
}

function placeOf(name: string): UrlPlace {
  return /srcset$/i.test(name) ? 'list' : 'value';
}
