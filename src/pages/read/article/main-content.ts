/** What Readability takes for the article, of a page that is brought into shapes that survive it. */
import { Readability } from '@mozilla/readability';
import { parseHTML } from 'linkedom';
import { parse, serialize } from 'parse5';

import { readCode } from './code.ts';
import { type DomDocument, type DomElement, first, lineOf, named } from './dom.ts';
import { linkEmbeds, readEmbeds } from './embeds.ts';
import { findTitle, hideHeadings, showHeadings } from './headings.ts';
import { readImages } from './images.ts';
import { readLinks } from './links.ts';
import { readMath } from './math.ts';
import { readTasks } from './tasks.ts';

export type MainContent = {
  readonly content: DomElement;
  /** What Readability found that the page does not declare. */
  readonly byline?: string;
  readonly excerpt?: string;
};

/** Where Readability finds no article, it leaves the body as it was: that is the content. */
export function mainContent(html: string, url: string, title: string): MainContent {
  // linkedom's parser knows no implied tags and no misnested ones; what parse5 writes has neither.
  const parsed = parseHTML(serialize(parse(html))).document as unknown;
  const document = parsed as DomDocument;
  // Links are resolved against the page they were on, whatever `<base>` it claims beyond http and https.
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
  const byline = short(article?.byline);
  const excerpt = short(article?.excerpt);
  return { content, ...(byline === '' ? {} : { byline }), ...(excerpt === '' ? {} : { excerpt }) };
}

function short(text: string | null | undefined): string {
  return lineOf(text?.slice(0, 2000)).toWellFormed();
}

function baseOf(href: string, url: string): string {
  const base = URL.parse(href, url);
  return base !== null && /^https?:$/.test(base.protocol) ? base.href : url;
}
