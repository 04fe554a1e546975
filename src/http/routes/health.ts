/** GET /health and GET /ready: no key is needed, no token is spent, and a stranger learns nothing of this machine. */
import type { HealthResponse, ReadyResponse } from '../../api.ts';
import type { Readiness } from '../../claude/proof/readiness.ts';
import type { SealReport } from '../../claude/seal/report.ts';
import type { Runner } from '../../claude/runner.ts';
import { RelayError } from '../../errors.ts';
import { version } from '../../installation.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { Admission } from '../../limits/admission.ts';
import type { Store } from '../../store/sqlite.ts';
import { iso } from '../../time.ts';
import type { Connections } from '../connections.ts';
import { respond, type Exchange } from '../exchange.ts';
import { isFromHost } from '../from-host.ts';
import { tokenOf, validKey, type KeyCheckParts } from '../identify.ts';
import { closedModels } from './usage.ts';

/** `detail` is a sentence without paths, versions or host names. */
type ReadyCheck = ReadyResponse['checks'][number];

export type HealthParts = KeyCheckParts & DetailsParts & { health: Health };

export type DetailsParts = {
  health: Pick<Health, 'checks'>;
  runner: Pick<Runner, 'spares' | 'hot' | 'valve'>;
  seal: SealReport;
  connections: Pick<Connections, 'open' | 'most'>;
};

type HealthSources = {
  readiness: Pick<Readiness, 'check' | 'state'>;
  admission: Pick<Admission, 'planClosings'>;
  store: Pick<Store, 'problem'>;
  ledger: Pick<Ledger, 'problem'>;
};

/** Whether a request would be served right now, and why not. */
export class Health {
  readonly #sources: HealthSources;
  /** Set when the relay begins to stop. */
  stopping = false;
  #loginRefused = false;
  #lastAnswerAt: number | undefined;

  constructor(sources: HealthSources) {
    this.#sources = sources;
  }

  /** Learns from each answer. One of the second login says nothing about that of the host. */
  note({ stopReason, fallbackFrom }: Exchange, status: number, error: RelayError | undefined): void {
    if (error?.details.loginLost === true) this.#loginRefused = true;
    if (status !== 200 || stopReason === undefined) return;
    if (fallbackFrom !== 'plan') this.#loginRefused = false;
    this.#lastAnswerAt = Date.now();
  }

  checks(): ReadyCheck[] {
    const { readiness, admission, store, ledger } = this.#sources;
    const planClosings = admission.planClosings();
    const closed = closedModels(planClosings).map(({ models, until }) => `${models} models until ${until}`);
    return [
      lockCheck(readiness),
      check('accepting', this.stopping ? 'the relay is being stopped' : undefined),
      check('login', this.#loginRefused ? loginRefused : undefined),
      {
        name: 'plan',
        // The relay still serves the other models when one family is used up.
        ok: planClosings.every(({ family }) => family !== undefined),
        detail: closed.length === 0 ? undefined : `the plan is used up: ${closed.join(', ')}`,
      },
      check('database', store.problem()),
      check('ledger', ledger.problem()),
      { name: 'last_answer', ok: true, detail: iso(this.#lastAnswerAt) ?? 'none since the start' },
    ];
  }
}

const loginRefused = 'the login was refused at its last use: log in again on the host, or fix its account';

function check(name: string, problem: string | undefined): ReadyCheck {
  return { name, ok: problem === undefined, detail: problem };
}

function lockCheck(readiness: HealthSources['readiness']): ReadyCheck {
  try {
    readiness.check();
    return { name: 'lock_proved', ok: true };
  } catch {
    const state = readiness.state();
    return { name: 'lock_proved', ok: false, detail: state.phase === 'proved' ? undefined : state.reason };
  }
}

/** Liveness: the process answers. */
export function health(_request: Request, exchange: Exchange): Response {
  return respond(exchange, 200, { ok: true, version } satisfies HealthResponse);
}

/** Readiness. A stranger learns which checks failed; a caller with a key, or a program of this machine, learns the details. */
export function ready(request: Request, exchange: Exchange, parts: HealthParts): Response {
  const checks = parts.health.checks();
  const failed = checks.filter(({ ok }) => !ok);
  const ok = failed.length === 0;
  const status = ok ? 200 : 503;
  if (!ok) exchange.headers['retry-after'] = '5';
  if (!isFromHost(exchange.remoteAddress, request.headers) && !isCaller(request, exchange, parts)) {
    const names = failed.map(({ name }) => ({ name, ok: false }));
    return respond(exchange, status, { ok, checks: names } satisfies ReadyResponse);
  }
  return respond(exchange, status, { ok, checks, ...details(parts) } satisfies ReadyResponse);
}

/** What only the owner and callers with a key learn. */
export function details({ runner, seal, connections: { open, most } }: DetailsParts) {
  const spares = runner.spares();
  const hot = runner.hot();
  return {
    spares: { waiting: spares.waiting, warm: spares.warm, rss_bytes: spares.rssBytes },
    hot: { resting: hot.resting, rss_bytes: hot.rssBytes, off: hot.off },
    valve: runner.valve(),
    seal,
    connections: { open, most },
  };
}

/** While keys cannot be read, every caller is a stranger, and the check of the database says so. */
function isCaller(request: Request, exchange: Exchange, parts: KeyCheckParts): boolean {
  if (tokenOf(request) === undefined) return false;
  try {
    return validKey(request, exchange, parts) !== undefined;
  } catch (error) {
    if (error instanceof RelayError && error.code === 'not_ready') return false;
    throw error;
  }
}
