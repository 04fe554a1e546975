/** What JSON-LD says about the article, or else the page, that it describes. */
import { clean } from './metadata.ts';

type Thing = Readonly<Record<string, unknown>>;

/** Things that are looked at, of all blocks together. */
const maxThings = 200;
const kinds = [
  /(Article|BlogPosting|Posting|Report|Recipe|Review|HowTo|APIReference|CreativeWork|Book|Thesis)$/,
  /(WebPage|Page)$/,
];

export type JsonLdArticle = {
  readonly title?: string | undefined;
  readonly byline?: string | undefined;
  readonly language?: string | undefined;
  readonly published?: string | undefined;
  readonly site_name?: string | undefined;
  readonly excerpt?: string | undefined;
};

/** Of blocks as they stand in the page: each can be anything. */
export function articleOf(blocks: readonly string[]): JsonLdArticle {
  const things = blocks.flatMap(thingsOf).slice(0, maxThings);
  for (const kind of kinds) {
    const thing = things.find((each) => typesOf(each).some((type) => kind.test(type)));
    if (thing !== undefined) return articleFrom(thing);
  }
  return {};
}

function articleFrom(thing: Thing): JsonLdArticle {
  return {
    title: text(thing['headline']) ?? text(thing['name']),
    byline: namesOf(thing['author']) ?? namesOf(thing['creator']),
    language: text(thing['inLanguage']),
    published: text(thing['datePublished']),
    site_name: namesOf(thing['publisher']),
    excerpt: text(thing['description']),
  };
}

function thingsOf(block: string): Thing[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(block.replace(/^\s*<!\[CDATA\[|\]\]>\s*$/g, ''));
  } catch {
    return [];
  }
  return list(parsed)
    .filter(isThing)
    .flatMap((thing) => [thing].concat(list(thing['@graph']).filter(isThing)));
}

function typesOf(thing: Thing): string[] {
  return list(thing['@type']).filter((type) => typeof type === 'string');
}

/** `"A"`, `{"name": "A"}`, or several of them. */
function namesOf(value: unknown): string | undefined {
  const names = list(value)
    .map((each) => text(each) ?? (isThing(each) ? text(each['name']) : undefined))
    .filter((name) => name !== undefined);
  return names.length === 0 ? undefined : clean([...new Set(names)].join(', '));
}

function text(value: unknown): string | undefined {
  const line = typeof value === 'string' ? clean(value) : '';
  return line === '' ? undefined : line;
}

function list(value: unknown): unknown[] {
  return (Array.isArray(value) ? value : [value]).slice(0, maxThings);
}

function isThing(value: unknown): value is Thing {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
