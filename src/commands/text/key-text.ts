/** A key as text for people and as JSON for programs. Pure. */
import type { Key } from '../../keys/key.ts';
import type { KeyEvent, Keys } from '../../keys/store.ts';
import { localUrl } from '../../service/ready.ts';
import { iso, utcDay } from '../../time.ts';
import { table, time } from './table.ts';

type KeyState = 'live' | 'disabled' | 'expired' | 'revoked';

export function keyState(key: Key, now: number): KeyState {
  if (key.revokedAt !== undefined) return 'revoked';
  if (key.expiresAt !== undefined && now >= key.expiresAt) return 'expired';
  return key.disabledAt === undefined ? 'live' : 'disabled';
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
    disabled_at: iso(key.disabledAt),
    daily_limit: key.dailyLimit ?? null,
    rpm: key.rpm ?? null,
    concurrency: key.concurrency ?? null,
    allowed_routes: key.allowedRoutes ?? null,
    allowed_models: key.allowedModels ?? null,
    ollama_url: key.ollama === undefined ? null : localUrl(key.ollama),
  };
}

const columns: Readonly<Record<string, (key: Key, now: number) => string>> = {
  LABEL: ({ label }) => label,
  STATE: keyState,
  CREATED: ({ createdAt }) => utcDay(createdAt),
  'LAST USED': ({ lastUsedAt }) => minute(lastUsedAt),
  EXPIRES: ({ expiresAt }) => minute(expiresAt),
  ' A DAY': ({ dailyLimit }) => limit(dailyLimit),
  ' A MINUTE': ({ rpm }) => limit(rpm),
  ' AT ONCE': ({ concurrency }) => limit(concurrency),
  ROUTES: ({ allowedRoutes }) => allowedRoutes?.join(',') ?? 'all',
  MODELS: ({ allowedModels }) => allowedModels?.join(',') ?? 'all',
};

export function keyTable(keys: readonly Key[], now: number): string {
  const rows = keys.map((key) => Object.values(columns).map((cell) => cell(key, now)));
  return table(Object.keys(columns), rows);
}

export function keyText(key: Key, events: readonly KeyEvent[], now: number): string {
  const history = events.map(({ at, action, command }) => `${time(at)} UTC: ${action} by ${command}\n`);
  const ollama =
    key.ollama === undefined ? '' : `Ollama clients without the secret: ${localUrl(key.ollama)}\n`;
  return `${keyTable([key], now)}\nid ${key.id}\n${ollama}${history.join('')}`;
}

function minute(at: number | undefined): string {
  return at === undefined ? 'never' : time(at).slice(0, 16);
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
