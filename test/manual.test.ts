/** What `scripts/manual.ts` writes: the man page as two programs render it, and the completions in real shells. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Command } from 'commander';
import { manualPage } from '../scripts/manual/page.ts';
import { optionDescription, sectionsOf } from '../src/commands/help.ts';
import { createProgram } from '../src/commands/program.ts';
import { loginVariables } from '../src/config.ts';
import { findProgram } from '../src/find-program.ts';
import { settings } from '../src/settings.ts';
import { needs } from './support/needs.ts';
import { root } from './support/relay.ts';
import { openTerminal } from './support/terminal.ts';

let directory: string;
let page: string;
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'manual-'));
  page = join(directory, 'man/man1/claude-relay.1');
  const env = { ...process.env, SOURCE_DATE_EPOCH: '1600000000' };
  execFileSync(process.execPath, ['scripts/manual.ts', directory], { cwd: root, env });
  writeFileSync(join(directory, 'my settings.env'), '');
});
after(() => rmSync(directory, { recursive: true }));

const program = createProgram('$XDG_CONFIG_HOME/claude-relay/config.env');

/** The commands that help lists, each with its names. */
function commandsBelow(
  command: Command,
  path: readonly string[] = [],
): { path: string[]; command: Command }[] {
  const below = command.createHelp().visibleCommands(command);
  return below.flatMap((each) => {
    const names = [...path, each.name()];
    return [{ path: names, command: each }].concat(commandsBelow(each, names));
  });
}

const commands = commandsBelow(program);

/** The long names of the options that help lists for a command. */
function longOptions(command: Command): string[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .flatMap(({ long }) => long ?? []);
}

describe('the man page', { skip: needs('man', 'mandoc') }, () => {
  const rendered = (file = page): string => {
    const env = { ...process.env, LC_ALL: 'C.UTF-8', MANWIDTH: '80' };
    const { status, stdout, stderr } = spawnSync('man', ['--warnings', '--local-file', file], {
      encoding: 'utf8',
      env,
    });
    assert.deepEqual([status, stderr], [0, '']);
    return stdout;
  };
  const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').toLowerCase();

  test('man and mandoc render the page without a warning, in 80 columns', () => {
    const text = rendered();
    assert.deepEqual(
      text.split('\n').filter((line) => line.length > 80),
      [],
    );
    // A shell accepts no such hyphen, and no name is broken with one.
    assert.doesNotMatch(text, /\u2010|\u2212/);
    const { status, stdout } = spawnSync('mandoc', ['-T', 'lint', page], { encoding: 'utf8' });
    assert.deepEqual([status, stdout], [0, '']);
  });

  test('the page shows what roff would read as its own', () => {
    const text = `.TH 'a' "b" \\fBc\\n(.x \\ \`d\` ^~ e-f --g`;
    const file = join(directory, 'odd.1');
    const odd = new Command('odd').description(`Odd.\n\n${text}\n\n'${text}`);
    odd.command('below').option('--odd <x>', text);
    writeFileSync(file, manualPage(odd, { version: '1.0.0', date: '2020-09-13' }));
    const shown = text.replaceAll('`', '');
    assert.equal(oneLine(rendered(file)).split(oneLine(shown)).length, 4);
  });

  test('the page has every command with its options, and every section of its help', () => {
    const [, ...parts] = rendered().split(/^ {3}(?=claude-relay )/m);
    const sections = parts.map(oneLine);
    const whole = oneLine(rendered());
    assert.equal(sections.length, commands.length);
    for (const [index, { path, command }] of commands.entries()) {
      const its = sections[index] ?? '';
      assert.ok(its.startsWith(`claude-relay ${path.join(' ')}`), its);
      for (const paragraph of command.description().split('\n\n'))
        assert.ok(its.includes(oneLine(paragraph)));
      for (const option of command.options) {
        const flags = option.flags.replaceAll(/[<>]/g, '');
        const description = optionDescription(option).replaceAll('`', '');
        assert.ok(its.includes(oneLine(`${flags} ${description}.`)), `${path.join(' ')} ${flags}`);
      }
    }
    for (const command of [program, ...commands.map((each) => each.command)]) {
      for (const { items } of sectionsOf(command)) {
        for (const [term, meaning] of items) assert.ok(whole.includes(oneLine(`${term} ${meaning}.`)), term);
      }
    }
  });

  test('the page has every setting with its default and meaning, and every login variable', () => {
    const whole = oneLine(rendered());
    const shown = [
      ...[...settings.values()].map(
        ({ name, default: value, description }) => `${name}=${value} ${description}`,
      ),
      ...[...loginVariables].map(([name, meaning]) => `${name} ${meaning}`),
    ];
    for (const setting of shown) assert.ok(whole.includes(oneLine(setting.replaceAll('`', ''))), setting);
  });

  test('the page has the paths of a package, and the date that the build names', () => {
    const text = rendered();
    assert.match(
      text,
      /--config file\n +Settings file \(default:\n? +\$XDG_CONFIG_HOME\/claude-relay\/config\.env\)/,
    );
    assert.match(text, /\n\S+ \d+\.\d+\.\d+ +2020-09-13 +CLAUDE-RELAY\(1\)\n$/);
    assert.doesNotMatch(text, /checkout|install\.sh|bin\/|\.\/run/);
    assert.ok(!text.includes(root));
  });
});

