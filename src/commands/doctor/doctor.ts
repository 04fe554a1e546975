/** `claude-relay doctor`: reports line by line what keeps the relay from working on this machine. It changes nothing. */
import type { Command } from 'commander';
import { ConfigError, type Config } from '../../config.ts';
import { claudeLines } from './claude.ts';
import { examineDisk } from './disk.ts';
import { failure, fixText, lineJson, lineText, ok, summary, warning, type Line } from './line.ts';
import { relayLines } from './relay.ts';
import { serviceLines, tunnelLines } from './service.ts';
import { settingsFailures, settingsLines } from './settings.ts';
import { withExamples } from '../text/parse.ts';
import { relayState } from '../../service/state.ts';
import { runOnBus } from '../../service/user-manager.ts';
import { processTerminal, type Terminal } from '../text/terminal.ts';

export type DoctorContext = { config(): Config; configFile(): string };

export function addDoctorCommand(program: Command, context: DoctorContext): void {
  const command = program
    .command('doctor')
    .description('check this machine and prove the lock; each problem has the command that fixes it')
    .option('--json', 'print one JSON document')
    .action(async (options: { json?: boolean }) => {
      const lines = await examine(context, processTerminal(), options.json === true);
      if (lines.some((line) => line.state === 'failure')) process.exitCode = 1;
    });
  withExamples(
    command,
    [
      ['claude-relay doctor', 'run all checks, in a few seconds; the relay may be running'],
      ['claude-relay doctor --json', 'for a program: ok, and checks with name, state, detail and fix'],
    ],
    'Exit status: 0 if no check failed (warnings are possible), 1 if a check failed.',
  );
}

/** Prints each line as soon as it is known. */
async function examine(context: DoctorContext, terminal: Terminal, json: boolean): Promise<Line[]> {
  const lines: Line[] = [];
  let pendingFix: string | undefined;
  const printFix = (): void => {
    if (!json && pendingFix !== undefined) terminal.out(fixText(terminal, pendingFix));
  };
  for await (const line of everyLine(context, terminal)) {
    // Prints a fix once that several lines in a row share.
    if (line.fix !== pendingFix) {
      printFix();
      pendingFix = line.fix;
    }
    lines.push(line);
    if (!json) terminal.out(lineText(terminal, line));
  }
  printFix();
  if (json) {
    const document = { ok: lines.every((line) => line.state !== 'failure'), checks: lines.map(lineJson) };
    terminal.out(`${JSON.stringify(document, null, 2)}\n`);
  } else terminal.out(`\n${summary(lines)}`);
  return lines;
}

async function* everyLine(context: DoctorContext, terminal: Terminal): AsyncGenerator<Line> {
  yield nodeLine(process.versions.node);
  let config: Config;
  try {
    config = context.config();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    // Every other check needs valid settings.
    yield* settingsFailures(error.problems, context.configFile());
    return;
  }
  yield* settingsLines(config, context.configFile());
  yield* claudeLines(config, terminal);
  const run = runOnBus(config.hostEnv);
  const service = await relayState(run);
  const askedAt = Date.now();
  const { lines, asked } = await relayLines(config, service);
  yield* lines;
  yield* await serviceLines(service, run);
  const disk = examineDisk(config, Date.now());
  // To answer /ready the relay writes a row of its database, once a second at most.
  if (asked && disk.writtenAt < askedAt - 1500) yield otherDataLine(config);
  yield* disk.lines;
  yield* await tunnelLines(config, disk.liveKeys, run);
}

function otherDataLine({ dataDir }: Config): Line {
  return warning(
    'relay-data',
    `the relay keeps its data in another directory than ${dataDir}: keys created with these settings are not valid for it`,
    'give both the same DATA_DIR (perhaps only the environment of one sets it)',
  );
}

function nodeLine(version: string): Line {
  return Number(version.split('.')[0]) >= 24
    ? ok('node', `v${version}`)
    : failure('node', `v${version}, but 24 or newer is required`, 'npm ci, which installs one');
}
