/** `npm run english`: finds the worst patterns of CONTRIBUTING.md's style guide in comments, messages, test names and Markdown. */
import { globSync, readFileSync } from 'node:fs';

const patterns: readonly (readonly [pattern: string, instead: string])[] = [
  ['shall', 'must, can, or a plain verb'],
  ['besides', 'in addition to, also'],
  ['beside', 'next to, in addition to'],
  ['anew', 'again'],
  ['(?:tell|tells|told|telling) of', 'report, describe'],
  ['(?:take|takes|taken|took|taking) away', 'remove, uninstall'],
  ['mend(?:s|ed|ing)?', 'fix'],
  ['of (?:yours|ours|theirs|mine)', 'your, our, their, my'],
  ["of (?:its|their|your|our|my|his|(?:(?:the|a|an) )?\\w+(?:'s|s')) own", 'its own X, a separate X'],
  ['(?:is|are) none', 'is not valid, does not exist'],
  ['so (?:is|are|does|do) (?:a|an|all|each|every|is|it|its|one|that|the|this|what)', 'repeat the verb'],
  ['some \\d+', 'about 150'],
  ['all the same', 'anyway, still'],
  ['as ever', 'as usual'],
  ['in vain', 'without success'],
  ['(?:pass|passes|passed) over', 'ignore'],
  ['(?:go|goes|went) with', 'require, end with'],
  ['that (?:is|are) no(?! longer)', 'is not a'],
  ['(?:end|ends|ended) with [01]', 'exit with status 1'],
  ['in (?:the|its|their) words of', 'in the format of'],
  ['neither does|nor is it', 'say it as a separate sentence'],
];

/** Text of other products, texts that play it, and generated files. */
const exclude = [
  '**/node_modules/**',
  'clients/ts/dist/**',
  'test/fixtures/**',
  'test/pages/{markdown,chromium}/**',
  'src/claude/failure/sentences.ts',
  'CHANGELOG.md',
];
const files = globSync(
  [
    '*.{md,sh,example}',
    '{docs,clients,.github}/**/*.md',
    '{src,test,bench,scripts,clients,packaging}/**/*.{ts,py,sh}',
    'bin/*',
  ],
  { exclude },
).filter((file) => file !== 'scripts/check-english.ts');

// A pattern can go on in the next line, also of a comment.
const gap = '(?:\\s+(?:(?:\\*|//|#|>)\\s+)?)';
const compiled = patterns.map(
  ([pattern, instead]) =>
    [new RegExp(`(?<![\\w-])(?:${pattern.replaceAll(' ', gap)})(?![\\w-])`, 'gi'), instead] as const,
);
/** Code in Markdown quotes a program, or shows what not to write: blanked, with its length kept for the line numbers. */
const withoutCode = (markdown: string): string =>
  markdown.replaceAll(/^```.*?^```$|`[^`\n]+`/gms, (code) => code.replaceAll(/[^\n]/g, '\u{b7}'));

let found = 0;
for (const file of files.toSorted()) {
  const text = readFileSync(file, 'utf8');
  const searched = file.endsWith('.md') ? withoutCode(text) : text;
  for (const [pattern, instead] of compiled) {
    for (const { 0: match, index } of searched.matchAll(pattern)) {
      // Python's operator.
      if (match.endsWith('None')) continue;
      const line = searched.slice(0, index).split('\n').length;
      process.stdout.write(`${file}:${line}: "${match.replaceAll(/\s+/g, ' ')}" -> ${instead}\n`);
      found += 1;
    }
  }
}
if (found > 0) {
  process.stdout.write(`${found} places to rewrite: see "Plain English" in CONTRIBUTING.md.\n`);
  process.exitCode = 1;
}
