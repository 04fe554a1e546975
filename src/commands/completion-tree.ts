/** The commands as the completion scripts need them, read off the program itself. Pure. */
import type { Argument, Command, Option } from 'commander';

/** What can stand in a place: fixed words, a file, or something that only the person knows. */
export type Place = { kind: 'words'; words: readonly string[] } | { kind: 'file' } | { kind: 'text' };

export type TreeOption = {
  /** `-f`, `--follow`. */
  flags: readonly string[];
  description: string;
  /** What follows it; absent for a flag alone. */
  value?: Place;
};

export type TreeCommand = {
  name: string;
  description: string;
  options: readonly TreeOption[];
  argument?: Place;
  commands: readonly TreeCommand[];
};

export function treeOf(command: Command, siblings: readonly Command[] = []): TreeCommand {
  const help = command.createHelp();
  const [argument] = command.registeredArguments;
  return {
    name: command.name(),
    description: command.description(),
    options: help.visibleOptions(command).map(optionOf),
    ...(argument === undefined ? {} : { argument: argumentOf(argument, command, siblings) }),
    commands: help.visibleCommands(command).map((each) => treeOf(each, command.commands)),
  };
}

function argumentOf(argument: Argument, command: Command, siblings: readonly Command[]): Place {
  // The `help` that every command has takes the name of another one.
  return command.name() === 'help'
    ? { kind: 'words', words: siblings.map((each) => each.name()) }
    : placeOf(argument, argument.name());
}

function optionOf(option: Option): TreeOption {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined && flag !== null);
  const takesValue = option.required || option.optional;
  const name = /[<[](.*)[>\]]/.exec(option.flags)?.[1] ?? '';
  return {
    flags,
    description: option.description,
    ...(takesValue ? { value: placeOf(option, name) } : {}),
  };
}

function placeOf({ argChoices }: Argument | Option, name: string): Place {
  if (argChoices !== undefined) return { kind: 'words', words: argChoices };
  return { kind: name === 'file' ? 'file' : 'text' };
}