/** What each shell offers for a line that begins with `claude-relay`: words only, or with descriptions. */
const everyLine = [
  { line: '', offers: program.commands.map((command) => command.name()) },
  { line: '--', offers: longOptions(program) },
  ...commands.flatMap(({ path, command }) => {
    const below = command.createHelp().visibleCommands(command);
    const names = path.join(' ');
    const words = { line: `${names} `, offers: below.map((each) => each.name()) };
    const options = { line: `${names} --`, offers: longOptions(command).concat('--config') };
    return below.length > 0 ? [options, words, { ...words, line: `help ${names} ` }] : [options];
  }),
  { line: 'help ', offers: program.commands.map((command) => command.name()) },
  { line: 'key create app --effort ', offers: ['low', 'medium', 'high', 'xhigh', 'max', 'off'] },
  { line: 'expose ', offers: ['ngrok', 'tailscale', 'cloudflared', 'check'] },
  { line: '--config key key d', offers: ['disable'] },
  { line: 'key --config=key re', offers: ['revoke'] },
  { line: 'ask key ', offers: [] },
  { line: 'ask --model key ', offers: [] },
  { line: 'help doctor ', offers: [] },
];

describe('completion', () => {
  const sorted = (words: readonly string[]): string[] => words.toSorted((a, b) => a.localeCompare(b));
  const isLong = (word: string): boolean => !/^-\w$/.test(word);

  test('bash offers every command, option and choice, and runs no program', { skip: needs('bash') }, () => {
    const script = `
      source "$0"
      for line; do
        # As readline splits it: at blanks and at =.
        line=\${line//=/ = }
        COMP_WORDS=(claude-relay $line)
        [[ -n $line && $line != *' ' ]] || COMP_WORDS+=('')
        COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
        _claude_relay
        echo "\${COMPREPLY[*]}"
      done`;
    const file = join(directory, 'completions/claude-relay.bash');
    const { stdout, stderr } = spawnSync(
      findProgram('bash', process.env['PATH']) ?? '',
      ['--norc', '-c', script, file, ...everyLine.map(({ line }) => line)],
      { encoding: 'utf8', env: { PATH: '' } },
    );
    assert.equal(stderr, '');
    const offered = stdout.split('\n').map((words) => words.split(' ').filter((word) => word !== ''));
    for (const [index, { line, offers }] of everyLine.entries()) {
      assert.deepEqual(sorted((offered[index] ?? []).filter(isLong)), sorted(offers), line);
    }
  });

  test('fish offers every command, option and choice with its description', { skip: needs('fish') }, () => {
    const script = `source $argv[1]; for line in $argv[2..]; complete -C "claude-relay $line"; echo ---; end`;
    const file = join(directory, 'completions/claude-relay.fish');
    const lines = [...everyLine.map(({ line }) => line), 'key set app --system-file my'];
    const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', script, file, ...lines], {
      encoding: 'utf8',
      cwd: directory,
      env: { PATH: process.env['PATH'], HOME: directory },
    });
    assert.equal(stderr, '');
    const offered = stdout.split('---\n').map((text) => text.split('\n').slice(0, -1));
    for (const [index, { line, offers }] of everyLine.entries()) {
      const words = (offered[index] ?? []).map((each) => each.split('\t')[0] ?? '');
      assert.deepEqual(sorted(words.filter(isLong)), sorted(offers), line);
    }
    assert.ok(offered[0]?.includes('logs\tshow the requests, one line each, without content (times in UTC)'));
    assert.deepEqual(offered[everyLine.length], ['my settings.env']);
  });

  const skip = needs('script', 'bash', 'zsh');
  test('bash and zsh complete names of files, with their spaces', { skip }, async () => {
    for (const shell of shells) {
      const shown = await typedInto(shell, ['--config my', 'key set app --system-file=my']);
      assert.match(shown[0] ?? '', /<--config><my settings\.env>/);
      assert.match(shown[1] ?? '', /<--system-file=my settings\.env>/);
    }
  });

  test('zsh offers every command, option and choice with its description', { skip }, async () => {
    const shown = await typedInto(
      shells.find(({ command }) => command.startsWith('zsh')) ?? assert.fail(),
      everyLine.map(({ line }) => line),
    );
    for (const [index, { line, offers }] of everyLine.entries()) {
      const words = (shown[index] ?? '').split(/[\s<>]+/);
      for (const word of offers) assert.ok(words.includes(word), `${line}${word}: ${shown[index]}`);
      if (offers.length === 0) assert.doesNotMatch(shown[index] ?? '', / -- /);
    }
    assert.match(
      shown[0] ?? '',
      /\nlogs +-- show the requests, one line each, without content \(times in UTC\)/,
    );
  });

  const shells = [
    { command: 'bash --norc --noprofile -i', load: 'source completions/claude-relay.bash' },
    {
      command: 'zsh -f -i',
      load: 'unsetopt promptsp; fpath=($PWD/completions $fpath); autoload -U compinit; compinit -u -D',
    },
  ];

  /** What the shell shows after each line with a tab and Enter. The command prints its arguments. */
  async function typedInto({ command, load }: (typeof shells)[number], lines: readonly string[]) {
    const env = { PATH: process.env['PATH'] ?? '', HOME: directory };
    const terminal = openTerminal(command, { env, cwd: directory });
    // Only then does the shell read keys, and the line that sets it does not match.
    const prompt = /READY> /;
    const setup = [
      'stty cols 200 rows 200',
      load,
      `claude-relay() { printf '<%s>' "$@"; echo; }`,
      `PS1='REA''DY> '`,
    ];
    terminal.type(`${setup.join('; ')}\n`);
    await terminal.until(prompt);
    const shown: string[] = [];
    for (const line of lines) {
      terminal.type(`claude-relay ${line}\t\n`);
      shown.push(
        (await terminal.until(prompt)).replaceAll('\r', '').replaceAll(/\x1b\[[\d;?]*[A-Za-z]/g, ' '),
      );
    }
    await terminal.close();
    return shown;
  }
});
