/** Help: every command has it, and it says what the program has. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Command } from 'commander';
import { createProgram } from '../src/commands/program.ts';
import { readCommandLine } from './support/command-line.ts';

type At = { path: string[]; command: Command };

/** Every command of the program, without the `help` that each has. */
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
      assert.equal(examples.length > 0, path.length === 0, 'the program has examples');
      for (const line of examples) {
        readCommandLine(line, createProgram());
      }
    });
  }
});
