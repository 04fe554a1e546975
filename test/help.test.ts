/** Help: every command has it, and it says what the program has. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Command } from 'commander';
import { createProgram } from '../src/commands/program.ts';
import { readCommandLine } from './support/command-line.ts';
import { root } from './support/relay.ts';

type At = { path: string[]; command: Command };

/** Every command of the program, the hidden ones, too. */
function everyCommand(command: Command = createProgram(), path: string[] = []): At[] {
  return [
    { path, command },
    ...command.commands.flatMap((each) => everyCommand(each, [...path, each.name()])),
  ];
}

function helpOf(command: Command): string {
  let help = '';
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  return help;
}

describe('--help', () => {
  for (const { path, command } of everyCommand()) {
    test(`claude-relay ${path.join(' ')} --help shows every option, and only examples that the program accepts`, () => {
      const help = helpOf(command);
      for (const option of command.options) assert.ok(help.includes(option.flags), option.flags);
      const examples = /\nExamples:\n((?: {2}.*\n)+)/.exec(help)?.[1]?.trimEnd().split('\n') ?? [];
      assert.ok(path.length > 0 || examples.length > 0, 'the program has examples');
      for (const line of examples) {
        readCommandLine(line, createProgram());
      }
    });

    test(`claude-relay ${path.join(' ')} --help fits into 80 columns`, () => {
      const long = helpOf(command)
        .split('\n')
        .filter((line) => line.length > 80);
      assert.deepEqual(long, []);
    });
  }
});

describe('claude-relay help', () => {
  const run = (...args: readonly string[]) =>
    spawnSync(process.execPath, [join(root, 'src/main.ts'), ...args], { encoding: 'utf8' });

  test('help of a command, also of one below key, shows what --help shows', () => {
    const create = createProgram().commands.flatMap(({ commands }) =>
      commands.filter((each) => each.name() === 'create'),
    );
    const shown = helpOf(create[0] ?? assert.fail());
    for (const words of ['help key create', 'key help create', 'key create --help']) {
      const { status, stdout, stderr } = run(...words.split(' '));
      assert.deepEqual([status, stdout, stderr], [0, shown, ''], words);
    }
  });

  test('help of an unknown command names it and exits with status 1', () => {
    const { status, stdout, stderr } = run('help', 'key', 'make');
    assert.deepEqual([status, stdout], [1, '']);
    assert.equal(
      stderr,
      'claude-relay: There is no command "key make". List the commands: claude-relay help key\n',
    );
  });
});
