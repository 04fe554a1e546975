/** Completion for zsh. */
import { everywhere, type Flag, type Node, type Value } from './tree.ts';

export function zshCompletion(nodes: readonly Node[]): string {
  const shared = everywhere(nodes);
  const offering = nodes.filter(({ flags, commands }) => flags.length > 0 || commands.length > 0);
  const functions = new Set(offering.map(({ path }) => functionOf(path)));
  return `#compdef claude-relay
# zsh completion for claude-relay. Generated from the commands and options of claude-relay help.

${offering.map((node) => (node.commands.length > 0 ? parent(node, shared, functions) : leaf(node, shared))).join('\n\n')}

_claude-relay "$@"
`;
}

function leaf({ path, flags, argument }: Node, shared: readonly Flag[]): string {
  const specs = flagSpecs(flags, shared);
  if (argument !== undefined) specs.push(quoted(`${argument.variadic ? '*' : '1'}${valueSpec(argument)}`));
  return `${functionOf(path)}() {
  _arguments -s -S \\
    ${specs.join(' \\\n    ')}
}`;
}

function parent(
  { path, flags, commands }: Node,
  shared: readonly Flag[],
  functions: ReadonlySet<string>,
): string {
  const below = commands
    .map(({ name }) => ({ name, its: functionOf([...path, name]) }))
    .filter(({ its }) => functions.has(its));
  const rest = `
    rest)
      case $line[1] in
${below.map(({ name, its }) => `        ${name}) ${its} && ret=0 ;;`).join('\n')}
      esac
      ;;`;
  return `${functionOf(path)}() {
  local context curcontext=$curcontext state state_descr line ret=1
  local -A opt_args
  local -a commands=(
${commands.map(({ name, description }) => `    ${quoted(`${name}:${description}`)}`).join('\n')}
  )
  _arguments -C -A '-*' -s -S \\
    ${[...flagSpecs(flags, shared), "'1: :->command'", "'*:: :->rest'"].join(' \\\n    ')} && ret=0
  case $state in
    command) _describe command commands && ret=0 ;;${below.length > 0 ? rest : ''}
  esac
  return ret
}`;
}

/** With the shared ones, once. */
function flagSpecs(flags: readonly Flag[], shared: readonly Flag[]): string[] {
  return [...new Set([...flags, ...shared])].map(flagSpec);
}

function flagSpec({ names, description, value }: Flag): string {
  const forms = names.map((name) => (value !== undefined && name.startsWith('--') ? `${name}=` : name));
  const about = `[${description.replaceAll(/[[\]\\]/g, String.raw`\$&`)}]${value === undefined ? '' : valueSpec(value)}`;
  if (forms.length === 1) return quoted(`${forms.join('')}${about}`);
  return `'(${names.join(' ')})'{${forms.join(',')}}${quoted(about)}`;
}

function valueSpec({ name, isFile, words }: Value): string {
  if (isFile) return `:${name}:_files`;
  return `:${name}:${words.length > 0 ? `(${words.join(' ')})` : ' '}`;
}

function functionOf(path: readonly string[]): string {
  return ['_claude-relay', ...path].join('-');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
