/** What surrounds the metrics agrees with them: their documentation, the alert rules and the dashboard, which Prometheus itself checks. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { openMetrics } from '../src/metrics/metrics.ts';
import { openState } from '../src/metrics/state.ts';
import { blocks } from './support/documents.ts';
import { needs } from './support/needs.ts';
import { startOwnerRelay } from './support/owner-page.ts';
import { root } from './support/relay.ts';

type Metric = { name: string; type: string; labelNames: string[]; help: string };
type Rule = { alert: string; expr: string };
type Panel = { title: string; targets: { expr: string }[] };
type Variable = { name: string; type: string; definition?: string };

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const doc = read('docs/metrics.md');
const alerts = parse(read('contrib/alerts.yml')) as { groups: { rules: Rule[] }[] };
const dashboard = JSON.parse(read('contrib/grafana-dashboard.json')) as {
  panels: Panel[];
  templating: { list: Variable[] };
};

const rules = alerts.groups.flatMap((group) => group.rules);
const expressions = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));

function metrics(): Metric[] {
  const { registry } = openMetrics([]);
  openState(registry, {} as Parameters<typeof openState>[1]);
  return registry.getMetricsAsArray() as unknown as Metric[];
}

/** The metrics of an expression, by the names that a scrape has. */
function named(expr: string): string[] {
  return expr.match(/\brelay_\w+/g) ?? [];
}

const series = new Set(
  metrics().flatMap(({ name, type }) =>
    type === 'histogram' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  ),
);

/** What Grafana puts in. */
const filled = (expr: string): string =>
  expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(?:instance|model)\b/g, '.*');

describe('docs/metrics.md', () => {
  test('lists every metric with its type, its labels and its HELP, and no other', () => {
    const [, table = ''] = doc.split('| Metric | Type | Labels | Meaning |\n');
    const rows = table.split('\n\n')[0]?.split('\n').slice(1) ?? [];
    const documented = rows.map((row) => row.split('|').map((cell) => cell.trim()));
    assert.deepEqual(
      documented.map(([, name, type, labels, meaning]) => [name, type, labels, meaning]),
      metrics().map(({ name, type, labelNames, help }) => [
        `\`${name}\``,
        type,
        labelNames.map((label) => `\`${label}\``).join(', '),
        help,
      ]),
    );
  });

  test('explains every label, and names no metric that does not exist', () => {
    const [, table = ''] = doc.split('| Label | Values |\n');
    const explained = [...(table.split('\n\n')[0] ?? '').matchAll(/^\| (.*?) \|/gm)].flatMap(
      ([, cell = '']) => [...cell.matchAll(/`(\w+)`/g)].map(([, label]) => label),
    );
    assert.deepEqual(new Set(explained), new Set(metrics().flatMap(({ labelNames }) => labelNames)));
    for (const name of named(doc))
      assert.ok(
        metrics().some((metric) => metric.name === name),
        name,
      );
  });
});

