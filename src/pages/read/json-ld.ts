/** The JSON-LD of a page: its blocks, unchanged, and what they say about the article or the page. */
import { line, type PageAbout } from './metadata.ts';
import { isJsonLd, type PageObserver } from './strip.ts';

/** More blocks than any page needs. */
const maxBlocks = 100;
/** Things that are searched, in all blocks together. */
const maxThings = 200;
const kinds = [
  /(Article|BlogPosting|Posting|Report|Recipe|Review|HowTo|APIReference|CreativeWork|Book|Thesis)$/,
  /(WebPage|Page)$/,
];

/** Collects blocks as the page streams by, also after a cut. A block that does not fit into `maxBytes` is left out whole. */
export function createJsonLdCollector(
  maxBytes: number,
): PageObserver & { readonly blocks: readonly string[] } {
  const blocks: string[] = [];
  let room = maxBytes;
  let pieces: string[] | undefined;
  let size = 0;
  return {
    blocks,
    startTag: (tag) => {
      pieces = isJsonLd(tag) && blocks.length < maxBlocks ? [] : undefined;
      size = 0;
    },
    text: (_chars, raw) => {
      size += Buffer.byteLength(raw);
      if (size > room) pieces = undefined;
      else pieces?.push(raw);
    },
    endTag: () => {
      if (pieces === undefined) return;
      room -= size;
      blocks.push(pieces.join('').trim());
      pieces = undefined;
    },
  };
}

type Thing = Readonly<Record<string, unknown>>;

/** The blocks are a stranger's: each can hold anything. */
export function articleOf(blocks: readonly string[]): PageAbout {
  const things = blocks.flatMap(thingsOf).slice(0, maxThings);
  for (const kind of kinds) {
    const isKind = (type: unknown): boolean => typeof type === 'string' && kind.test(type);
    const thing = things.find((each) => list(each['@type']).some(isKind));
    if (thing === undefined) continue;
    return {
      title: line(thing['headline']) ?? line(thing['name']),
      byline: namesOf(thing['author']) ?? namesOf(thing['creator']),
      language: line(thing['inLanguage']),
      published: line(thing['datePublished']),
      site_name: namesOf(thing['publisher']),
      excerpt: line(thing['description']),
    };
  }
  return {};
}

function thingsOf(block: string): Thing[] {
  try {
    const parsed: unknown = JSON.parse(block.replace(/^\s*<!\[CDATA\[|\]\]>\s*$/g, ''));
    return list(parsed)
      .filter(isThing)
      .flatMap((thing) => [thing].concat(list(thing['@graph']).filter(isThing)));
  } catch {
    return [];
  }
}

/** `"A"`, `{"name": "A"}`, or several of them. */
function namesOf(value: unknown): string | undefined {
  const names = list(value).map((each) => line(isThing(each) ? each['name'] : each));
  return line([...new Set(names.filter((name) => name !== undefined))].join(', '));
}

function list(value: unknown): unknown[] {
  return (Array.isArray(value) ? value : [value]).slice(0, maxThings);
}

function isThing(value: unknown): value is Thing {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
