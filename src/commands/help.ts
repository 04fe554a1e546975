/** How help looks, and what it has in addition to commander's lists. `scripts/manual.ts` writes the man page from the same texts. */
import { Help, type Argument, type Command, type HelpConfiguration, type Option } from 'commander';
import { CommandError } from '../command-error.ts';

export type HelpSection = {
  title: 'Environment' | 'Files' | 'Exit status' | 'Examples';
  items: readonly (readonly [term: string, meaning: string])[];
};

const sections = new WeakMap<Command, readonly HelpSection[]>();

/** Sections for the end of the command's help. */
export function addSections(command: Command, ...added: readonly HelpSection[]): Command {
  sections.set(command, added);
  return command;
}

export function sectionsOf(command: Command): readonly HelpSection[] {
  return sections.get(command) ?? [];
}

/** For the program: its commands inherit it. */
export const helpLook: HelpConfiguration = {
  optionDescription,
  argumentDescription,
  // The rest of a description is for the command's own help.
  subcommandDescription: (command) => command.description().split('\n')[0] ?? '',
  formatHelp: (command, help) =>
    [
      Help.prototype.formatHelp.call(help, command, help),
      ...sectionsOf(command).map((section) => `${sectionText(section, help)}\n`),
    ].join('\n'),
};

/** With the choices and the default. */
export function optionDescription(option: Option): string {
  const { description, argChoices, defaultValue, defaultValueDescription } = option;
  const hasDefault = defaultValue !== undefined && (option.required || option.optional);
  const shown = hasDefault ? String(defaultValueDescription ?? defaultValue) : undefined;
  return withDetails(description, argChoices, shown);
}

export function argumentDescription({ description, argChoices }: Argument): string {
  return withDetails(description, argChoices);
}

function withDetails(description: string, choices: readonly string[] = [], shown?: string): string {
  const details = [
    ...(choices.length > 0 ? [choices.join(', ')] : []),
    ...(shown === undefined ? [] : [`default: ${shown}`]),
  ];
  return details.length > 0 ? `${description} (${details.join('; ')})` : description;
}

/** Terms longer than this have their meaning in the next line. */
const longestTerm = 24;

function sectionText({ title, items }: HelpSection, help: Help): string {
  const width = Math.max(...items.map(([term]) => term.length));
  const lines = items.map(([term, meaning]) => {
    // As a comment, so that the whole line can be pasted into a shell.
    if (title === 'Examples') return `  ${term.padEnd(width)}  # ${meaning}`;
    if (width <= longestTerm) return help.formatItem(term, width, meaning, help);
    return `  ${term}\n${help.formatItem('', 2, meaning, help)}`;
  });
  return `${title}:\n${lines.join('\n')}`;
}

/** `help key create`. Commander's own takes the name of one command. */
export function addHelpCommand(program: Command, { hidden = false } = {}): void {
  program
    .command('help', { hidden })
    .argument('[command...]')
    .description('show the help of a command')
    .action((path: readonly string[]) => {
      let command = program;
      for (const name of path) {
        const below = command.commands.find((each) => each.name() === name);
        if (below === undefined) {
          const list = ['claude-relay help', ...path.slice(0, -1)].join(' ');
          throw new CommandError(`There is no command "${path.join(' ')}". List the commands: ${list}`);
        }
        command = below;
      }
      command.outputHelp();
    });
}
