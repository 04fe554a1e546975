/**
 * Writes the man page and the completions of the shells, from the program's help and the table of settings:
 *
 *   node scripts/manual.ts [directory]
 *
 * The directory is `share` by default. SOURCE_DATE_EPOCH is the page's date; otherwise it is the release's in CHANGELOG.md.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createProgram } from '../src/commands/program.ts';
import { root, version } from '../src/installation.ts';
import { bashCompletion } from './manual/bash.ts';
import { fishCompletion } from './manual/fish.ts';
import { manualPage } from './manual/page.ts';
import { nodesOf } from './manual/tree.ts';
import { zshCompletion } from './manual/zsh.ts';

const directory = process.argv[2] ?? 'share';
const program = createProgram('$XDG_CONFIG_HOME/claude-relay/config.env');
const nodes = nodesOf(program);
const files = {
  'man/man1/claude-relay.1': manualPage(program, { version, date: pageDate() }),
  'completions/claude-relay.bash': bashCompletion(nodes),
  'completions/_claude-relay': zshCompletion(nodes),
  'completions/claude-relay.fish': fishCompletion(nodes),
};
for (const [name, text] of Object.entries(files)) {
  const path = join(directory, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** Never today's: two builds of one version are the same. */
function pageDate(): string {
  const epoch = process.env['SOURCE_DATE_EPOCH'];
  if (epoch !== undefined) return new Date(Number(epoch) * 1000).toISOString().slice(0, 10);
  const changelog = readFileSync(join(root, 'CHANGELOG.md'), 'utf8');
  const release = `## [${version}] - `;
  const at = changelog.indexOf(release);
  return at === -1 ? '' : changelog.slice(at + release.length, at + release.length + 10);
}
