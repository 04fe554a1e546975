/** The completion scripts of three shells, out of one tree. Pure. */
import type { Place, TreeCommand, TreeOption } from './completion-tree.ts';

type Flat = { path: readonly string[]; command: TreeCommand };

/** A command and those below it, each with the words that lead to it. */
function flatten(command: TreeCommand, path: readonly string[] = []): Flat[] {
  return [{ path, command }, ...command.commands.flatMap((each) => flatten(each, [...path, each.name]))];
}

function flagsOf(options: readonly TreeOption[]): string[] {
  return options.flatMap(({ flags }) => flags);
}

/** In single quotes, for each of the three shells. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

export function bashScript(root: TreeCommand): string {
  const name = root.name;
  const all = flatten(root);
  const words = (place: Place | undefined): string => (place?.kind === 'words' ? place.words.join(' ') : '');
  const cases = all.map(({ path, command }) => {
    const values = command.options.flatMap(({ flags, value }) =>
      value === undefined ? [] : [`        ${flags.join('|')}) ${bashValue(value)} ;;\n`],
    );
    const subcommands = command.commands.map((each) => each.name).join(' ');
    return `    ${quoted(path.join(' '))})
      case $previous in
${values.join('')}      esac
      [[ $current == -* ]] && words=${quoted(flagsOf(command.options).join(' '))} || words=${quoted(`${subcommands} ${words(command.argument)}`.trim())}
      ;;
`;
  });
  const known = all.flatMap(({ path }) => (path.length === 0 ? [] : [quoted(path.join(' '))]));
  const valued = flagsOf(
    all.flatMap(({ command }) => command.options.filter((option) => option.value !== undefined)),
  );
  return `# bash completion of ${name}: source <(${name} completion bash)
_claude_relay() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} path= words= word i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case $word in
      ${[...new Set(valued)].join('|')}) ((i++)); continue ;;
    esac
    case "\${path:+$path }$word" in
      ${known.join('|')}) path="\${path:+$path }$word" ;;
    esac
  done
  case $path in
${cases.join('')}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _claude_relay ${name}
`;
}

function bashValue(value: Place): string {
  switch (value.kind) {
    case 'file':
      return `local IFS=$'\\n'; compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return`;
    case 'words':
      return `COMPREPLY=($(compgen -W ${quoted(value.words.join(' '))} -- "$current")); return`;
    case 'text':
      return 'return';
  }
}

export function zshScript(root: TreeCommand): string {
  const functions = flatten(root).map(({ path, command }) => {
    const options = command.options.flatMap(zshOption);
    const argument = command.argument === undefined ? [] : [quoted(`*: :${zshAction(command.argument)}`)];
    const body =
      command.commands.length === 0
        ? `  _arguments ${[...options, ...argument].join(' \\\n    ')}\n`
        : `  local -a commands
  local context state line
  _arguments -C ${[...options, quoted('1: :->command'), quoted('*:: :->rest')].join(' \\\n    ')}
  case $state in
    command)
      commands=(${command.commands.map((each) => `\n        ${quoted(`${each.name}:${each.description.replaceAll(':', '\\:')}`)}`).join('')}
      )
      _describe command commands
      ;;
    rest)
      case $line[1] in
${command.commands.map((each) => `        ${each.name}) ${zshName([...path, each.name])} ;;\n`).join('')}      esac
      ;;
  esac
`;
    return `${zshName(path)}() {\n${body}}\n`;
  });
  return `#compdef ${root.name}
# zsh completion of ${root.name}: source <(${root.name} completion zsh), or a file of this in $fpath
${functions.join('')}if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  ${zshName([])} "$@"
else
  compdef ${zshName([])} ${root.name}
fi
`;
}

function zshName(path: readonly string[]): string {
  return ['_claude_relay', ...path].join('_');
}

function zshOption({ flags, description, value }: TreeOption): string[] {
  const text = description.replaceAll(/[\][:\\]/g, (character) => `\\${character}`);
  const exclusive = flags.length > 1 ? `(${flags.join(' ')})` : '';
  return flags.map((flag) => {
    const after = value === undefined ? '' : flag.startsWith('--') ? '=' : '';
    const action = value === undefined ? '' : `: :${zshAction(value)}`;
    return quoted(`${exclusive}${flag}${after}[${text}]${action}`);
  });
}

function zshAction(place: Place): string {
  switch (place.kind) {
    case 'file':
      return '_files';
    case 'words':
      return `(${place.words.join(' ')})`;
    case 'text':
      return ' ';
  }
}

export function fishScript(root: TreeCommand): string {
  const all = flatten(root);
  const name = root.name;
  const valued = [
    ...new Set(
      flagsOf(all.flatMap(({ command }) => command.options.filter((option) => option.value !== undefined))),
    ),
  ];
  const lines = all.flatMap(({ path, command }) => {
    const here = `-n ${quoted(`__claude_relay_at ${path.join(' ')}`.trim())}`;
    return [
      ...command.commands.map(
        (each) => `complete -c ${name} ${here} -a ${each.name} -d ${quoted(each.description)}`,
      ),
      ...(command.argument?.kind === 'words'
        ? [`complete -c ${name} ${here} -a ${quoted(command.argument.words.join(' '))}`]
        : []),
      ...command.options.map(({ flags, description, value }) =>
        [
          `complete -c ${name} ${here}`,
          ...flags.map(fishFlag),
          ...fishValue(value),
          `-d ${quoted(description)}`,
        ].join(' '),
      ),
    ];
  });
  return `# fish completion of ${name}: ${name} completion fish | source
function __claude_relay_path
    set -l known ${all.flatMap(({ path }) => (path.length === 0 ? [] : [quoted(path.join(' '))])).join(' ')}
    set -l valued ${valued.join(' ')}
    set -l words (commandline -opc)
    set -e words[1]
    set -l path
    set -l skip 0
    for word in $words
        if test $skip = 1
            set skip 0
        else if contains -- $word $valued
            set skip 1
        else if contains -- (string join ' ' $path $word) $known
            set path $path $word
        end
    end
    string join ' ' $path
end
function __claude_relay_at
    test (__claude_relay_path | string collect -a) = (string join ' ' $argv | string collect -a)
end
complete -c ${name} -f
${lines.join('\n')}
`;
}

function fishFlag(flag: string): string {
  return flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`;
}

function fishValue(value: Place | undefined): string[] {
  if (value === undefined) return [];
  switch (value.kind) {
    case 'file':
      return ['-r', '-F'];
    case 'words':
      return ['-x', `-a ${quoted(value.words.join(' '))}`];
    case 'text':
      return ['-x'];
  }
}
