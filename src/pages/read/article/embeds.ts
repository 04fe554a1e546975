/** Writes video, audio and embedded pages as `<span data-href>`. Readability would take a block with a link for a menu. */
import {
  all,
  attribute,
  create,
  type DomElement,
  having,
  holdsContent,
  lineOf,
  named,
  replaceWrapped,
} from './dom.ts';
import { readableUrl } from './urls.ts';

const kinds: Readonly<Record<string, string>> = { VIDEO: 'Video', AUDIO: 'Audio' };

export function readEmbeds(body: DomElement, base: string): void {
  for (const element of all(body, named('AUDIO EMBED IFRAME OBJECT VIDEO'))) {
    if (!body.contains(element)) continue;
    const url = addressOf(element, base);
    if (url === undefined || isInvisible(element)) {
      element.remove();
      continue;
    }
    const title = lineOf(element.getAttribute('title') ?? element.getAttribute('aria-label'));
    const kind = kinds[element.nodeName] ?? 'Embedded page';
    const words = `${kind}: ${title === '' ? new URL(url).host : title}`;
    const link = create(element, 'span', { 'data-href': url }, words);
    const parent = element.parentNode;
    const amongWords = parent?.childNodes.some((node) => node !== element && holdsContent(node)) === true;
    if (amongWords && !/^(DIV|SECTION|ARTICLE|MAIN|FIGURE|BODY)$/.test(parent.nodeName))
      element.replaceWith(link);
    else replaceWrapped(element, create(element, 'p', {}, link), () => true);
  }
}

/** Restores the links once the main content is found. */
export function linkEmbeds(content: DomElement): void {
  for (const span of all(content, having('data-href'))) {
    span.replaceWith(create(span, 'a', { href: attribute(span, 'data-href') }, span.textContent));
  }
}

function addressOf(element: DomElement, base: string): string | undefined {
  const sources = [element, ...all(element, named('SOURCE'))];
  for (const name of ['src', 'data-src', 'data-lazy-src', 'data']) {
    for (const source of sources) {
      const url = readableUrl(source.getAttribute(name), base);
      if (url !== undefined && /^https?:/.test(url)) return url;
    }
  }
  return undefined;
}

function isInvisible(element: DomElement): boolean {
  return (
    ['width', 'height'].some((side) => /^[01](px)?$/.test(attribute(element, side))) ||
    element.hasAttribute('hidden') ||
    /display:\s*none|visibility:\s*hidden/i.test(attribute(element, 'style'))
  );
}
