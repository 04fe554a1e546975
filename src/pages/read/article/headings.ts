/**
 * Keeps headings and the title. Readability drops the heading that equals the page's title and makes every `h1` an `h2`, so
 * both are `h3` while it runs.
 */
import { all, create, type DomElement, first, having, lineOf, named } from './dom.ts';

const mark = 'data-level';

export function hideHeadings(body: DomElement): void {
  for (const heading of all(body, named('H1 H2'))) {
    if (lineOf(heading.textContent) === '' && first(heading, named('IMG')) === undefined) continue;
    heading.replaceWith(create(heading, 'h3', { [mark]: heading.nodeName.slice(1) }, ...heading.childNodes));
  }
}

/** The heading that is the page's title, anywhere in the page; undefined for a logo or the name of the site. */
export function findTitle(body: DomElement, title: string): DomElement | undefined {
  const wanted = plain(title);
  return all(body, (element) => element.getAttribute(mark) === '1')
    .find((heading) => {
      const text = plain(heading.textContent);
      return text !== '' && (text === wanted || (text.split(' ').length > 1 && wanted.includes(text)));
    })
    ?.cloneNode(true);
}

/** Restores the headings, and adds the title first if it is missing. */
export function showHeadings(content: DomElement, title: DomElement | undefined): void {
  const headings = all(content, having(mark));
  const missing =
    title !== undefined &&
    !headings.some((heading) => plain(heading.textContent) === plain(title.textContent));
  if (missing) {
    content.prepend(title);
    headings.push(title);
  }
  for (const heading of headings) {
    heading.replaceWith(create(heading, `h${heading.getAttribute(mark) ?? '1'}`, {}, ...heading.childNodes));
  }
}

function plain(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}
