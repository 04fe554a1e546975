/** A key as text for people and as JSON for programs. Pure. */
import type { Key } from '../../keys/key.ts';
import type { KeyEvent, Keys } from '../../keys/store.ts';
import { iso } from '../../time.ts';
import { table, time } from './table.ts';

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

const titles = [
  'LABEL',
  'STATE',
  'CREATED',
  'LAST USED',
  'EXPIRES',
  ' A DAY',
  ' A MINUTE',
  ' AT ONCE',
  'ROUTES',
  'MODELS',
];

function cells(key: Key, now: number): string[] {
  return [
    key.label,
    keyState(key, now),
    time(key.createdAt).slice(0, 10),
    key.lastUsedAt === undefined ? 'never' : time(key.lastUsedAt).slice(0, 16),
    key.expiresAt === undefined ? 'never' : time(key.expiresAt).slice(0, 16),
    limit(key.dailyLimit),
    limit(key.rpm),
    limit(key.concurrency),
    key.allowedRoutes?.join(',') ?? 'all',
    key.allowedModels?.join(',') ?? 'all',
  ];
}

export function keyTable(keys: readonly Key[], now: number): string {
  return table(
    titles,
    keys.map((key) => cells(key, now)),
  );
}

export function keyText(key: Key, events: readonly KeyEvent[], now: number): string {
  const history = events.map(({ at, action, command }) => `${time(at)} UTC: ${action} by ${command}\n`);
  return `${keyTable([key], now)}\nid ${key.id}\n${history.join('')}`;
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
