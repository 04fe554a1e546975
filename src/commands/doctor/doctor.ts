/** `claude-relay doctor`: reports line by line what keeps the relay from working on this machine. It changes nothing. */
import type { Command } from 'commander';
import { ConfigError, type Config } from '../../config.ts';
import { relayState } from '../../service/state.ts';
import { runOnBus } from '../../service/user-manager.ts';
import { waitMs, type SettingsContext } from '../context.ts';
import { addSections } from '../help.ts';
import { json } from '../text/table.ts';
import { processTerminal } from '../text/terminal.ts';
import { claudeLines } from './claude.ts';
import { diskLines } from './disk.ts';
import { lineText, summary, type Line } from './line.ts';
import { relayLines } from './relay.ts';
import { serviceLines, tunnelLines } from './service.ts';
import { settingsFailures, settingsLines } from './settings.ts';

export function addDoctorCommand(program: Command, context: SettingsContext): void {
  const command = program
    .command('doctor')
    .description('check this machine and prove the lock; each problem has the command that fixes it')
    .option('--json', 'print one JSON document')
    .action((options: { json?: boolean }) => examine(context, options.json === true));
  addSections(command, {
    title: 'Exit status',
    items: [
      ['0', 'no check failed; warnings are possible'],
      ['1', 'a check failed'],
    ],
  });
}

/** Prints each line as soon as it is known. */
async function examine(context: SettingsContext, asJson: boolean): Promise<void> {
  const terminal = processTerminal();
  const lines: Line[] = [];
  for await (const line of doctorLines(context)) {
    if (!asJson) terminal.out(lineText(line, lines.at(-1)?.fix));
    lines.push(line);
  }
  const failed = lines.some(({ state }) => state === 'failure');
  const checks = lines.map(({ fix = null, ...line }) => ({ ...line, ok: line.state !== 'failure', fix }));
  terminal.out(asJson ? json({ ok: !failed, checks }) : `\n${summary(lines)}`);
  if (failed) process.exitCode = 1;
}

export type DoctorOptions = {
  /** Milliseconds that a locked database can block the thread. */
  waitMs?: number;
  /** Ends the checks early. */
  signal?: AbortSignal;
};

/** Never throws for what it finds. */
export async function* doctorLines(
  context: SettingsContext,
  { waitMs: lockWaitMs = waitMs, signal }: DoctorOptions = {},
): AsyncGenerator<Line> {
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
  yield* claudeLines(config, signal);
  const run = runOnBus(config.hostEnv, signal);
  const service = await relayState(run);
  yield* await relayLines(config, service);
  yield* await serviceLines(service, run);
  yield* diskLines(config, Date.now(), lockWaitMs);
  yield* await tunnelLines(config, run);
}
