/** The rows of both corpora that are decided by a URL; the others describe a server, and have a test of their own. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

type Row = { id: string; category: string; url?: string; description?: string; expected: string };

const rows = ['fetch-corpus.json', 'more-corpus.json'].flatMap(
  (file) => JSON.parse(readFileSync(join(import.meta.dirname, file), 'utf8')) as Row[],
);

export const corpusUrls = rows.flatMap((row) => {
  const url = row.id === 'malformed-url-011' ? `http://example.com${'a'.repeat(20_000)}.com/` : row.url;
  return url === undefined || row.category === 'self' ? [] : [{ ...row, url }];
});

/** The code in what a row expects; `allow` when there is none. */
export const outcomeOf = (expected: string): string => /^(?:block:|error:)?(\w+)/.exec(expected)?.[1] ?? '';
