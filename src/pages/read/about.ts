/**
 * What a page says about itself, beside its content and in every format: from its tags, its JSON-LD and its first heading.
 * Everything is bounded and nothing is believed.
 */
import { articleOf } from './json-ld-article.ts';
import { attributesOf, clean, type PageMetadata } from './metadata.ts';
import type { PageObserver } from './strip.ts';

export type PageAbout = {
  title?: string;
  byline?: string;
  language?: string;
  /** As the page writes it; most write ISO 8601. */
  published?: string;
  site_name?: string;
  excerpt?: string;
};

/** The names of `<meta>`, by what they are for, the better ones first. */
const names = {
  title: ['citation_title', 'dc.title', 'dcterms.title', 'twitter:title'],
  byline: [
    'author',
    'citation_author',
    'dc.creator',
    'dcterms.creator',
    'parsely-author',
    'sailthru.author',
    'byl',
    'article:author',
  ],
  published: [
    'article:published_time',
    'datepublished',
    'citation_publication_date',
    'dcterms.issued',
    'dc.date.issued',
    'dcterms.date',
    'dc.date',
    'parsely-pub-date',
    'sailthru.date',
    'pubdate',
    'date',
  ],
  language: ['content-language'],
  site_name: ['application-name', 'citation_journal_title'],
  excerpt: ['twitter:description', 'dc.description', 'dcterms.description'],
} as const;
const known = new Set<string>(Object.values(names).flat());
const languageTag = /^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,4}$/;

export type AboutCollector = PageObserver & {
  result(metadata: PageMetadata, jsonLd: readonly string[]): PageAbout;
};

export function createAboutCollector(): AboutCollector {
  const declared = new Map<string, string>();
  let heading = '';
  let headingOpen = false;

  const declare = (name: string, value: string): void => {
    if (known.has(name) && value !== '' && !declared.has(name)) declared.set(name, value);
  };

  return {
    startTag: (tag) => {
      if (tag.tagName === 'h1') headingOpen = clean(heading) === '';
      if (tag.tagName !== 'meta' && tag.tagName !== 'time') return;
      const attributes = attributesOf(tag);
      const names = ['property', 'name', 'itemprop', 'http-equiv'].map((name) => attributes.get(name) ?? '');
      const value = clean(attributes.get('content') ?? attributes.get('datetime') ?? '');
      for (const name of names) declare(name.trim().toLowerCase(), value);
    },
    text: (chars) => {
      if (headingOpen && heading.length < 1000) heading += chars;
    },
    elementText: () => {},
    endTag: (name) => {
      if (name === 'h1') headingOpen = false;
    },
    result: ({ title, description, language, open_graph: openGraph }, jsonLd) => {
      const article = articleOf(jsonLd);
      const first = (field: keyof typeof names): string | undefined =>
        names[field].map((name) => declared.get(name)).find((value) => value !== undefined);
      const tag = (value: string | undefined): string | undefined =>
        value !== undefined && languageTag.test(value) ? value : undefined;
      const byline = article.byline ?? first('byline');
      const siteName = (openGraph['site_name'] || undefined) ?? article.site_name ?? first('site_name');
      return withoutEmpty({
        title:
          (openGraph['title'] || undefined) ??
          article.title ??
          first('title') ??
          withoutSite(title, siteName) ??
          clean(heading),
        // `article:author` is often the address of a profile.
        byline: byline !== undefined && /^https?:\/\//.test(byline) ? undefined : byline,
        language:
          language ??
          tag(first('language')) ??
          tag(article.language) ??
          tag(openGraph['locale']?.replace('_', '-')),
        published: article.published ?? first('published'),
        site_name: siteName,
        excerpt:
          description ?? (openGraph['description'] || undefined) ?? article.excerpt ?? first('excerpt'),
      });
    },
  };
}

/** "A title - The site" is the title of the page, and the name of the site. */
function withoutSite(title: string | undefined, site: string | undefined): string | undefined {
  if (title === undefined || site === undefined) return title;
  const [before, after] = [title.slice(0, -site.length), title.slice(site.length)];
  const atEnd = title.endsWith(site) ? /^(.*\S)\s+[-|–—·•:»/]\s+$/.exec(before)?.[1] : undefined;
  const atStart = title.startsWith(site) ? /^\s*[-|–—·•:»/]\s+(\S.*)$/.exec(after)?.[1] : undefined;
  return atEnd ?? atStart ?? title;
}

function withoutEmpty(about: Record<keyof PageAbout, string | undefined>): PageAbout {
  return Object.fromEntries(Object.entries(about).filter(([, value]) => value !== undefined && value !== ''));
}
