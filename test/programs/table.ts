/** docs/clients.md, from the list of programs and what the last run of each showed. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Check, Program } from './program.ts';

/** By the program's name. */
export type Results = Record<
  string,
  {
    version: string;
    /** The day of the run, as in 2026-11-29. */
    date: string;
    /** The paths of the requests that were answered. */
    paths: string[];
    checks: Partial<Record<Check, { ok: boolean; refused: number }>>;
  }
>;

const resultsFile = fileURLToPath(new URL('results.json', import.meta.url));
export const tableFile = fileURLToPath(new URL('../../docs/clients.md', import.meta.url));

export function readResults(): Results {
  return existsSync(resultsFile) ? (JSON.parse(readFileSync(resultsFile, 'utf8')) as Results) : {};
}

export function writeTable(programs: readonly Program[], results: Results): void {
  const lines = programs.flatMap(({ name }) =>
    name in results ? [`${JSON.stringify(name)}: ${JSON.stringify(results[name])}`] : [],
  );
  writeFileSync(resultsFile, `{\n${lines.join(',\n')}\n}\n`);
  writeFileSync(tableFile, table(programs, results));
}

export function table(programs: readonly Program[], results: Results): string {
  const rows = programs.flatMap(({ name, title, setUp, note }) => {
    const entry = results[name];
    if (entry === undefined) return [];
    const { version, date, paths, checks } = entry;
    const cells = [
      note === undefined ? title : `${title}. ${note}`,
      version,
      code(setUp),
      code(paths),
      mark(checks.text),
      mark(checks.tools),
      mark(checks.stream),
      checks.key === undefined ? '-' : `${checks.key.refused}${checks.key.ok ? '' : ' (**no**)'}`,
      date,
    ];
    return [`| ${cells.join(' | ')} |`];
  });
  return `${opening}\n${rows.join('\n')}\n`;
}

const opening = `# Tried programs

\`npm run clients\` writes this page. It installs each program from npm in the version that the table names. Each runs
against the relay, the real Claude Code and a scripted model. \`URL\` is the relay's URL, such as
\`http://127.0.0.1:8799\`; \`KEY\` is a key. No request of a program may be refused.

- **text**: the program shows the model's answer.
- **tools**: the model calls a tool of the program twice, and both results reach the model.
- **stream**: the answer reaches the program as a stream.
- **wrong key**: how often the program sends a wrong key, before it says why it fails.

| program | version | set up | paths | text | tools | stream | wrong key | date |
|---|---|---|---|---|---|---|---|---|`;

function code(lines: readonly string[]): string {
  return lines.map((line) => `\`${line}\``).join('<br>');
}

function mark(result: { ok: boolean } | undefined): string {
  if (result === undefined) return '-';
  return result.ok ? 'yes' : '**no**';
}
