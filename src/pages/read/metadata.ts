/** What a page says about itself, collected as it streams by. Everything is bounded and nothing is verified. */
import type { Token } from 'parse5';

import type { PageObserver } from './strip.ts';

export type PageMetadata = {
  readonly title?: string;
  readonly description?: string;
  readonly canonical?: string;
  /** The `lang` of the page. */
  readonly language?: string;
  /** `og:` properties without the prefix; the first value of each. */
  readonly open_graph: Readonly<Record<string, string>>;
  readonly feeds: readonly { readonly url: string; readonly type: string; readonly title?: string }[];
};

/** `published` is as the page writes it; most pages write ISO 8601. */
export type PageAbout = {
  readonly [field in keyof typeof metaNames]?: string | undefined;
};

/** The names of `<meta>` for each field, in order of preference. */
const metaNames = {
  title: 'citation_title dc.title dcterms.title twitter:title'.split(' '),
  byline: [
    ...'author citation_author dc.creator dcterms.creator parsely-author sailthru.author byl'.split(' '),
    'article:author',
  ],
  published: [
    ...'article:published_time datepublished citation_publication_date dcterms.issued'.split(' '),
    ...'dc.date.issued dcterms.date dc.date parsely-pub-date sailthru.date pubdate date'.split(' '),
  ],
  language: ['content-language'],
  site_name: ['application-name', 'citation_journal_title'],
  excerpt: 'twitter:description dc.description dcterms.description'.split(' '),
};
const knownNames = new Set(Object.values(metaNames).flat());
const languageTag = /^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,4}$/;

const maxValueLength = 2000;
const maxProperties = 100;
const maxFeeds = 20;
const feedTypes = new Set(['application/rss+xml', 'application/atom+xml', 'application/feed+json']);

export type MetadataCollector = PageObserver & {
  metadata(): PageMetadata;
  /** `article`: the fields from the page's JSON-LD. */
  about(article: PageAbout): PageAbout;
};

