/** Completion for bash, which does not require the package bash-completion. */
import { everywhere, type Flag, type Node } from './tree.ts';

/** An option with a value, as a pattern for the command and the option's name. */
type ValueCase = { pattern: string; flag: Flag };

export function bashCompletion(nodes: readonly Node[]): string {
  const shared = everywhere(nodes);
  const cases: ValueCase[] = [
    ...shared.map((flag) => ({ pattern: flag.names.map((name) => `*' ${name}'`).join(' | '), flag })),
    ...nodes.flatMap((node) =>
      node.flags
        .filter((flag) => flag.value !== undefined && !shared.includes(flag))
        .map((flag) => ({
          pattern: flag.names.map((name) => `'${pathOf(node)} ${name}'`).join(' | '),
          flag,
        })),
    ),
  ];
  const below = nodes.filter(({ path }) => path.length > 0).map(pathOf);
  return `# bash completion for claude-relay. Generated from the commands and options of claude-relay help.

_claude_relay() {
  local IFS=$' \\t\\n' current=\${COMP_WORDS[COMP_CWORD]} path= option= words= flags= index word
  COMPREPLY=()
  # The command before the cursor, and the option whose value is at the cursor.
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    if [[ -n $option ]]; then
      # bash splits --option=value at the sign.
      [[ $word == = ]] || option=
      continue
    fi
    case "$path $word" in
${cases.map(({ pattern }) => `      ${pattern}) option="$path $word" ;;`).join('\n')}
    esac
    case "$path/$word" in
${below.map((path) => `      ${path}) path+=/$word ;;`).join('\n')}
    esac
  done
  if [[ -n $option ]]; then
    [[ $current != = ]] || current=
    case $option in
${cases.flatMap(valueWords).join('\n')}
    esac
  else
    case $path in
${nodes.flatMap((node) => nodeWords(node, shared)).join('\n')}
    esac
    [[ $current != -* ]] || words=$flags
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}

complete -F _claude_relay claude-relay
`;
}

function valueWords({ pattern, flag: { value } }: ValueCase): string[] {
  // bash itself completes the names of files, with their spaces and ~.
  if (value?.isFile === true) return [`      ${pattern}) compopt -o default 2>/dev/null ;;`];
  return value === undefined || value.words.length === 0
    ? []
    : [`      ${pattern}) words='${value.words.join(' ')}' ;;`];
}

/** Where nothing else can follow, the options are offered without a dash. */
function nodeWords({ path, flags, commands, argument }: Node, shared: readonly Flag[]): string[] {
  const names = [...new Set([...flags, ...shared])].flatMap((flag) => flag.names).join(' ');
  const words = [...commands.map(({ name }) => name), ...(argument?.words ?? [])].join(' ');
  const offered = words === '' && argument === undefined ? '$flags' : `'${words}'`;
  return flags.length === 0 && words === ''
    ? []
    : [`      '${pathOf({ path })}') flags='${names}' words=${offered} ;;`];
}

function pathOf({ path }: Pick<Node, 'path'>): string {
  return path.map((name) => `/${name}`).join('');
}
