/** `claude-relay completion bash|zsh|fish`: prints a script that completes what the program has. */
import { Argument, type Command } from 'commander';
import { bashScript, fishScript, zshScript } from './completion-scripts.ts';
import { treeOf } from './completion-tree.ts';
import { withExamples } from './text/parse.ts';
import { processTerminal } from './text/terminal.ts';

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

export function addCompletionCommand(program: Command): void {
  const command = program
    .command('completion')
    .description('print the completion of a shell')
    .addArgument(new Argument('<shell>', 'which shell').choices(Object.keys(scripts)))
    .action((shell: keyof typeof scripts) => processTerminal().out(scripts[shell](treeOf(program))));
  withExamples(command, [
    ['source <(claude-relay completion bash)', 'in ~/.bashrc'],
    ['source <(claude-relay completion zsh)', 'in ~/.zshrc, after compinit'],
    ['claude-relay completion fish | source', 'in ~/.config/fish/config.fish'],
  ]);
}