/** The page's links are resolved against `url`. */
export function createMetadataCollector(url: string): MetadataCollector {
  let title: string | undefined;
  let description: string | undefined;
  let canonical: string | undefined;
  let language: string | undefined;
  let base: string | undefined;
  const openGraph = new Map<string, string>();
  const feeds: { url: string; type: string; title?: string }[] = [];
  /** The first value of each name in `metaNames`. */
  const declared = new Map<string, string>();
  /** The text so far of `<title>` and of the first heading with text. */
  const texts = { title: '', h1: '' };
  const open = { title: false, h1: false };

  const absolute = (href: string | undefined): string | undefined => {
    if (href === undefined || href.length > maxValueLength) return undefined;
    const link = URL.parse(href, base ?? url);
    return link !== null && /^https?:$/.test(link.protocol) ? link.href : undefined;
  };

  /** For `<meta>`, and for `<time>` with microdata. */
  const declare = (attributes: Attributes): void => {
    const value = line(attributes.get('content') ?? attributes.get('datetime'));
    for (const attribute of ['property', 'name', 'itemprop', 'http-equiv']) {
      const name = token(attributes.get(attribute));
      if (knownNames.has(name) && value !== undefined && !declared.has(name)) declared.set(name, value);
    }
  };

  const meta = (attributes: Attributes): void => {
    declare(attributes);
    const name = token(attributes.get('property') ?? attributes.get('name'));
    const content = line(attributes.get('content'));
    if (name === 'description') description ??= content;
    if (/^og:[\w:-]{1,64}$/.test(name) && openGraph.size < maxProperties && !openGraph.has(name.slice(3))) {
      openGraph.set(name.slice(3), content ?? '');
    }
  };

  const link = (attributes: Attributes): void => {
    const relations = token(attributes.get('rel')).split(/\s+/);
    const href = absolute(attributes.get('href'));
    if (href === undefined) return;
    if (relations.includes('canonical')) canonical ??= href;
    const type = token(attributes.get('type'));
    if (!relations.includes('alternate') || !feedTypes.has(type) || feeds.length >= maxFeeds) return;
    const label = line(attributes.get('title'));
    feeds.push({ url: href, type, ...(label === undefined ? {} : { title: label }) });
  };

  const readers: Readonly<Record<string, (attributes: Attributes) => void>> = {
    html: (attributes) => {
      const lang = line(attributes.get('lang'));
      if (lang !== undefined && /^[A-Za-z0-9-]{1,35}$/.test(lang)) language ??= lang;
    },
    base: (attributes) => (base ??= absolute(attributes.get('href'))),
    time: declare,
    meta,
    link,
  };

  return {
    startTag: (tag) => {
      if (tag.tagName === 'title') open.title = title === undefined;
      else if (tag.tagName === 'h1') open.h1 = line(texts.h1) === undefined;
      else if (Object.hasOwn(readers, tag.tagName)) readers[tag.tagName]?.(attributesOf(tag));
    },
    text: (chars, _raw, element) => {
      const name = element ?? 'h1';
      if ((name === 'title' || name === 'h1') && open[name] && texts[name].length < maxValueLength) {
        texts[name] += chars;
      }
    },
    endTag: (name) => {
      if (name === 'h1') open.h1 = false;
      if (name !== 'title' || !open.title) return;
      open.title = false;
      title = line(texts.title);
      texts.title = '';
    },
    metadata: () => ({
      ...withoutUndefined({ title, description, canonical, language }),
      open_graph: Object.fromEntries(openGraph),
      feeds,
    }),
    about: (article) => {
      const first = (field: keyof typeof metaNames): string | undefined =>
        metaNames[field].map((name) => declared.get(name)).find((value) => value !== undefined);
      const tag = (value: string | undefined): string | undefined =>
        value !== undefined && languageTag.test(value) ? value : undefined;
      const og = (name: string): string | undefined => line(openGraph.get(name));
      const byline = article.byline ?? first('byline');
      const siteName = og('site_name') ?? article.site_name ?? first('site_name');
      const titled = article.title ?? first('title') ?? withoutSite(title, siteName);
      return withoutUndefined({
        title: og('title') ?? titled ?? line(texts.h1),
        // `article:author` is often the URL of a profile.
        byline: byline !== undefined && /^https?:\/\//.test(byline) ? undefined : byline,
        language:
          language ?? tag(first('language')) ?? tag(article.language) ?? tag(og('locale')?.replace('_', '-')),
        published: article.published ?? first('published'),
        site_name: siteName,
        excerpt: description ?? og('description') ?? article.excerpt ?? first('excerpt'),
      });
    },
  };
}

type Attributes = ReadonlyMap<string, string>;

function attributesOf(tag: Token.TagToken): Attributes {
  // One more than is used, so that a value that is too long is still recognised.
  return new Map(tag.attrs.map(({ name, value }) => [name, value.slice(0, maxValueLength + 1)]));
}

function token(value: string | undefined): string {
  return (value ?? '').trim().toLowerCase();
}

/** Text on one line, of bounded length, without half a character at its end; undefined if it is empty. */
export function line(text: unknown): string | undefined {
  if (typeof text !== 'string') return undefined;
  return text.slice(0, maxValueLength).toWellFormed().replace(/\s+/g, ' ').trim() || undefined;
}

/** "A title - The site" is the title of the page, and the name of the site. */
function withoutSite(title: string | undefined, site: string | undefined): string | undefined {
  if (title === undefined || site === undefined) return title;
  const [before, after] = [title.slice(0, -site.length), title.slice(site.length)];
  const atEnd = title.endsWith(site) ? /^(.*\S)\s+[-|–—·•:»/]\s+$/.exec(before)?.[1] : undefined;
  const atStart = title.startsWith(site) ? /^\s*[-|–—·•:»/]\s+(\S.*)$/.exec(after)?.[1] : undefined;
  return atEnd ?? atStart ?? title;
}

function withoutUndefined<Fields extends object>(fields: Fields): { [key in keyof Fields]?: string } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
