/** A key as a row of the database, both ways. Pure. */
import type { Effort } from '../conversation.ts';
import { keyRoutes } from './key.ts';
import type { GrantChanges, Key, KeyGrants, KeyRoute } from './key.ts';

export type KeyRow = {
  id: string;
  label: string;
  created_at: number;
  last_used_at: number | null;
  expires_at: number | null;
  revoked_at: number | null;
  daily_limit: number | null;
  rpm: number | null;
  concurrency: number | null;
  usd_daily: number | null;
  tokens_daily: number | null;
  allowed_routes: string | null;
  allowed_models: string | null;
  disabled_at: number | null;
  ollama_host: string | null;
  ollama_port: number | null;
  model: string | null;
  effort: string | null;
  max_tokens: number | null;
  locked: number | null;
  system_bytes: number | null;
  fallback: string | null;
};

export function keyOf(row: KeyRow): Key {
  return {
    id: row.id,
    label: row.label,
    createdAt: row.created_at,
    ...(row.last_used_at !== null && { lastUsedAt: row.last_used_at }),
    ...(row.expires_at !== null && { expiresAt: row.expires_at }),
    ...(row.revoked_at !== null && { revokedAt: row.revoked_at }),
    ...(row.disabled_at !== null && { disabledAt: row.disabled_at }),
    ...(row.daily_limit !== null && { dailyLimit: row.daily_limit }),
    ...(row.rpm !== null && { rpm: row.rpm }),
    ...(row.concurrency !== null && { concurrency: row.concurrency }),
    ...(row.usd_daily !== null && { usdDaily: row.usd_daily }),
    ...(row.tokens_daily !== null && { tokensDaily: row.tokens_daily }),
    ...(row.allowed_routes !== null && { allowedRoutes: row.allowed_routes.split(',').filter(isRoute) }),
    ...(row.allowed_models !== null && { allowedModels: row.allowed_models.split(',') }),
    ...(row.model !== null && { model: row.model }),
    ...(row.effort !== null && { effort: row.effort as Effort }),
    ...(row.max_tokens !== null && { maxTokens: row.max_tokens }),
    ...(row.locked !== null && { locked: true as const }),
    ...(row.system_bytes !== null && { systemBytes: row.system_bytes }),
    ...(row.fallback !== null && { fallback: row.fallback }),
    ...(row.ollama_host !== null &&
      row.ollama_port !== null && { ollama: { host: row.ollama_host, port: row.ollama_port } }),
  };
}

export function grantsOf(key: Key): KeyGrants {
  const { expiresAt, dailyLimit, rpm, concurrency, usdDaily, tokensDaily, ...others } = key;
  const { allowedRoutes, allowedModels, fallback, model, effort, maxTokens, locked } = others;
  const limits = { expiresAt, dailyLimit, rpm, concurrency, usdDaily, tokensDaily };
  return { ...limits, allowedRoutes, allowedModels, fallback, model, effort, maxTokens, locked };
}

/** The columns of `KeyGrants`, by name. */
export function grantColumns(grants: GrantChanges): Record<string, number | string | null> {
  return {
    expires_at: grants.expiresAt ?? null,
    daily_limit: grants.dailyLimit ?? null,
    rpm: grants.rpm ?? null,
    concurrency: grants.concurrency ?? null,
    usd_daily: grants.usdDaily ?? null,
    tokens_daily: grants.tokensDaily ?? null,
    allowed_routes: grants.allowedRoutes?.join(',') ?? null,
    allowed_models: grants.allowedModels?.join(',') ?? null,
    model: grants.model ?? null,
    effort: grants.effort ?? null,
    max_tokens: grants.maxTokens ?? null,
    locked: grants.locked === true ? 1 : null,
    fallback: grants.fallback ?? null,
  };
}

function isRoute(text: string): text is KeyRoute {
  return keyRoutes.some((route) => route === text);
}
