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
import { addHelpCommand, addSections, helpLook } from './help.ts';
import { addInstallCommand } from './install.ts';
import { addKeyCommand } from './key.ts';
import { addLoginCommand } from './login.ts';
import { addLogsCommand } from './logs.ts';
import { addServeCommand } from './serve-command.ts';
import { addUpdateCommand } from './update.ts';
import { addUsageCommand } from './usage.ts';

export function createProgram(defaultFile = settingsFile(processEnv)): Command {
  const program = new Command('claude-relay')
    .description(
      `A secured HTTP API around the Claude Code of this machine.

Your apps send prompts over HTTP, each with its own key and limits. Claude Code runs locked: a prompt cannot touch this machine. The relay proves the lock with the installed version before it serves requests. It listens on 127.0.0.1 only, unless you change that.

Start with "doctor". Then "serve" runs the relay in the foreground, or "install" runs it as a service. "key create" makes a key for an app.`,
    )
    .version(version, '--version', 'the version of the relay')
    .option('--config <file>', 'settings file', defaultFile)
    .helpOption('-h, --help', 'show this help')
    .configureHelp(helpLook)
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
  addHelpCommand(program);
  return addSections(
    program,
    {
      title: 'Files',
      items: [
        [defaultFile, 'the settings, with a login if you save one'],
        ['$XDG_DATA_HOME/claude-relay/relay.db', 'the keys and the records of requests (DATA_DIR)'],
      ],
    },
    {
      title: 'Exit status',
      items: [
        ['0', 'the command succeeded'],
        ['1', 'it failed; a message on stderr says what happened and what to do'],
      ],
    },
    {
      title: 'Examples',
      items: [
        ['claude-relay doctor', 'find problems, and their fixes'],
        ['claude-relay install', 'run the relay as a service'],
        ['KEY=$(claude-relay key create my-app)', 'create a key for an app'],
        ['claude-relay ask "Say hello."', 'send a prompt to the relay'],
      ],
    },
  );
}
