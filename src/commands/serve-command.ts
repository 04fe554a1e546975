import type { Command } from 'commander';
import { closeInherited } from '../claude/seal/inherited.ts';
import { CommandError } from '../command-error.ts';
import type { SettingsContext } from './context.ts';
import { addSections } from './help.ts';

export function addServeCommand(program: Command, context: SettingsContext): void {
  const command = program
    .command('serve')
    .description('run the relay in the foreground')
    .option('--demo', 'no login, no internet: the real CLI, a stand-in for the model, canned answers')
    .option('--once', 'with --demo: make one call, then stop')
    .action(async (options: { demo?: boolean; once?: boolean }) => {
      closeInherited();
      // Loaded here, because the relay takes most of the time that a program with all commands takes to load.
      if (options.demo === true) {
        const { demo } = await import('./demo.ts');
        return demo(context.config(), options.once === true);
      }
      if (options.once === true) throw new CommandError('--once requires --demo.');
      const { serve } = await import('./serve.ts');
      return serve(context);
    });
  addSections(command, {
    title: 'Examples',
    items: [['claude-relay serve --demo', 'try the relay without a login']],
  });
}
