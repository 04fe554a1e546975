/** A key as text for people and as JSON for programs. Pure. */
import type { Key } from '../../keys/key.ts';
import type { KeyEvent, Keys } from '../../keys/store.ts';
import { iso } from '../../time.ts';
import { table, time } from './table.ts';
import { type Terminal, paint } from './terminal.ts';

type KeyState = 'live' | 'expired' | 'revoked';

function keyState(key: Key, now: number): KeyState {
  if (key.revokedAt !== undefined) return 'revoked';
  return key.expiresAt !== undefined && now >= key.expiresAt ? 'expired' : 'live';
}

/** For a limit that is null, the relay's default applies. */
export function keyJson(key: Key, now: number): Record<string, unknown> {
  return {
    id: key.id,
    label: key.label,
    state: keyState(key, now),
    created_at: iso(key.createdAt),
    last_used_at: iso(key.lastUsedAt),
    expires_at: iso(key.expiresAt),
    revoked_at: iso(key.revokedAt),
    daily_limit: key.dailyLimit ?? null,
    rpm: key.rpm ?? null,
    concurrency: key.concurrency ?? null,
    allowed_routes: key.allowedRoutes ?? null,
    allowed_models: key.allowedModels ?? null,
  };
}

export function keyTable(terminal: Terminal, keys: readonly Key[], now: number): string {
  return table(
    [
      { title: 'LABEL' },
      { title: 'STATE' },
      { title: 'CREATED' },
      { title: 'LAST USED' },
      { title: 'EXPIRES' },
      { title: 'A DAY', right: true },
      { title: 'A MINUTE', right: true },
      { title: 'AT ONCE', right: true },
      { title: 'ROUTES' },
      { title: 'MODELS' },
    ],
    keys.map((key) => [
      key.label,
      painted(terminal, keyState(key, now)),
      time(key.createdAt).slice(0, 10),
      key.lastUsedAt === undefined ? 'never' : time(key.lastUsedAt).slice(0, 16),
      key.expiresAt === undefined ? 'never' : time(key.expiresAt).slice(0, 16),
      limit(key.dailyLimit),
      limit(key.rpm),
      limit(key.concurrency),
      key.allowedRoutes?.join(',') ?? 'all',
      key.allowedModels?.join(',') ?? 'all',
    ]),
  );
}

export function keyText(terminal: Terminal, key: Key, events: readonly KeyEvent[], now: number): string {
  const lines: [string, string][] = [
    ['label', paint(terminal, 'bold', key.label)],
    ['id', key.id],
    ['state', painted(terminal, keyState(key, now))],
    ['last used', key.lastUsedAt === undefined ? 'never' : `${time(key.lastUsedAt)} UTC`],
    ['expires', key.expiresAt === undefined ? 'never' : `${time(key.expiresAt)} UTC`],
    ['a day', limit(key.dailyLimit)],
    ['a minute', limit(key.rpm)],
    ['at once', limit(key.concurrency)],
    ['routes', key.allowedRoutes?.join(', ') ?? 'all'],
    ['models', key.allowedModels?.join(', ') ?? 'all'],
    ...events.map(({ at, action, command }): [string, string] => [action, `${time(at)} UTC by ${command}`]),
  ];
  return lines.map(([name, value]) => `${paint(terminal, 'dim', name.padEnd(10))} ${value}\n`).join('');
}

function painted(terminal: Terminal, state: KeyState): string {
  return paint(terminal, ({ live: 'green', expired: 'yellow', revoked: 'red' } as const)[state], state);
}

function limit(value: number | undefined): string {
  return value === undefined ? 'default' : String(value);
}

/** The labels of all keys, revoked ones included, by id. */
export function keyLabels(keys: Keys): Map<string, string> {
  return new Map(
    keys
      .list({ revoked: true })
      .map(({ id, label, revokedAt }) => [id, revokedAt === undefined ? label : `${label} (revoked ${id})`]),
  );
}
