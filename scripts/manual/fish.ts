/** Completion for fish. */
import { everywhere, type Flag, type Node, type Value } from './tree.ts';

export function fishCompletion(nodes: readonly Node[]): string {
  const shared = everywhere(nodes);
  const below = nodes.filter(({ path }) => path.length > 0);
  const valueNames = nodes.flatMap(({ path, flags }) =>
    flags
      .filter((flag) => flag.value !== undefined && !shared.includes(flag))
      .flatMap(({ names }) => names.map((name) => quoted([...path, name].join(' ')))),
  );
  const sharedNames = shared.flatMap(({ names }) => names.map((name) => quoted(`*${name}`)));
  return `# fish completion for claude-relay. Generated from the commands and options of claude-relay help.

# Whether these words are the command before the cursor.
function __claude_relay_at
    set -l path
    set -l option
    for word in (commandline -opc)[2..]
        if test -n "$option"
            set option
            continue
        end
        switch (string join -- ' ' $path $word)
            case ${[...sharedNames, ...valueNames].join(' ')}
                set option $word
            case ${below.map(({ path }) => quoted(path.join(' '))).join(' ')}
                set -a path $word
        end
    end
    test "$path" = "$argv"
end

complete -c claude-relay -f
${shared.map((flag) => `complete -c claude-relay ${flagWords(flag)}`).join('\n')}
${nodes.flatMap((node) => lines(node, shared)).join('\n')}
`;
}

function lines({ path, flags, commands, argument }: Node, shared: readonly Flag[]): string[] {
  const condition = ['__claude_relay_at', ...path].join(' ');
  const words = argument?.words ?? [];
  return [
    ...commands.map(({ name, description }) => `-a ${name} -d ${quoted(description)}`),
    ...(words.length > 0 ? [`-a ${quoted(words.join(' '))}`] : []),
    ...flags.filter((flag) => !shared.includes(flag)).map(flagWords),
  ].map((offer) => `complete -c claude-relay -n ${quoted(condition)} ${offer}`);
}

function flagWords({ names, description, value }: Flag): string {
  const words = names.map((name) => name.replace(/^--/, '-l ').replace(/^-(?=\w$)/, '-s '));
  return [...words, ...(value === undefined ? [] : valueWords(value)), '-d', quoted(description)].join(' ');
}

function valueWords({ isFile, words }: Value): string[] {
  if (isFile) return ['-r', '-F'];
  return words.length > 0 ? ['-x', '-a', quoted(words.join(' '))] : ['-x'];
}

function quoted(text: string): string {
  return `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`;
}
