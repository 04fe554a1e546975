/** All commands, with their options, help and examples: what `main` runs and the documents are held to. */
import { Command } from 'commander';
import { loadConfig, processEnv, type Config } from '../config.ts';
import { version } from '../installation.ts';
import { localUrl } from '../service/ready.ts';
import { settingsFile } from '../service/settings-file.ts';
import { addAskCommand } from './ask.ts';
import { addDashboardCommand } from './dashboard.ts';
import { addDoctorCommand } from './doctor/doctor.ts';
import { addExposeCommand } from './expose.ts';
import { addInstallCommand } from './install.ts';
import { addKeyCommand } from './key.ts';
import { addLoginCommand } from './login.ts';
import { addLogsCommand } from './logs.ts';
import { addServeCommand } from './serve-command.ts';
import { addUpdateCommand } from './update.ts';
import { addUsageCommand } from './usage.ts';

export function createProgram(): Command {
  const program = new Command('claude-relay')
    .description('A secured HTTP API around the Claude Code of this machine.')
    .version(version, '--version', 'the version of the relay')
    .option('--config <file>', 'settings file', settingsFile(processEnv))
    .showHelpAfterError('(see --help)');
  const configFile = (): string => program.opts<{ config: string }>().config;
  const config = (): Config => loadConfig({ file: configFile() });
  const settings = { config, configFile };
  const records = { dataDir: () => config().dataDir, relayUrl: () => localUrl(config()), models: config };

  addServeCommand(program, settings);
  addDoctorCommand(program, settings);
  addLoginCommand(program, settings);
  addAskCommand(program, config);
  addKeyCommand(program, records);
  addUsageCommand(program, records);
  addDashboardCommand(program, config);
  addLogsCommand(program, records);
  addInstallCommand(program, settings);
  addUpdateCommand(program);
  addExposeCommand(program, settings);
  return program.addHelpText(
    'after',
    `
Examples:
  claude-relay doctor                      # find problems, and the commands that fix them
  claude-relay key create my-app           # create a key for an app
  claude-relay ask "Say hello."            # send one prompt to the running relay
  git diff | claude-relay ask "Review:" -  # words, then stdin`,
  );
}
