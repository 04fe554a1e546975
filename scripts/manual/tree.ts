/** What a completion offers: the commands and options of `claude-relay help`. */
import type { Command, Option } from 'commander';

/** What follows an option or a command: a file, one of the words, or else anything. */
export type Value = {
  /** `label` of `<label>` */
  name: string;
  isFile: boolean;
  words: readonly string[];
};

export type Flag = {
  /** `-f`, `--follow` */
  names: readonly string[];
  description: string;
  value?: Value;
};

export type Node = {
  /** The names from the program to the command: none for the program. */
  path: readonly string[];
  flags: readonly Flag[];
  commands: readonly { name: string; description: string }[];
  /** The command's first argument. */
  argument?: Value & { variadic: boolean };
};

/** The program's options that are useful after a command, too: those with a value. */
export function everywhere(nodes: readonly Node[]): readonly Flag[] {
  return nodes[0]?.flags.filter(({ value }) => value !== undefined) ?? [];
}

/** The program, each command below it, and each topic of `help`. */
export function nodesOf(program: Command): Node[] {
  const visit = (command: Command, path: readonly string[]): Node[] => {
    const flags = flagsOf(command);
    const node = { path, flags, commands: commandsOf(command), ...argumentOf(command) };
    const below = visible(command).flatMap((each) => visit(each, [...path, each.name()]));
    return command.name() === 'help' ? [{ path, flags, commands: commandsOf(program) }] : [node, ...below];
  };
  const topics = (command: Command, path: readonly string[]): Node[] =>
    visible(command).flatMap((each) => {
      const below = [...path, each.name()];
      const topic: Node = { path: below, flags: [], commands: commandsOf(each) };
      return [topic].concat(topics(each, below));
    });
  return [...visit(program, []), ...topics(program, ['help'])];
}

function visible(command: Command): Command[] {
  return command.createHelp().visibleCommands(command);
}

function commandsOf(command: Command): Node['commands'] {
  const help = command.createHelp();
  return visible(command).map((each) => ({
    name: each.name(),
    description: help.subcommandDescription(each),
  }));
}

function flagsOf(command: Command): Flag[] {
  return command.createHelp().visibleOptions(command).map(flagOf);
}

function flagOf({ short, long, description, flags, argChoices = [] }: Option): Flag {
  const names = [short, long].filter((name) => name !== undefined);
  const [, name] = /<(.+)>/.exec(flags) ?? [];
  if (name === undefined) return { names, description };
  return { names, description, value: { name, isFile: name === 'file', words: argChoices } };
}

function argumentOf({ registeredArguments: [first] }: Command): Pick<Node, 'argument'> {
  if (first === undefined) return {};
  const { argChoices: words = [], variadic } = first;
  return { argument: { name: first.name(), isFile: false, words, variadic } };
}
