/** The article that Readability finds in a page, whose content is first written in forms that survive Readability. */
import { Readability } from '@mozilla/readability';
import { parseHTML } from 'linkedom';
import { parse, serialize } from 'parse5';

import { line } from '../metadata.ts';
import { readCode } from './code.ts';
import { type DomDocument, type DomElement, first, named } from './dom.ts';
import { linkEmbeds, readEmbeds } from './embeds.ts';
import { findTitle, hideHeadings, showHeadings } from './headings.ts';
import { readImages } from './images.ts';
import { readLinks } from './links.ts';
import { readMath } from './math.ts';
import { readTasks } from './tasks.ts';

export type MainContent = {
  readonly content: DomElement;
  /** Found in the content, for pages that do not declare it. */
  readonly byline: string | undefined;
  readonly excerpt: string | undefined;
};

/** If Readability finds no article, the body is the content. */
export function mainContent(html: string, url: string, title: string): MainContent {
  // linkedom's parser handles neither implied nor misnested tags; the HTML that parse5 writes has neither.
  const parsed = parseHTML(serialize(parse(html))).document as unknown;
  const document = parsed as DomDocument;
  // Links are resolved against the page's `<base>`, if that is http or https.
  const base = baseOf(first(document.documentElement, named('BASE'))?.getAttribute('href') ?? '', url);
  const { body } = document;
  readCode(body);
  readMath(body);
  readImages(body, base);
  readEmbeds(body, base);
  readTasks(body);
  readLinks(body, base);
  hideHeadings(body);
  const heading = findTitle(body, title);
  const article = new Readability<DomElement>(parsed, {
    serializer: (node) => node as never,
  }).parse();
  const content = article?.content ?? document.body;
  showHeadings(content, heading);
  linkEmbeds(content);
  content.normalize();
  return { content, byline: line(article?.byline), excerpt: line(article?.excerpt) };
}

function baseOf(href: string, url: string): string {
  const base = URL.parse(href, url);
  return base !== null && /^https?:$/.test(base.protocol) ? base.href : url;
}
