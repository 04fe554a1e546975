/**
 * What happened since the start, for Prometheus. Names and labels are a contract (docs/metrics.md). No label holds a content, an id, a
 * URL or an address, and each has few values: what is not known here becomes `(other)`.
 */
import { Counter, Histogram, Registry } from '@prometheus-io/client';
import type { TurnStart } from '../conversation.ts';
import { isDenial } from '../errors.ts';
import type { RequestRecord } from '../ledger/record.ts';
import { foldRevoked, type KeyCounter } from './revoked.ts';

export type Metrics = ReturnType<typeof openMetrics>;

const seconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];

const kinds = { hot: 'hot', claim: 'spare', spawn: 'cold' } as const satisfies Record<TurnStart, string>;

/** There is no key, or no model. No label of a key begins so. */
const none = '(none)';

/** `models`: ALLOWED_MODELS. The functions that count do constant work and never throw. */
export function openMetrics(models: readonly string[]) {
  const registry = new Registry();
  const registers = [registry];
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter({ name, help, labelNames, registers });
  const histogram = (name: string, help: string) =>
    new Histogram({ name, help, labelNames: ['route', 'model'], buckets: seconds, registers });

  const requests = counter(
    'relay_requests_total',
    'Requests that have ended. The outcome is an error code or ok.',
    'route',
    'key',
    'model',
    'outcome',
  );
  const total = histogram('relay_request_seconds', 'From the arrival of a request to its end.');
  const firstText = histogram(
    'relay_first_text_seconds',
    "From the arrival of a request to the model's first text.",
  );
  const queue = histogram('relay_queue_seconds', 'How long a request waited for a slot.');
  const overhead = histogram(
    'relay_overhead_seconds',
    "The time of a request that ran a turn, less the model's time.",
  );
  const tokens = counter(
    'relay_tokens_total',
    'Tokens that the provider reported, by type.',
    'key',
    'model',
    'type',
  );
  const cost = counter(
    'relay_cost_usd_total',
    'Dollars, as Claude Code reckons them. Under a subscription they are no bill, except those billed to the second login.',
    'key',
    'model',
  );
  const refusals = counter(
    'relay_limit_refusals_total',
    'Requests that a limit refused, by limit.',
    'limit',
    'key',
  );
  const starts = counter(
    'relay_starts_total',
    'Turns that began, by their process: hot, spare or cold (a new one).',
    'kind',
  );
  const ends = counter(
    'relay_child_ends_total',
    'Processes that ended after a turn or while they waited for one. The cause is what ended them.',
    'cause',
  );
  const lockChecks = counter(
    'relay_lock_check_failures_total',
    'Checks that failed in a proof of the lock, by check.',
    'check',
  );
  const fetches = counter(
    'relay_fetch_total',
    'Page fetches that have ended. The outcome is an error code or ok.',
    'outcome',
  );
  const denied = counter(
    'relay_fetch_denied_total',
    'Page fetches that the guard denied. The reason is the error code.',
    'reason',
  );
  const authFailures = counter('relay_auth_failures_total', 'Requests without a valid key.');
  const ledgerFailures = counter(
    'relay_ledger_write_failures_total',
    'Tries to write the ledger that the database refused.',
  );
  const ofKeys: readonly KeyCounter[] = [requests, tokens, cost, refusals];
  const known = new Set(models);
  let folding = Promise.resolve();

  return {
    registry,
    /** Called once for each request, when all of it is over. */
    request(record: RequestRecord): void {
      const { route, error: outcome = 'ok', limit_hit: limit, start, key_label: key = none } = record;
      const model = record.model === undefined || known.has(record.model) ? record.model : '(other)';
      const labels = { route, model: model ?? none };
      requests.inc({ ...labels, key, outcome });
      total.observe(labels, secondsOf(record.total_ms));
      if (record.first_text_ms !== undefined) firstText.observe(labels, secondsOf(record.first_text_ms));
      // It is 0 only for a request that asked for no slot.
      if (record.queue_ms > 0) queue.observe(labels, secondsOf(record.queue_ms));
      if (start !== undefined) {
        overhead.observe(labels, secondsOf(record.total_ms - record.upstream_ms));
        const used = { key, model: labels.model };
        tokens.inc({ ...used, type: 'input' }, amount(record.tokens_in));
        tokens.inc({ ...used, type: 'output' }, amount(record.tokens_out));
        tokens.inc({ ...used, type: 'cache_read' }, amount(record.cache_read));
        tokens.inc({ ...used, type: 'cache_write' }, amount(record.cache_write));
        cost.inc(used, amount(record.cost_usd));
      }
      if (limit !== undefined) refusals.inc({ limit, key });
      if (route !== 'fetch' && route !== 'mcp_fetch_page') return;
      fetches.inc({ outcome });
      if (isDenial(outcome)) denied.inc({ reason: outcome });
    },
    /** Called for each turn: a request can have two. */
    started: (start: TurnStart): void => starts.inc({ kind: kinds[start] }),
    processEnded: (cause: string): void => ends.inc({ cause }),
    /** The checks of a proof that has ended. */
    proved(checks: readonly { name: string; ok: boolean }[] = []): void {
      for (const { name, ok } of checks) if (!ok) lockChecks.inc({ check: name });
    },
    authFailed: (): void => authFailures.inc(),
    authFailures: async (): Promise<number> => (await authFailures.get()).values[0]?.value ?? 0,
    ledgerFailed: (): void => ledgerFailures.inc(),
    /** See `foldRevoked`. One at a time: two would move the same counts. */
    foldRevoked: (current: ReadonlySet<string>): Promise<void> =>
      (folding = folding.then(() => foldRevoked(ofKeys, new Set([...current, none])))),
  };
}

function secondsOf(ms: number): number {
  return amount(ms) / 1000;
}

/** The library throws at anything else. */
function amount(value: number): number {
  return value > 0 && Number.isFinite(value) ? value : 0;
}
