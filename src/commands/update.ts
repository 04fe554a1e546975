/** `claude-relay update`: says what newer versions have and how to get them. It changes nothing, and nothing else asks for versions. */
import type { Command } from 'commander';
import { CommandError } from '../command-error.ts';
import { repository, updateCommand, version, way } from '../installation.ts';
import { callRelay, textOf } from '../service/call.ts';
import { printable, processTerminal, type Terminal } from './text/terminal.ts';

/** Its sections with a version are releases. */
const changelog = `${repository.replace('github.com', 'raw.githubusercontent.com')}/main/CHANGELOG.md`;
const mostBytes = 2 * 1024 * 1024;

/** Tests have another changelog, and wait less. */
export type UpdateContext = { changelog?: string; timeoutMs?: number; terminal?: Terminal };

export function addUpdateCommand(program: Command, context: UpdateContext = {}): void {
  program
    .command('update')
    .description('show what newer versions have, and how to get them; change nothing')
    .action(() => update(context));
}

/** Throws CommandError when the changelog cannot be read. */
async function update({
  changelog: url = changelog,
  timeoutMs = 15_000,
  terminal = processTerminal(),
}: UpdateContext): Promise<void> {
  const newer = newerReleases(await readChangelog(url, timeoutMs), version);
  if (newer.length === 0) return terminal.out(`claude-relay ${version} is the newest version.\n`);
  const newest = newer[0]?.version ?? '';
  terminal.out(`claude-relay ${newest} is available. This is ${version}, from ${sources[way]}.\n\n`);
  for (const { text } of newer) terminal.out(`${printable(text)}\n\n`);
  terminal.out(`To update: ${updateCommand}\n`);
}

const sources = {
  checkout: 'a checkout',
  npm: 'npm',
  deb: 'the Debian package',
  image: 'the container image',
} as const;

async function readChangelog(url: string, timeoutMs: number): Promise<string> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await callRelay(url, { signal });
    const text = await textOf(answer, mostBytes);
    if (answer.statusCode !== 200) throw new Error(`status ${answer.statusCode}`);
    return text;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CommandError(
      `The list of versions could not be read (${signal.aborted ? 'timeout' : (code ?? message)}). See ${repository}/releases in a browser. To update: ${updateCommand}`,
    );
  }
}

/** The sections of a changelog (Keep a Changelog) whose version is newer, the newest first. Pure. */
export function newerReleases(text: string, current: string): { version: string; text: string }[] {
  return text
    .split(/^(?=## )/m)
    .map((section) => ({
      version: /^## \[(\d+\.\d+\.\d+)\]/.exec(section)?.[1] ?? '',
      // The links of the headings follow the last section.
      text: section.replaceAll(/^\[[^\]\n]+\]: .*$/gm, '').trimEnd(),
    }))
    .filter((section) => section.version !== '' && isNewer(section.version, current));
}

/** `current` can be a pre-release, which its release is newer than. */
function isNewer(release: string, current: string): boolean {
  const [numbers = '', preRelease] = current.split('-');
  const difference = release.localeCompare(numbers, 'en', { numeric: true });
  return difference > 0 || (difference === 0 && preRelease !== undefined);
}
