/** Help and completion: every command has both, and they say what the program has. The completion is asked of the shells themselves. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Command } from 'commander';
import { createProgram } from '../src/commands/program.ts';
import { readCommandLine } from './support/command-line.ts';
import { root } from './support/relay.ts';
import { openTerminal } from './support/terminal.ts';

let scratch: string;
before(() => {
  scratch = mkdtempSync(join(tmpdir(), 'completion-test-'));
});
after(() => rmSync(scratch, { recursive: true }));

type At = { path: string[]; command: Command };

/** Every command of the program, without the `help` that each has. */
function everyCommand(command: Command = createProgram(), path: string[] = []): At[] {
  return [
    { path, command },
    ...command.commands.flatMap((each) => everyCommand(each, [...path, each.name()])),
  ];
}

function helpOf(path: readonly string[]): string {
  return execFileSync(join(root, 'bin/claude-relay'), [...path, '--help'], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: scratch },
  });
}

describe('--help', () => {
  for (const { path, command } of everyCommand()) {
    test(`claude-relay ${path.join(' ')}`, () => {
      const help = helpOf(path);
      for (const option of command.options) assert.ok(help.includes(option.flags), option.flags);
      const examples = /\nExamples:\n((?: {2}.*\n)+)/.exec(help)?.[1]?.trimEnd().split('\n') ?? [];
      assert.ok(examples.length > 0, 'it has examples');
      // Each is a line that the program would take, and of this command.
      for (const line of examples) {
        const read = readCommandLine(line, createProgram());
        if (path.length > 0) assert.deepEqual(read.path.slice(0, path.length), path, line);
      }
    });
  }

  test('has no colour, and no escape sequence, in a pipe', () => {
    assert.doesNotMatch(helpOf([]), /\x1b/);
  });
});

/** What a shell would offer for the last of these words. */
type Shell = (words: readonly string[]) => string[];

/** What the program itself has at this place: its commands, or its long options. */
function wanted({ path, command }: At, word: '' | '--'): string[] {
  if (word === '--') return [...command.options.flatMap(({ long }) => long ?? []), '--help'];
  const [argument] = command.registeredArguments;
  const help = command.commands.length > 0 ? ['help'] : [];
  void path;
  return [...command.commands.map((each) => each.name()), ...help, ...(argument?.argChoices ?? [])];
}

function scriptFile(shell: string): string {
  const file = join(scratch, `completion.${shell}`);
  writeFileSync(
    file,
    execFileSync(join(root, 'bin/claude-relay'), ['completion', shell], { encoding: 'utf8' }),
  );
  return file;
}

function has(program: string): boolean {
  return spawnSync(program, ['--version']).error === undefined;
}

const shells: Record<'bash' | 'fish', (file: string) => Shell> = {
  bash: (file) => (words) =>
    lines(
      execFileSync(
        'bash',
        [
          '--norc',
          '-c',
          `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _claude_relay; printf '%s\\n' "\${COMPREPLY[@]}"`,
          'bash',
          file,
          ...words,
        ],
        { encoding: 'utf8' },
      ),
    ),
  fish: (file) => (words) =>
    lines(
      execFileSync(
        'fish',
        ['--no-config', '-c', 'source $argv[1]; complete -C (string join " " -- $argv[2..])', file, ...words],
        { encoding: 'utf8', env: { PATH: process.env['PATH'], HOME: scratch } },
      ),
    ).map((line) => line.split('\t')[0] ?? ''),
};

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

const sorted = (items: readonly string[]): string[] => items.toSorted((a, b) => (a < b ? -1 : 1));

