/** `claude-relay usage`: requests, tokens and reckoned cost, by day, model and key. */
import type { Command } from 'commander';
import { CommandError } from '../command-error.ts';
import { openUsage } from '../ledger/usage.ts';
import { parseCount } from './text/parse.ts';
import { withRecords, type CommandContext, type Records } from './context.ts';
import { addSections } from './help.ts';
import { planClosed } from '../service/ready.ts';
import { keyLabels } from './text/key-text.ts';
import { json } from './text/table.ts';
import { totalsByKey, usageCsv, usageJson, usageTables } from './text/usage-text.ts';

type UsageOptions = { key?: string; days: number; hours?: number; json?: boolean; csv?: boolean };

export function addUsageCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('usage')
    .description(
      'show requests, tokens, reckoned cost and the share of hot answers, by day, model and key (UTC)',
    )
    .option('--key <label>', 'only this key')
    .option('--days <n>', 'number of days, including today', parseCount(1, 366), 7)
    .option('--hours <n>', 'by hour: number of hours, including this one', parseCount(1, 48))
    .option('--json', 'as JSON')
    .option('--csv', 'as CSV: one line for each day, key and model')
    .action((options: UsageOptions) => {
      if (options.json === true && options.csv === true) {
        throw new CommandError('Use either --json or --csv.');
      }
      if (options.csv === true && options.hours !== undefined) {
        throw new CommandError('--csv has days only: use it without --hours.');
      }
      return withRecords(context, async (records) =>
        show(records, options, await planClosed(context.relayUrl())),
      );
    });
  addSections(command, {
    title: 'Examples',
    items: [
      ['claude-relay usage --hours 24 --key my-app', 'one key, by hour'],
      ['claude-relay usage --days 31 --csv > usage.csv', 'for a spreadsheet'],
    ],
  });
}

function show(
  { store, keys, terminal, now }: Records,
  { key, days, hours, json: asJson, csv }: UsageOptions,
  closed: string | undefined,
): void {
  const usage = openUsage(store, now);
  const keyId = key === undefined ? undefined : keys.show(key).key.id;
  const period = hours === undefined ? { keyId, days } : { keyId, hours };
  const labels = keyLabels(keys);
  const rows = usage.rows(period);
  if (csv === true) return terminal.out(usageCsv(rows, labels));
  const report = usage.report(period);
  if (asJson === true) {
    return terminal.out(json({ ...usageJson(report, rows, labels, key), plan_closed: closed ?? null }));
  }
  terminal.out(usageTables(report, totalsByKey(rows, labels), key));
  if (closed !== undefined) terminal.out(`\nNow ${closed}.\n`);
}
