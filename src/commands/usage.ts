/** `claude-relay usage`: requests, tokens and cost, by day, model and key. */
import type { Command } from 'commander';
import { CommandError } from '../command-error.ts';
import { openUsage } from '../ledger/usage.ts';
import { parseCount } from './text/parse.ts';
import { withRecords, type CommandContext, type Records } from './context.ts';
import { planClosed } from '../service/ready.ts';
import { keyLabels } from './text/key-text.ts';
import { json } from './text/table.ts';
import { totalsByKey, usageCsv, usageJson, usageTables } from './text/usage-text.ts';

type UsageOptions = { key?: string; days: number; json?: boolean; csv?: boolean };

export function addUsageCommand(program: Command, context: CommandContext): void {
  program
    .command('usage')
    .description('show requests, tokens, cost and the share of hot answers by day, model and key (UTC days)')
    .option('--key <label>', 'only this key')
    .option('--days <n>', 'number of days, including today', parseCount(1, 366), 7)
    .option('--json', 'as JSON')
    .option('--csv', 'as CSV: one line for each day, key and model')
    .action((options: UsageOptions) => {
      if (options.json === true && options.csv === true) {
        throw new CommandError('Use either --json or --csv.');
      }
      return withRecords(context, async (records) =>
        show(records, options, await planClosed(context.relayUrl())),
      );
    });
}

function show(
  { store, keys, terminal, now }: Records,
  { key, days, json: asJson, csv }: UsageOptions,
  closed: string | undefined,
): void {
  const usage = openUsage(store, now);
  const period = { days, ...(key !== undefined && { keyId: keys.show(key).key.id }) };
  const labels = keyLabels(keys);
  const rows = usage.rows(period);
  if (csv === true) return terminal.out(usageCsv(rows, labels));
  const report = usage.report(period);
  const byKey = totalsByKey(rows, labels);
  if (asJson === true) {
    return terminal.out(json({ ...usageJson(report, byKey, key), plan_closed: closed ?? null }));
  }
  terminal.out(usageTables(report, byKey, key));
  if (closed !== undefined) terminal.out(`\nNow ${closed}.\n`);
}
