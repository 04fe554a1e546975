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
  writeFileSync(resultsFile, `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(tableFile, table(programs, results));
}

export function table(programs: readonly Program[], results: Results): string {
  const rows = programs.flatMap(({ name, title }) => {
    const entry = results[name];
    if (entry === undefined) return [];
    const { version, date, paths, checks } = entry;
    const wrongKey = checks.key === undefined ? '-' : tries(checks.key);
    const cells = [
      `[${title}](#${name})`,
      version,
      paths.map((path) => `\`${path}\``).join(' '),
      mark(checks.text),
      mark(checks.tools),
      mark(checks.stream),
      wrongKey,
      date,
    ];
    return [`| ${cells.join(' | ')} |`];
  });
  const sections = programs.map(
    ({ name, title, setUp, note }) =>
      `### ${name}\n\n${title}${note === undefined ? '' : `. ${note}`}\n\n\`\`\`\n${setUp.join('\n')}\n\`\`\`\n`,
  );
  return `${opening}\n${head}\n${rows.join('\n')}\n\n## Set-up\n\n${setUpText}\n\n${sections.join('\n')}`;
}

const opening = `# Tried programs

\`npm run clients\` writes this page. It installs each program from npm, in this version, and runs it against the relay, the real
Claude Code and a scripted model. No request of a program may be refused.

- **text**: the program shows the model's answer.
- **tools**: the model calls a tool of the program twice, and both results reach the model.
- **stream**: the answer reaches the program as a stream.
- **wrong key**: the requests that the program sends with a wrong key, before it shows why it fails.
`;
const head = `| program | version | paths | text | tools | stream | wrong key | date |
|---|---|---|---|---|---|---|---|`;
const setUpText = "`URL` is the relay's URL, such as `http://127.0.0.1:8799`; `KEY` is the key.";

function mark(result: { ok: boolean } | undefined): string {
  if (result === undefined) return '-';
  return result.ok ? 'yes' : '**no**';
}

function tries({ ok, refused: count }: { ok: boolean; refused: number }): string {
  return `${count} ${count === 1 ? 'try' : 'tries'}${ok ? '' : ' (**no**)'}`;
}