describe('the files of contrib', () => {
  test('the alert rules and the dashboard use only metrics that a scrape has', () => {
    assert.equal(rules.length, 6);
    assert.ok(expressions.length > 20);
    for (const expr of [...rules.map((rule) => rule.expr), ...expressions]) {
      assert.ok(named(expr).length > 0, expr);
      for (const name of named(expr)) assert.ok(series.has(name), `${name} in ${expr}`);
    }
  });

  test('the dashboard shows every metric', () => {
    const shown = new Set(expressions.flatMap(named));
    const missing = metrics().filter(({ name }) => !shown.has(name) && !shown.has(`${name}_bucket`));
    assert.deepEqual(
      missing.map(({ name }) => name),
      [],
    );
  });

  test('the dashboard takes the data source and the instance from variables', () => {
    const { panels, templating } = dashboard;
    assert.deepEqual(
      templating.list.map(({ name, type }) => [name, type]),
      [
        ['datasource', 'datasource'],
        ['instance', 'query'],
        ['model', 'query'],
      ],
    );
    const text = JSON.stringify({ panels, templating });
    assert.deepEqual([...new Set(text.match(/"uid":"[^"]*"/g))], ['"uid":"${datasource}"']);
    for (const expr of expressions) assert.match(expr, /\{instance=~"\$instance"/, expr);
  });
});

describe('promtool', { skip: needs('promtool') }, () => {
  let scratch: string;
  before(() => {
    scratch = mkdtempSync(join(tmpdir(), 'relay-promtool-'));
  });
  after(() => rmSync(scratch, { recursive: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(scratch, name), text);
    return join(scratch, name);
  };
  /** Returns what promtool says on both streams; throws when it finds a mistake. */
  const promtool = (args: readonly string[], input = ''): string =>
    execFileSync('/bin/sh', ['-c', 'exec promtool "$@" 2>&1', 'promtool', ...args], {
      input,
      encoding: 'utf8',
    });

  test('accepts a scrape without a remark', async () => {
    const relay = await startOwnerRelay();
    try {
      const token = relay.mint('prometheus', { allowedRoutes: ['metrics'] });
      assert.equal((await relay.complete({ prompt: 'hi' })).status, 200);
      const { text } = await relay.send('/metrics', { headers: { authorization: `Bearer ${token}` } });
      assert.match(text, /^relay_requests_total\{.*\} 1$/m);
      assert.equal(promtool(['check', 'metrics'], text), '');
    } finally {
      await relay.stop();
    }
    assert.throws(() => promtool(['check', 'metrics'], 'relay_a{b="c} 1\n'), 'promtool sees a mistake');
  });

  test('accepts the alert rules, and the sample of prometheus.yml with them', () => {
    assert.match(promtool(['check', 'rules', join(root, 'contrib/alerts.yml')]), /SUCCESS: 6 rules found/);
    const [sample = ''] = blocks(doc, 'yaml');
    const key = file('key', 'crk_x\n');
    file('claude-relay-alerts.yml', read('contrib/alerts.yml'));
    const config = file('prometheus.yml', sample.replace('/etc/prometheus/claude-relay.key', key));
    assert.match(promtool(['check', 'config', config]), /is valid prometheus config/);
  });

  test('accepts each expression of the dashboard', () => {
    const record = expressions.map((expr, index) => ({ record: `panel_${index}`, expr: filled(expr) }));
    const all = file('panels.yml', JSON.stringify({ groups: [{ name: 'panels', rules: record }] }));
    assert.match(promtool(['check', 'rules', all]), new RegExp(`SUCCESS: ${record.length} rules found`));
  });

  test('fires each alert when it must, and not before', () => {
    const at = '{instance="i",job="claude-relay"';
    const requests = (outcome: string, values: string): object => ({
      series: `relay_requests_total${at},route="complete",model="opus",key="app",outcome="${outcome}"}`,
      values,
    });
    /** `quiet` and `fires`: a minute at which it does not fire yet, and one at which it does. It must not fire for `steady`. */
    const cases: Record<string, { input: object[]; quiet: number; fires: number; steady: object[] }> = {
      ClaudeRelayNotReady: {
        input: [{ series: `relay_ready${at}}`, values: '1x10 0x20' }],
        quiet: 14,
        fires: 17,
        steady: [
          { series: `relay_ready${at}}`, values: '1x40' },
          { series: `up${at}}`, values: '1x40' },
        ],
      },
      ClaudeRelayLockNotProved: {
        input: [{ series: `relay_lock_proved${at}}`, values: '1x5 0x30' }],
        quiet: 14,
        fires: 17,
        steady: [{ series: `relay_lock_proved${at}}`, values: '1x5 0x3 1x30' }],
      },
      ClaudeRelayPlanNearlyUsedUp: {
        input: [{ series: `relay_plan_used_ratio${at},window="five_hour"}`, values: '0.5x5 0.95x30' }],
        quiet: 9,
        fires: 12,
        steady: [{ series: `relay_plan_used_ratio${at},window="five_hour"}`, values: '0.9x40' }],
      },
      ClaudeRelayLedgerNotWritten: {
        input: [{ series: `relay_ledger_write_failures_total${at}}`, values: '0x5 1+1x30' }],
        quiet: 5,
        fires: 13,
        steady: [{ series: `relay_ledger_write_failures_total${at}}`, values: '7x40' }],
      },
      ClaudeRelayManyFailures: {
        input: [requests('ok', '0+2x40'), requests('upstream_error', '0x10 1+1x30')],
        quiet: 9,
        fires: 30,
        steady: [
          requests('ok', '0+2x40'),
          requests('rate_limited', '0+9x40'),
          requests('bad_request', '0+9x40'),
        ],
      },
      ClaudeRelayAuthFailures: {
        input: [{ series: `relay_auth_failures_total${at}}`, values: '0x5 20+20x30' }],
        quiet: 5,
        fires: 12,
        steady: [{ series: `relay_auth_failures_total${at}}`, values: '0+5x40' }],
      },
    };
    assert.deepEqual(
      Object.keys(cases),
      rules.map(({ alert }) => alert),
    );
    const labels = (alert: string): Record<string, string> => {
      const { labels: own } = rules.find((rule) => rule.alert === alert) as unknown as { labels: object };
      const window = alert === 'ClaudeRelayPlanNearlyUsedUp' ? { window: 'five_hour' } : {};
      return { instance: 'i', job: 'claude-relay', ...window, ...own };
    };
    const firing = (alert: string, input: object[], quiet: number, fires: number) => ({
      interval: '1m',
      input_series: input,
      alert_rule_test: [
        { alertname: alert, eval_time: `${quiet}m`, exp_alerts: [] },
        { alertname: alert, eval_time: `${fires}m`, exp_alerts: [{ exp_labels: labels(alert) }] },
      ],
    });
    // A relay that does not run has no other series.
    const stopped = firing('ClaudeRelayNotReady', [{ series: `up${at}}`, values: '1x10 0x20' }], 14, 17);
    const tests = Object.entries(cases).flatMap(([alert, { input, quiet, fires, steady }]) => [
      firing(alert, input, quiet, fires),
      {
        interval: '1m',
        input_series: steady,
        alert_rule_test: [{ alertname: alert, eval_time: '30m', exp_alerts: [] }],
      },
    ]);
    // The next test compares the texts.
    const bare = structuredClone(alerts);
    for (const rule of bare.groups.flatMap((group) => group.rules)) Object.assign(rule, { annotations: {} });
    file('alerts.yml', JSON.stringify(bare));
    const config = { rule_files: ['alerts.yml'], evaluation_interval: '1m', tests: [stopped, ...tests] };
    assert.match(promtool(['test', 'rules', file('test.yml', JSON.stringify(config))]), /SUCCESS/);
  });

  test('the texts of an alert have their values', () => {
    file('alerts.yml', read('contrib/alerts.yml'));
    const plan = rules.find(({ alert }) => alert === 'ClaudeRelayPlanNearlyUsedUp') as unknown as {
      annotations: { description: string };
    };
    const labels = { instance: 'i', job: 'claude-relay', window: 'seven_day' };
    const series = 'relay_plan_used_ratio{instance="i",job="claude-relay",window="seven_day"}';
    const fired = {
      exp_labels: { ...labels, severity: 'warning' },
      exp_annotations: {
        summary: "95% of the plan's seven_day window is used.",
        description: plan.annotations.description,
      },
    };
    const alert = { alertname: 'ClaudeRelayPlanNearlyUsedUp', eval_time: '10m', exp_alerts: [fired] };
    const one = { interval: '1m', input_series: [{ series, values: '0.95x20' }], alert_rule_test: [alert] };
    const config = { rule_files: ['alerts.yml'], evaluation_interval: '1m', tests: [one] };
    assert.match(promtool(['test', 'rules', file('texts.yml', JSON.stringify(config))]), /SUCCESS/);
  });
});

test('the commands of docs/metrics.md write the secret alone to a file that only its owner reads', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'relay-metrics-doc-'));
  try {
    const [commands = ''] = blocks(doc, 'sh');
    const script = commands.replace('claude-relay', join(root, 'bin/claude-relay'));
    const env = { PATH: process.env['PATH'] ?? '', HOME: scratch, DATA_DIR: join(scratch, 'data') };
    execFileSync('/bin/sh', ['-ec', script], { cwd: scratch, env, stdio: 'pipe' });
    const key = join(scratch, 'prometheus.key');
    assert.match(readFileSync(key, 'utf8'), /^crk_\S+\n$/);
    assert.equal(statSync(key).mode & 0o777, 0o600);
  } finally {
    rmSync(scratch, { recursive: true });
  }
});
