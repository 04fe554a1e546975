/** The man page: the texts of `claude-relay help`, and the table of settings. */
import type { Command, Option } from 'commander';
import {
  argumentDescription,
  optionDescription,
  sectionsOf,
  type HelpSection,
} from '../../src/commands/help.ts';
import { loginVariables } from '../../src/config.ts';
import { repository } from '../../src/installation.ts';
import { settingGroups, settings } from '../../src/settings.ts';
import { bold, escaped, filled, italic, usage } from './roff.ts';

/** `date` is `2030-01-31`, or empty. */
export function manualPage(program: Command, { version, date }: { version: string; date: string }): string {
  const [summary = '', ...about] = paragraphs(program);
  const commands = commandsBelow(program);
  const everywhere = (title: HelpSection['title']): string[] =>
    [program, ...commands].flatMap((command) => sectionItems(command, title));
  return [
    String.raw`.\" Generated from the texts of claude-relay help.`,
    `.TH CLAUDE\\-RELAY 1 "${date}" "claude\\-relay ${escaped(version)}" "User Commands"`,
    // Left-aligned and without hyphens, which would look like a part of an option or a name.
    '.ad l',
    '.nh',
    // groff 1.23 sets both again for each paragraph, from these.
    '.ds AD l',
    '.nr HY 0',
    '.SH NAME',
    `claude\\-relay \\- ${escaped(summary.charAt(0).toLowerCase() + summary.slice(1, -1))}`,
    '.SH SYNOPSIS',
    filled(`${bold('claude-relay')} [${usage('--config <file>')}] ${usage('<command> [options]')}`),
    '.br',
    filled(`${bold('claude-relay help')} ${usage('[command...]')}`),
    '.SH DESCRIPTION',
    ...inParagraphs(about),
    '.SH OPTIONS',
    'These options work with every command.',
    ...program.createHelp().visibleOptions(program).map(optionItem),
    '.SH COMMANDS',
    ...commands.flatMap(commandSection),
    '.SH SETTINGS',
    ...settingsSections(),
    '.SH ENVIRONMENT',
    prose('Each setting is also read from the environment. In addition:'),
    ...everywhere('Environment'),
    '.SH FILES',
    ...everywhere('Files'),
    '.PP',
    prose(
      'Where these variables are not set, $XDG_CONFIG_HOME is ~/.config, $XDG_DATA_HOME is ~/.local/share, and $XDG_CACHE_HOME is ~/.cache.',
    ),
    '.SH EXIT STATUS',
    ...sectionItems(program, 'Exit status'),
    '.SH EXAMPLES',
    ...sectionItems(program, 'Examples'),
    '.SH SEE ALSO',
    `${bold('systemctl')}(1), ${bold('journalctl')}(1), ${bold('loginctl')}(1)`,
    '.PP',
    // Not as a link: some terminals would show its text only.
    'The documents, and a place to report a problem:',
    '.br',
    escaped(repository),
    '',
  ].join('\n');
}

/** The visible commands below a command, each before its own commands. */
function commandsBelow(command: Command): Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .flatMap((below) => [below].concat(commandsBelow(below)));
}

function commandSection(command: Command): string[] {
  const help = command.createHelp();
  const groups = Map.groupBy(
    help.visibleOptions(command).filter(({ long }) => long !== '--help'),
    ({ helpGroupHeading }) => helpGroupHeading ?? 'Options:',
  );
  return [
    `.SS ${usage(help.commandUsage(command).replace(' [options]', ''))}`,
    ...inParagraphs(paragraphs(command)),
    ...command.registeredArguments
      .filter(({ description }) => description !== '')
      .map((argument) => item(italic(argument.name()), sentence(argumentDescription(argument)))),
    ...[...groups].flatMap(([heading, options]) => {
      const items = options.map(optionItem);
      return groups.size > 1 ? titled(heading, items) : items;
    }),
    ...(['Exit status', 'Examples'] as const).flatMap((title) =>
      titled(`${title}:`, sectionItems(command, title)),
    ),
  ];
}

function settingsSections(): string[] {
  return [
    prose(
      'The relay reads its settings from the file of --config, one NAME=value a line, and from the environment, which takes precedence. Restart the relay to use a change; for the service, run `claude-relay install` again. Each setting is shown with its default.',
    ),
    ...settingGroups.flatMap(({ title, settings: group }) =>
      [`.SS ${escaped(title)}`].concat(
        group.map(({ name, default: value, description }) =>
          item(`${bold(name)}=${escaped(value)}`, description),
        ),
      ),
    ),
    '.SS Login',
    prose(
      'The file can also hold a separate login for the relay. Make it readable by you alone then: `chmod 600`.',
    ),
    ...[...loginVariables].map(([name, meaning]) => item(bold(name), meaning)),
  ];
}

function sectionItems(command: Command, title: HelpSection['title']): string[] {
  return sectionsOf(command)
    .filter((section) => section.title === title)
    .flatMap(({ items }) => items.map(([term, meaning]) => item(bold(term), sentence(meaning))));
}

function titled(title: string, items: readonly string[]): string[] {
  return items.length === 0 ? [] : ['.PP', bold(title), ...items];
}

function optionItem(option: Option): string {
  return item(usage(option.flags), sentence(optionDescription(option)));
}

/** `tag` is roff. */
function item(tag: string, text: string): string {
  return `.TP\n${tag}\n${prose(text)}`;
}

function paragraphs(command: Command): string[] {
  return command.description().split('\n\n').map(sentence);
}

function inParagraphs(texts: readonly string[]): string[] {
  return texts.flatMap((text, index) => (index === 0 ? [prose(text)] : ['.PP', prose(text)]));
}

/** A line of help as a sentence. */
function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
}

/** Code, options, and names of settings are bold. */
function prose(text: string): string {
  const parts = text.split(/(`[^`]+`|(?<![\w-])--[a-z][a-z-]*|(?<![\w$])[A-Z][A-Z_]+(?!\w))/);
  return filled(
    parts
      .map((part) => {
        if (part.startsWith('`')) return bold(part.slice(1, -1));
        return part.startsWith('--') || isName(part) ? bold(part) : escaped(part);
      })
      .join(''),
  );
}

function isName(text: string): boolean {
  return settings.has(text) || loginVariables.has(text);
}
