/** The pages to fetch, made of parts of real pages: always the same, of an exact size. */

/** Decoded bytes by name. */
export const pageSizes = {
  '10 kB': 10_000,
  '200 kB': 200_000,
  '1 MB': 1_000_000,
  '2 MB': 2_000_000,
} as const;
export type PageName = keyof typeof pageSizes;

export const codings = ['identity', 'gzip'] as const;
export type Coding = (typeof codings)[number];

/** Hosts with such names close the connection after each page. */
export const onceOnly = 'once-';

/** The path of a page on the bench's web server. */
export function pagePath(page: PageName, coding: Coding): string {
  return `/${page.replace(' ', '-')}/${coding}`;
}

/** Numbers from 0 to 1, the same in every run (xorshift). */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/**
 * A page of exactly this many bytes: four tenths scripts and their data, a seventh styles and svg, and nearly half markup with text.
 * It has JSON-LD, comments, character references and text outside ASCII.
 */
export function makePage(bytes: number): string {
  const random = createRandom(bytes);
  const pick = (items: ArrayLike<string>): string => items[Math.floor(random() * items.length)] ?? '';
  const number = (below: number): number => Math.floor(random() * below);
  const words = vocabulary(random, pick);
  const sentence = (length: number): string =>
    `${Array.from({ length }, () => pick(words)).join(' ')}${pick(['.', '.', '?', ' &amp; so on.', ' – “née”.'])}`;

  const icon = (): string =>
    `<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path fill="currentColor" d="M${number(24)} ${Array.from(
      { length: 30 },
      () => `${pick(['l', 'c', 'h', 'v'])}${(random() * 20 - 10).toFixed(2)} ${(random() * 20).toFixed(3)}`,
    ).join('')}z"/></svg>`;
  const style = (): string =>
    `<style>${Array.from({ length: 8 }, () => `.${pick(words)}-${number(999)}>li:hover{margin:${number(40)}px auto;color:#${number(0xffffff).toString(16)}}`).join('')}</style>`;
  const code = (): string =>
    `<script>!function(w,d){var ${Array.from({ length: 12 }, () => `${pick(words)}${number(99)}=w["${pick(words)}"]||function(e){return e<${number(99)}&&"<b>"+e+"</b>"}`).join(',')};w.q=d}(window,document);</script>`;
  const data = (): string =>
    `<script type="application/json">{"items":[${Array.from({ length: 12 }, () => `{"id":${number(1e5)},"title":"${sentence(6)}","url":"\\/${pick(words)}\\/${number(1e6)}","tags":["${pick(words)}","${pick(words)}"]}`).join(',')}]}</script>`;
  const jsonLd = (): string =>
    `<script type="application/ld+json">{"@context":"https://schema.org","@type":"Article","headline":"${sentence(7)}","author":{"@type":"Person","name":"${pick(words)}"}}</script>`;
  const card = (): string =>
    `<div class="card card--${pick(words)}" data-id="${number(1e8)}"><a class="card__link" href="/${pick(words)}/${number(1e6)}?ref=list&amp;pos=${number(50)}"><img loading="lazy" src="/i/${number(1e6)}.webp" srcset="/i/${number(1e6)}-2x.webp 2x" alt="${sentence(5)}" width="320" height="180"></a><h3>${sentence(8)}</h3></div>\n`;
  const paragraph = (): string =>
    `<p>${sentence(18)} <a href="https://${pick(words)}.example/${pick(words)}">${pick(words)}</a> ${sentence(25)} <em>${pick(words)}</em> ${sentence(14)}</p>\n`;
  const comment = (): string => `<!-- ${sentence(9)} -->`;
  // A page repeats the same icons.
  const icons = Array.from({ length: 12 }, icon);
  const sameIcon = (): string => pick(icons);
  const parts = [
    paragraph,
    card,
    paragraph,
    data,
    card,
    sameIcon,
    paragraph,
    code,
    card,
    style,
    card,
    comment,
  ];

  let page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${sentence(6)}</title>
<meta name="description" content="${sentence(15)}"><meta property="og:title" content="${sentence(6)}">
<link rel="canonical" href="/${pick(words)}">${jsonLd()}${style()}${code()}</head><body><header>${icon()}${card()}</header><main>\n`;
  const end = '</main></body></html>';
  let size = Buffer.byteLength(page) + end.length;
  for (let index = 0; ; index += 1) {
    const part = (parts[index % parts.length] as () => string)();
    if (size + Buffer.byteLength(part) > bytes) break;
    page += part;
    size += Buffer.byteLength(part);
  }
  return `${page}${' '.repeat(bytes - size)}${end}`;
}

function vocabulary(random: () => number, pick: (letters: string) => string): string[] {
  const syllable = (): string =>
    pick('bcdfglmnprstv') + pick('aeiou') + (random() < 0.3 ? pick('lnrst') : '');
  return Array.from({ length: 900 }, () =>
    Array.from({ length: 1 + Math.floor(random() * 3) }, syllable).join(''),
  );
}
