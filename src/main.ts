/** argv -> a command. */
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { CliMissing } from './claude/cli.ts';
import { CommandError } from './commands/command-error.ts';
import { demo } from './commands/demo.ts';
import { doctor } from './commands/doctor.ts';
import { addKeyCommand } from './commands/key.ts';
import { addLogsCommand } from './commands/logs.ts';
import { serve } from './commands/serve.ts';
import { processTerminal } from './commands/terminal.ts';
import { addUsageCommand } from './commands/usage.ts';
import { ConfigError, loadConfig, type Config } from './config.ts';
import { StoreError } from './store/errors.ts';

const defaultFile = fileURLToPath(new URL('../config.env', import.meta.url));

const program = new Command('claude-relay')
  .description('A secured HTTP API around the Claude Code of this machine.')
  .option('--config <file>', 'settings file', defaultFile)
  .showHelpAfterError('(--help shows what there is)');

const config = (): Config => loadConfig({ file: program.opts<{ config: string }>().config });

program
  .command('serve')
  .description('run the relay in the foreground')
  .option('--demo', 'no login, no internet: the real CLI, a stand-in for the model, canned answers')
  .option('--once', 'with --demo: stop after the one call it makes')
  .action(async (options: { demo?: boolean; once?: boolean }) => {
    if (options.demo === true) await demo(config(), options.once === true);
    else if (options.once === true) throw new CommandError('--once goes with --demo.');
    else await serve(config());
  });

program
  .command('doctor')
  .description('check this machine and prove the lock, line by line')
  .option('--json', 'one JSON document instead of lines')
  .action(async (options: { json?: boolean }) => {
    if (!(await doctor(config(), processTerminal(), options.json === true))) process.exitCode = 1;
  });

const records = { dataDir: () => config().dataDir };
addKeyCommand(program, records);
addUsageCommand(program, records);
addLogsCommand(program, records);

try {
  await program.parseAsync();
} catch (error) {
  const known = [CommandError, ConfigError, CliMissing, StoreError].some((kind) => error instanceof kind);
  if (!known) throw error;
  process.stderr.write(`claude-relay: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
