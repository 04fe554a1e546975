/** `claude-relay doctor`: what stands between this machine and a working relay, line by line. It changes nothing. */
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
    .description(
      'check this machine and prove the lock, line by line, with the command that mends what is wrong',
    )
    .option('--json', 'one JSON document instead of lines')
    .action(async (options: { json?: boolean }) => {
      const lines = await examine(context, processTerminal(), options.json === true);
      if (lines.some((line) => line.state === 'failure')) process.exitCode = 1;
    });
  withExamples(
    command,
    [
      ['claude-relay doctor', 'every line, in some seconds; the relay may run meanwhile'],
      ['claude-relay doctor --json', 'for a program: ok, and checks with name, state, detail and fix'],
    ],
    'Exit status: 0 when nothing failed (there may be warnings), 1 when something did.',
  );
}

/** Prints each line as it comes. */
async function examine(context: DoctorContext, terminal: Terminal, json: boolean): Promise<Line[]> {
  const lines: Line[] = [];
  let pendingFix: string | undefined;
  const printFix = (): void => {
    if (!json && pendingFix !== undefined) terminal.out(fixText(terminal, pendingFix));
  };
  for await (const line of everyLine(context, terminal)) {
    // What several lines in a row have as their remedy is said once.
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
    // The rest depends on them.
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
    `the relay keeps its data elsewhere than in ${dataDir}: keys that are made with these settings do not count for it`,
    'give both the same DATA_DIR (one may be set in the environment only)',
  );
}

function nodeLine(version: string): Line {
  return Number(version.split('.')[0]) >= 24
    ? ok('node', `v${version}`)
    : failure('node', `v${version}, and 24 or newer is needed`, 'npm ci, which brings one');
}
