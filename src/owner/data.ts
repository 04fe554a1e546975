/** The numbers of the owner's page: the JSON that /ready and the commands print, read once for each view. */
import type { ReadyResponse } from '../api.ts';
import type { UsageReader } from '../claude/usage-windows.ts';
import { keyJson, keyLabels, type KeyJson } from '../commands/text/key-text.ts';
import { failure, type Line } from '../commands/doctor/line.ts';
import type { Config } from '../config.ts';
import { limitsOf } from '../http/identify.ts';
import { details, type DetailsParts } from '../http/routes/health.ts';
import { limitsBody } from '../http/routes/usage.ts';
import { relayCommand } from '../installation.ts';
import type { Key } from '../keys/key.ts';
import type { Keys } from '../keys/store.ts';
import { latest } from '../latest.ts';
import { openLedgerReader, type Failures, type NumberedRow, type RowFilter } from '../ledger/reader.ts';
import { openUsage, type UsagePeriod } from '../ledger/usage.ts';
import type { Admission } from '../limits/admission.ts';
import { billedOn, spentOn } from '../limits/spending.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { openDailyCounts } from '../store/daily.ts';
import type { Store } from '../store/sqlite.ts';
import { utcDay } from '../time.ts';

export type OwnerData = ReturnType<typeof openOwnerData>;

export type OwnerDataParts = DetailsParts & {
  store: Store;
  keys: Keys;
  config: { limits: Pick<Config['limits'], 'fallbackUsd'> };
  admission: Pick<Admission, 'state' | 'load'>;
  plan: Pick<UsageReader, 'windows'>;
  metrics: Pick<Metrics, 'authFailures'>;
  /** Runs `claude-relay doctor`. */
  doctor: (signal: AbortSignal) => AsyncIterable<Line>;
  now: () => number;
};

export type LabelledRow = NumberedRow & { label: string };
/** A key with its limits, as `GET /v1/usage` shows them, and its last days. */
export type KeyState = KeyJson & {
  limits: ReturnType<typeof limitsBody>;
  today: { requests: number; errors: number };
  /** The last `sparkDays` UTC days, oldest first. */
  days: { day: string; requests: number }[];
};
export type Examined = { at: number; lines: readonly Line[] };

const sparkDays = 14;
/** A check of the doctor starts the CLI several times. */
const doctorKeptMs = 60_000;

/** The functions throw as the database does. */
export function openOwnerData(parts: OwnerDataParts) {
  const { store, keys, config, admission, now } = parts;
  const usage = openUsage(store, now);
  const reader = openLedgerReader(store);
  const counts = openDailyCounts(store);
  const plan = latest(() => parts.plan.windows(), 0);
  const stop = new AbortController();
  let examination: Promise<Examined> | undefined;
  const examined = latest(() => (examination = examine(parts, stop.signal)), doctorKeptMs);

  const labelsOf = (ids: readonly string[]): Map<string, string> => keyLabels(keys, [...new Set(ids)]);
  const labelled = (rows: readonly NumberedRow[]): LabelledRow[] => {
    const labels = labelsOf(rows.map(({ key_id: id }) => id ?? ''));
    return rows.map((row) => ({ ...row, label: labels.get(row.key_id ?? '') ?? row.key_id ?? '' }));
  };

  return {
    ready(): ReadyResponse {
      const checks = parts.health.checks();
      return { ok: checks.every(({ ok }) => ok), checks, ...details(parts) };
    },
    /** Requests that run and wait, in both lanes. */
    load: () => ({ complete: admission.load('complete'), fetch: admission.load('fetch') }),
    /** No value until Claude Code has answered for the first time. */
    plan,
    lastFailures: (count: number): LabelledRow[] => labelled(reader.lastFailures(count)),
    keys(): KeyState[] {
      const at = now();
      const today = { now: at, spent: ({ id }: { id: string }) => spentOn(counts, utcDay(at), id) };
      const rows = Map.groupBy(usage.rowsByKey({ days: sparkDays }), ({ keyId }) => keyId);
      const days = usage.times({ days: sparkDays });
      const stateOf = (key: Key): KeyState => {
        const sumAt = (day: string, field: 'requests' | 'errors'): number =>
          (rows.get(key.id) ?? [])
            .filter(({ time }) => time === day)
            .reduce((sum, row) => sum + row[field], 0);
        const [last = ''] = days.slice(-1);
        return {
          ...keyJson(key, today),
          limits: limitsBody(admission.state('complete', limitsOf(key, 'complete')), at),
          today: { requests: sumAt(last, 'requests'), errors: sumAt(last, 'errors') },
          days: days.map((day) => ({ day, requests: sumAt(day, 'requests') })),
        };
      };
      return keys.list().map(stateOf);
    },
    /** What all keys used today of each limit that they share, and what the second login was billed for of its budget. */
    shared() {
      const at = now();
      const ofNoKey = limitsBody(admission.state('complete', { keyId: '' }), at);
      const { global_daily: requests, global_usd: usd, global_tokens: tokens } = ofNoKey;
      const limit = config.limits.fallbackUsd;
      const billed = limit > 0 ? { limit, used: billedOn(counts, utcDay(at)) } : undefined;
      return { requests, usd, tokens, billed };
    },
    /** The sums of each key, or of each model for all keys together, with the names of the days or hours. */
    use(period: UsagePeriod, stack: 'key' | 'model') {
      const rows = stack === 'key' ? usage.rowsByKey(period) : usage.rows({ ...period, keyId: '*' });
      return { times: usage.times(period), rows, labels: labelsOf(rows.map(({ keyId }) => keyId)) };
    },
    requests(filter: RowFilter, count: number, before: number | undefined) {
      const { rows, searchedTo } = reader.page(filter, count, before);
      return { rows: labelled(rows), searchedTo };
    },
    failures: (since: number): Failures[] => reader.failures(since),
    /** Requests without a valid key since the start of the relay. The ledger does not have them. */
    withoutKey: parts.metrics.authFailures,
    /** Of the keys that have rows in the ledger, by id. */
    labels: (): Map<string, string> => labelsOf(reader.keyIds()),
    /** The last check, and whether a new one runs. */
    doctor: examined,
    /** Ends the checks that run. */
    async close(): Promise<void> {
      stop.abort();
      await examination;
    },
  };
}

/** A check that throws is the last line. */
async function examine(
  { doctor, now }: Pick<OwnerDataParts, 'doctor' | 'now'>,
  signal: AbortSignal,
): Promise<Examined> {
  const lines: Line[] = [];
  try {
    for await (const line of doctor(signal)) {
      lines.push(line);
      if (signal.aborted) break;
    }
  } catch (error) {
    lines.push(failure('doctor', `a check failed: ${(error as Error).message}`, `${relayCommand} doctor`));
  }
  return { lines, at: now() };
}