for (const name of ['bash', 'fish'] as const) {
  describe(`completion in ${name}`, { skip: has(name) ? false : `${name} is not installed` }, () => {
    let shell: Shell;
    before(() => {
      shell = shells[name](scriptFile(name));
    });

    for (const at of everyCommand()) {
      test(['claude-relay', ...at.path].join(' '), () => {
        for (const word of ['', '--'] as const) {
          const offered = shell(['claude-relay', ...at.path, word]).filter((each) => each.startsWith(word));
          assert.deepEqual(sorted(offered), sorted(wanted(at, word)), `after ${at.path.join(' ')} ${word}`);
        }
      });
    }

    test('a part of a word, options before it, values, files, and the commands of help', () => {
      assert.deepEqual(shell(['claude-relay', 'key', 'cr']), ['create']);
      assert.deepEqual(shell(['claude-relay', '--config', 'x.env', 'doct']), ['doctor']);
      assert.deepEqual(sorted(shell(['claude-relay', 'ask', '--effort', ''])), [
        'high',
        'low',
        'max',
        'medium',
        'xhigh',
      ]);
      assert.deepEqual(shell(['claude-relay', '--config', join(scratch, 'completion.')]).length > 0, true);
      assert.deepEqual(shell(['claude-relay', 'help', 'us']), ['usage']);
      assert.deepEqual(shell(['claude-relay', 'key', 'help', 'ro']), ['rotate']);
    });

    test('nothing but what belongs there', () => {
      assert.deepEqual(shell(['claude-relay', 'ask', '--model', '']), []);
      assert.deepEqual(shell(['claude-relay', 'key', 'create', 'label', 'x']), []);
    });
  });
}

test('completion in bash: its own loading, by the name and by a path', () => {
  const script = `source "$1"; complete -p claude-relay`;
  const said = execFileSync('bash', ['--norc', '-c', script, 'bash', scriptFile('bash')], {
    encoding: 'utf8',
  });
  assert.equal(said, 'complete -F _claude_relay claude-relay\n');
});

test(
  'completion in zsh, at its own prompt',
  { skip: has('zsh') ? false : 'zsh is not installed' },
  async () => {
    const file = scriptFile('zsh');
    const terminal = openTerminal('zsh -f -i', {
      env: { PATH: process.env['PATH'] ?? '', HOME: scratch, TERM: 'dumb', PS1: '%% ' },
    });
    try {
      terminal.type(
        `PS1='@'; unsetopt ZLE_RPROMPT_INDENT 2>/dev/null; autoload -U compinit; compinit -u -d '${scratch}/dump'; source '${file}'; LISTMAX=999; print rea''dy\n`,
      );
      await terminal.until(/ready/);
      // A list of several: what is offered comes below the line.
      const offered = async (line: string, last: string): Promise<string> => {
        terminal.type(`${line}\t`);
        const shown = await terminal.until(new RegExp(last), 20_000);
        terminal.type('\x15');
        return shown;
      };
      const commands = await offered('claude-relay ', 'usage +--');
      for (const { path } of everyCommand().filter(({ path }) => path.length === 1)) {
        if (path[0] !== 'usage') assert.ok(commands.includes(`${path[0]} `), `${path[0]} in ${commands}`);
      }
      await offered('claude-relay key rot', 'claude-relay key rotate ');
      await offered('claude-relay completion b', 'claude-relay completion bash ');
      await offered('claude-relay --config /dev/null doc', 'doctor ');
      const options = await offered('claude-relay key create --', '--routes +--');
      for (const flag of ['--daily', '--expires', '--json'])
        assert.ok(options.includes(flag), `${flag} in ${options}`);
      await offered('claude-relay ask --effort xh', '--effort xhigh ');
    } finally {
      await terminal.close();
    }
  },
);

test(
  'completion in zsh reads without an error',
  { skip: has('zsh') ? false : 'zsh is not installed' },
  () => {
    const { status, stderr } = spawnSync('zsh', ['-f', '-n', scriptFile('zsh')], { encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
  },
);

test('a shell that is none', () => {
  const { status, stdout, stderr } = spawnSync(join(root, 'bin/claude-relay'), ['completion', 'tcsh'], {
    encoding: 'utf8',
  });
  assert.deepEqual([status, stdout], [1, '']);
  assert.match(stderr, /Allowed choices are bash, zsh, fish/);
});
