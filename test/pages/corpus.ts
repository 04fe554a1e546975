/** The rows of both corpora that a URL decides. The other rows describe a server and have their own tests. */
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

/** The code that a row expects, or `allow`. */
export const outcomeOf = (expected: string): string => /^(?:block:|error:)?(\w+)/.exec(expected)?.[1] ?? '';
