/** What a page says about itself, collected while it streams by. Everything is bounded and nothing is believed. */
import type { Token } from 'parse5';

import type { PageObserver } from './strip.ts';

export type PageMetadata = {
  title?: string;
  description?: string;
  canonical?: string;
  /** The `lang` of the page. */
  language?: string;
  /** `og:` properties without the prefix; the first value of each. */
  open_graph: Record<string, string>;
  feeds: { url: string; type: string; title?: string }[];
};

const maxValueLength = 2000;
const maxProperties = 100;
const maxFeeds = 20;
const feedTypes = new Set(['application/rss+xml', 'application/atom+xml', 'application/feed+json']);

/** `url` is the page's own, against which its links are resolved. */
export function createMetadataCollector(url: string): PageObserver & { result(): PageMetadata } {
  const found: Omit<PageMetadata, 'open_graph' | 'feeds'> = {};
  const openGraph = new Map<string, string>();
  const feeds: PageMetadata['feeds'] = [];
  let base: string | undefined;
  let title = '';
  let titleOpen = false;

  const absolute = (href: string | undefined): string | undefined => {
    if (href === undefined || href.length > maxValueLength) return undefined;
    const link = URL.parse(href, base ?? url);
    return link !== null && /^https?:$/.test(link.protocol) ? link.href : undefined;
  };

  const meta = (attributes: ReadonlyMap<string, string>): void => {
    const name = (attributes.get('property') ?? attributes.get('name') ?? '').trim().toLowerCase();
    const content = clean(attributes.get('content') ?? '');
    if (name === 'description' && content !== '') found.description ??= content;
    if (/^og:[\w:-]{1,64}$/.test(name) && openGraph.size < maxProperties && !openGraph.has(name.slice(3))) {
      openGraph.set(name.slice(3), content);
    }
  };

  const link = (attributes: ReadonlyMap<string, string>): void => {
    const relations = (attributes.get('rel') ?? '').toLowerCase().split(/\s+/);
    const href = absolute(attributes.get('href'));
    if (href === undefined) return;
    if (relations.includes('canonical')) found.canonical ??= href;
    const type = (attributes.get('type') ?? '').trim().toLowerCase();
    if (!relations.includes('alternate') || !feedTypes.has(type) || feeds.length >= maxFeeds) return;
    const label = clean(attributes.get('title') ?? '');
    feeds.push({ url: href, type, ...(label === '' ? {} : { title: label }) });
  };

  return {
    startTag: (tag) => {
      switch (tag.tagName) {
        case 'html': {
          const language = clean(attributesOf(tag).get('lang') ?? '');
          if (/^[A-Za-z0-9-]{1,35}$/.test(language)) found.language ??= language;
          break;
        }
        case 'base':
          base ??= absolute(attributesOf(tag).get('href'));
          break;
        case 'title':
          titleOpen = found.title === undefined;
          break;
        case 'meta':
          meta(attributesOf(tag));
          break;
        case 'link':
          link(attributesOf(tag));
          break;
        default:
      }
    },
    elementText: (name, _raw, chars) => {
      if (titleOpen && name === 'title' && title.length < maxValueLength) title += chars;
    },
    endTag: (name) => {
      if (name !== 'title' || !titleOpen) return;
      titleOpen = false;
      if (clean(title) !== '') found.title = clean(title);
      title = '';
    },
    result: () => ({ ...found, open_graph: Object.fromEntries(openGraph), feeds }),
  };
}

const wanted = new Set(
  'content datetime href http-equiv itemprop lang name property rel title type'.split(' '),
);

export function attributesOf(tag: Token.TagToken): ReadonlyMap<string, string> {
  // One more than is used: so what is too long still shows.
  const known = (value: string): string => value.slice(0, maxValueLength + 1);
  return new Map(
    tag.attrs.filter(({ name }) => wanted.has(name)).map(({ name, value }) => [name, known(value)]),
  );
}

/** One line, of a bounded length, without half a character at its end. */
export function clean(text: string): string {
  return text.slice(0, maxValueLength).toWellFormed().replace(/\s+/g, ' ').trim();
}
