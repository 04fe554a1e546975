/** Reads a command line of a document or of a help text as the shell and the program would. */
import assert from 'node:assert/strict';
import type { Command } from 'commander';

export type ReadLine = {
  /** `key create`, as words. */
  path: string[];
  options: string[];
};

/** The words of a simple shell command: quotes are read, nothing is expanded; a redirection, pipe or comment ends it. */
export function shellWords(text: string): string[] {
  const words: string[] = [];
  const part = /\s*(?:(#.*$|[|<>;&)])|((?:"[^"]*"|'[^']*'|\\.|[^\s"'\\|<>;&)])+))/gy;
  for (let found = part.exec(text); found !== null; found = part.exec(text)) {
    const [, end, word] = found;
    if (end !== undefined || word === undefined) break;
    words.push(word.replaceAll(/"([^"]*)"|'([^']*)'|\\(.)/g, (_all, a, b, c) => String(a ?? b ?? c)));
  }
  return words;
}

/**
 * Finds `claude-relay ...` in a line (`bin/claude-relay`, `$(claude-relay ...)`, behind a pipe) and reads it with the program's own
 * commands and options. Fails if the program would refuse it.
 */
export function readCommandLine(line: string, program: Command): ReadLine {
  const [, rest] =
    /(?:^|[\s(/])claude-relay((?:\s.*)?)$/.exec(line) ?? assert.fail(`no claude-relay in: ${line}`);
  const words = shellWords(rest ?? '');
  let command: Command = program;
  const read: ReadLine = { path: [], options: [] };
  let args = 0;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    const below = args === 0 ? command.commands.find((each) => each.name() === word) : undefined;
    if (below !== undefined) {
      command = below;
      read.path.push(word);
    } else if (word.startsWith('-') && word !== '-') {
      if (word === '--help' || word === '-h') continue;
      const [flag = ''] = word.split('=');
      const option = command.options.find(({ short, long }) => short === flag || long === flag);
      assert.ok(option !== undefined, `${flag} is no option of "${command.name()}": ${line}`);
      read.options.push(flag);
      if ((option.required || option.optional) && !word.includes('=')) {
        at += 1;
        const value = words[at] ?? assert.fail(`${flag} has no value: ${line}`);
        // Throws the program's error for an invalid value.
        option.parseArg?.(value, undefined as never);
      }
    } else if (command.commands.length > 0 && word === 'help')
      return { ...read, path: [...read.path, 'help'] };
    else {
      const argument = command.registeredArguments[args] ?? command.registeredArguments.at(-1);
      assert.ok(
        argument !== undefined &&
          (args === 0 || argument.variadic || args < command.registeredArguments.length),
        `"${command.name()}" takes no "${word}": ${line}`,
      );
      argument.parseArg?.(word, undefined as never);
      args += 1;
    }
  }
  const missing = command.registeredArguments.filter(({ required }, index) => required && index >= args);
  assert.deepEqual(
    missing.map((argument) => argument.name()),
    [],
    line,
  );
  return read;
}
