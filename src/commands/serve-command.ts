import type { Command } from 'commander';
import type { Config } from '../config.ts';
import { CommandError } from '../command-error.ts';
import { demo } from './demo.ts';
import { serve } from './serve.ts';

export function addServeCommand(program: Command, config: () => Config): void {
  program
    .command('serve')
    .description('run the relay in the foreground')
    .option('--demo', 'no login, no internet: the real CLI, a stand-in for the model, canned answers')
    .option('--once', 'with --demo: make one call, then stop')
    .action(async (options: { demo?: boolean; once?: boolean }) => {
      if (options.demo === true) await demo(config(), options.once === true);
      else if (options.once === true) throw new CommandError('--once requires --demo.');
      else await serve(config());
    });
}
