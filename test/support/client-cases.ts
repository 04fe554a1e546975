/** Runs a table of cases with each client in each of its runtimes: a client that behaves differently fails a row. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { ClientCall, ClientOutcome, ClientProgram, ClientRuntime } from './clients.ts';
import type { Faulty } from './faulty-server.ts';
import { eventually } from './relay.ts';

export type Expected = {
  code?: string;
  value?: unknown;
  deltas?: string[];
  says?: RegExp;
  status?: number;
  /** Further fields of the error. */
  error?: Record<string, unknown>;
  /** How many requests or connections the client made. */
  attempts?: number;
};

export type ClientCase = {
  name: string;
  /** The server at the URL; a case without a server names a URL. */
  serve?: () => Promise<Faulty>;
  call?: ClientCall['call'];
  client?: ClientCall['client'];
  options?: ClientCall['options'];
  env?: Record<string, string> | ((server: Faulty) => Record<string, string>);
  /** The call is aborted as soon as this is true. */
  abortWhen?: (server: Faulty) => boolean;
  leaveAfter?: number;
  /** The client gives up a connection after 3 s, not 30: on a busy machine, any other connection can take as long. */
  shortConnectLimit?: true;
  /** The client's URL; the server's by default. */
  url?: (server: Faulty | undefined) => string;
  expect: Expected;
  /** Further checks of the server at the end. */
  check?: (server: Faulty, outcome: ClientOutcome) => void;
};

export const clientKey = 'crk_table';

/** `env`: the environment of the programs. */
export function checkCases(
  runtimes: ClientRuntime[],
  cases: readonly ClientCase[],
  env: Record<string, string> = {},
): void {
  // With more at once, a busy machine would miss the time limits of some cases.
  describe('in each runtime', { concurrency: 2 }, () => {
    for (const { name, skip, start } of runtimes) {
      describe(name, { concurrency: 16, skip }, () => {
        const programs: ClientProgram[] = [];
        after(() => Promise.all(programs.map((program) => program.end())));
        for (const [short, group] of Map.groupBy(cases, ({ shortConnectLimit }) => shortConnectLimit)) {
          let program: ClientProgram;
          before(() => {
            program = start({ ...env, ...(short && { SHORT_CONNECT_LIMIT: '1' }) });
            programs.push(program);
          });
          for (const each of group) test(each.name, () => checkCase(program, each));
        }
      });
    }
  });
}

async function checkCase(program: ClientProgram, asked: ClientCase): Promise<void> {
  const server = await asked.serve?.();
  const call = asked.call ?? 'complete';
  const options = asked.options ?? (call === 'complete' || call === 'stream' ? { prompt: 'hi' } : {});
  const url = asked.url?.(server) ?? server?.url;
  const env = typeof asked.env === 'function' ? server && asked.env(server) : asked.env;
  const running = program.run({
    client: {
      ...(url !== undefined && { url }),
      key: clientKey,
      maxRetries: 1,
      timeoutMs: 60_000,
      ...asked.client,
    },
    ...(env && { env }),
    ...(asked.leaveAfter && { leaveAfter: asked.leaveAfter }),
    ...(asked.abortWhen && { abortable: true }),
    call,
    options,
  });
  try {
    if (asked.abortWhen !== undefined && server !== undefined) {
      const { abortWhen } = asked;
      await eventually('the moment of the abort', () => abortWhen(server));
      if (call === 'stream') await running.begun;
      running.abort();
    }
    const outcome = await running.outcome;
    hold(outcome, asked.expect);
    if (server !== undefined) {
      if (asked.expect.attempts !== undefined)
        assert.equal(server.count(), asked.expect.attempts, 'attempts');
      asked.check?.(server, outcome);
    }
  } finally {
    await server?.close();
  }
}

function hold({ deltas, value, error }: ClientOutcome, expected: Expected): void {
  const seen = error === undefined ? value : { code: error.code, message: error.message };
  assert.equal(error?.code, expected.code, JSON.stringify(seen));
  if (expected.value !== undefined) assert.deepEqual(value, expected.value);
  if (expected.deltas !== undefined) assert.deepEqual(deltas, expected.deltas);
  if (expected.says !== undefined) assert.match(error?.message ?? '', expected.says);
  if (expected.code !== undefined && expected.code !== 'bad_config' && expected.status === undefined) {
    assert.equal(error?.status ?? undefined, undefined, 'status');
  }
  if (expected.status !== undefined) assert.equal(error?.status, expected.status);
  for (const [field, wanted] of Object.entries(expected.error ?? {})) {
    assert.deepEqual(error?.[field as keyof typeof error] ?? undefined, wanted, field);
  }
}
