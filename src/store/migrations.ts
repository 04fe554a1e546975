/**
 * The schema, as numbered steps: entry n takes a database from version n to n + 1.
 * Entries are never edited once released, only added to (`test/upgrades.test.ts`).
 *
 * Every table is STRICT, and every text column is bounded in length and alphabet: no prompt and no answer fits into any of them, and
 * no URL. There are two exceptions. key_prompts.system is content, which a command of the owner writes. webhooks.url is a URL, which a
 * caller writes.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE keys (
    id             TEXT NOT NULL PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 32 AND id NOT GLOB '*[^0-9A-Za-z]*'),
    label          TEXT NOT NULL CHECK (length(label) BETWEEN 1 AND 64 AND label NOT GLOB '*[^0-9A-Za-z._-]*'),
    created_at     INTEGER NOT NULL,
    last_used_at   INTEGER,
    expires_at     INTEGER,
    revoked_at     INTEGER,
    daily_limit    INTEGER CHECK (daily_limit > 0),
    rpm            INTEGER CHECK (rpm > 0),
    concurrency    INTEGER CHECK (concurrency > 0),
    allowed_routes TEXT CHECK (length(allowed_routes) BETWEEN 1 AND 200 AND allowed_routes NOT GLOB '*[^a-z,]*'),
    allowed_models TEXT CHECK (length(allowed_models) BETWEEN 1 AND 4000 AND allowed_models NOT GLOB '*[^]0-9A-Za-z,._:@/[-]*')
  ) STRICT, WITHOUT ROWID;

  -- A label is unique among the keys that are not revoked; a revoked key gives it free.
  CREATE UNIQUE INDEX keys_live_label ON keys (label) WHERE revoked_at IS NULL;
  CREATE INDEX keys_by_label ON keys (label, created_at);

  -- SHA-256 digests only. A rotated secret stays, with the time until which it counts.
  CREATE TABLE key_secrets (
    key_id      TEXT NOT NULL REFERENCES keys (id) CHECK (length(key_id) <= 32 AND key_id NOT GLOB '*[^0-9A-Za-z]*'),
    digest      BLOB NOT NULL CHECK (length(digest) = 32),
    valid_until INTEGER,
    PRIMARY KEY (key_id, digest)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE key_events (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    key_id  TEXT NOT NULL REFERENCES keys (id) CHECK (length(key_id) <= 32 AND key_id NOT GLOB '*[^0-9A-Za-z]*'),
    action  TEXT NOT NULL CHECK (action IN ('created', 'rotated', 'revoked')),
    command TEXT NOT NULL CHECK (length(command) BETWEEN 1 AND 40 AND command NOT GLOB '*[^0-9A-Za-z /._-]*')
  ) STRICT;
  CREATE INDEX key_events_by_key ON key_events (key_id, id);

  CREATE TABLE daily_counts (
    day   TEXT NOT NULL CHECK (day GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    scope TEXT NOT NULL CHECK (length(scope) BETWEEN 1 AND 64 AND scope NOT GLOB '*[^0-9A-Za-z:._-]*'),
    count INTEGER NOT NULL CHECK (count >= 0),
    PRIMARY KEY (day, scope)
  ) STRICT, WITHOUT ROWID;

  -- One row, written to learn whether writing works.
  CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL) STRICT;

  -- AUTOINCREMENT: a follower asks for rows after the last id it saw, so an id is never used twice.
  CREATE TABLE requests (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    request_id   TEXT NOT NULL CHECK (length(request_id) BETWEEN 1 AND 64 AND request_id NOT GLOB '*[^0-9A-Za-z_-]*'),
    key_id       TEXT CHECK (length(key_id) BETWEEN 1 AND 32 AND key_id NOT GLOB '*[^0-9A-Za-z]*'),
    route        TEXT NOT NULL CHECK (length(route) BETWEEN 1 AND 24 AND route NOT GLOB '*[^a-z_]*'),
    model        TEXT CHECK (length(model) BETWEEN 1 AND 128 AND model NOT GLOB '*[^]0-9A-Za-z._:@/[-]*'),
    status       INTEGER NOT NULL CHECK (status BETWEEN 0 AND 599),
    error        TEXT CHECK (length(error) BETWEEN 1 AND 24 AND error NOT GLOB '*[^a-z_]*'),
    limit_hit    TEXT CHECK (length(limit_hit) BETWEEN 1 AND 24 AND limit_hit NOT GLOB '*[^a-z_]*'),
    stop_reason  TEXT CHECK (length(stop_reason) BETWEEN 1 AND 32 AND stop_reason NOT GLOB '*[^a-z_]*'),
    tokens_in    INTEGER NOT NULL CHECK (tokens_in >= 0),
    tokens_out   INTEGER NOT NULL CHECK (tokens_out >= 0),
    cache_read   INTEGER NOT NULL CHECK (cache_read >= 0),
    cache_write  INTEGER NOT NULL CHECK (cache_write >= 0),
    cost_usd     REAL NOT NULL CHECK (cost_usd >= 0),
    queue_ms     INTEGER CHECK (queue_ms >= 0),
    spawn_ms     INTEGER CHECK (spawn_ms >= 0),
    upstream_ms  INTEGER CHECK (upstream_ms >= 0),
    total_ms     INTEGER NOT NULL CHECK (total_ms >= 0),
    bytes_in     INTEGER NOT NULL CHECK (bytes_in >= 0),
    bytes_out    INTEGER NOT NULL CHECK (bytes_out >= 0),
    client_gone  INTEGER NOT NULL CHECK (client_gone IN (0, 1))
  ) STRICT;
  CREATE INDEX requests_by_time ON requests (at);
  CREATE INDEX requests_by_key ON requests (key_id, id);

  -- What the rows of a day add up to, so that a report costs the number of its days and not of its requests.
  -- key_id '*' is all keys together; model '' is a request that reached no model.
  CREATE TABLE daily_usage (
    key_id      TEXT NOT NULL CHECK (length(key_id) BETWEEN 1 AND 32 AND key_id NOT GLOB '*[^0-9A-Za-z*]*'),
    day         TEXT NOT NULL CHECK (day GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    model       TEXT NOT NULL CHECK (length(model) <= 128 AND model NOT GLOB '*[^]0-9A-Za-z._:@/[-]*'),
    requests    INTEGER NOT NULL,
    errors      INTEGER NOT NULL,
    tokens_in   INTEGER NOT NULL,
    tokens_out  INTEGER NOT NULL,
    cache_read  INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cost_usd    REAL NOT NULL,
    PRIMARY KEY (key_id, day, model)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX daily_usage_by_day ON daily_usage (day);
  `,
  // A secret lent to a command was recorded as a rotation of the key. Lent secrets are pruned with the requests.
  `
  CREATE TABLE key_events_2 (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    key_id  TEXT NOT NULL REFERENCES keys (id) CHECK (length(key_id) <= 32 AND key_id NOT GLOB '*[^0-9A-Za-z]*'),
    action  TEXT NOT NULL CHECK (action IN ('created', 'rotated', 'revoked', 'lent')),
    command TEXT NOT NULL CHECK (length(command) BETWEEN 1 AND 40 AND command NOT GLOB '*[^0-9A-Za-z /._-]*')
  ) STRICT;
  INSERT INTO key_events_2
    SELECT id, at, key_id, iif(action = 'rotated' AND command = 'ask', 'lent', action), command FROM key_events;
  DROP TABLE key_events;
  ALTER TABLE key_events_2 RENAME TO key_events;
  CREATE INDEX key_events_by_key ON key_events (key_id, id);
  CREATE INDEX key_events_lent ON key_events (at) WHERE action = 'lent';
  `,
  // How the turn came by its process.
  `
  ALTER TABLE requests ADD COLUMN start TEXT CHECK (start IN ('hot', 'claim', 'spawn'));
  `,
  // The answers whose start is known, and those of a hot process.
  `
  ALTER TABLE daily_usage ADD COLUMN answers INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE daily_usage ADD COLUMN hot_answers INTEGER NOT NULL DEFAULT 0;
  `,
  // The address where a key serves Ollama's API without its secret, and changes of a key in its history.
  `
  ALTER TABLE keys ADD COLUMN ollama_host TEXT
    CHECK (length(ollama_host) BETWEEN 2 AND 45 AND ollama_host NOT GLOB '*[^0-9a-f.:]*');
  ALTER TABLE keys ADD COLUMN ollama_port INTEGER CHECK (ollama_port BETWEEN 1 AND 65535);
  CREATE UNIQUE INDEX keys_by_ollama ON keys (ollama_port, ollama_host)
    WHERE ollama_port IS NOT NULL AND revoked_at IS NULL;
  CREATE TABLE key_events_3 (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    key_id  TEXT NOT NULL REFERENCES keys (id) CHECK (length(key_id) <= 32 AND key_id NOT GLOB '*[^0-9A-Za-z]*'),
    action  TEXT NOT NULL CHECK (action IN ('created', 'rotated', 'revoked', 'lent', 'changed')),
    command TEXT NOT NULL CHECK (length(command) BETWEEN 1 AND 40 AND command NOT GLOB '*[^0-9A-Za-z /._-]*')
  ) STRICT;
  INSERT INTO key_events_3 SELECT id, at, key_id, action, command FROM key_events;
  DROP TABLE key_events;
  ALTER TABLE key_events_3 RENAME TO key_events;
  CREATE INDEX key_events_by_key ON key_events (key_id, id);
  CREATE INDEX key_events_lent ON key_events (at) WHERE action = 'lent';
  `,
  // A key that its owner has disabled until further notice.
  `
  ALTER TABLE keys ADD COLUMN disabled_at INTEGER;
  `,
  // The budgets of a key. What is spent is in daily_counts: tokens, and millionths of a dollar.
  `
  ALTER TABLE keys ADD COLUMN usd_daily REAL CHECK (usd_daily > 0);
  ALTER TABLE keys ADD COLUMN tokens_daily INTEGER CHECK (tokens_daily > 0);
  `,
  // For the owner's page: the sums of the last hours, also of those before the upgrade, the failures by kind, the time of the first text, and codes that open it.
  `
  CREATE TABLE hourly_usage (
    key_id      TEXT NOT NULL CHECK (length(key_id) BETWEEN 1 AND 32 AND key_id NOT GLOB '*[^0-9A-Za-z*]*'),
    hour        TEXT NOT NULL CHECK (hour GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]'),
    model       TEXT NOT NULL CHECK (length(model) <= 128 AND model NOT GLOB '*[^]0-9A-Za-z._:@/[-]*'),
    requests    INTEGER NOT NULL,
    errors      INTEGER NOT NULL,
    tokens_in   INTEGER NOT NULL,
    tokens_out  INTEGER NOT NULL,
    cache_read  INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cost_usd    REAL NOT NULL,
    answers     INTEGER NOT NULL,
    hot_answers INTEGER NOT NULL,
    PRIMARY KEY (key_id, hour, model)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX hourly_usage_by_hour ON hourly_usage (hour);
  INSERT INTO hourly_usage
    SELECT owner.value, strftime('%Y-%m-%dT%H', at / 1000, 'unixepoch'), coalesce(model, ''), count(*),
      sum(status >= 400 OR error IS NOT NULL), sum(tokens_in), sum(tokens_out), sum(cache_read), sum(cache_write), sum(cost_usd),
      sum(status BETWEEN 200 AND 399 AND error IS NULL AND start IS NOT NULL),
      sum(status BETWEEN 200 AND 399 AND error IS NULL AND start IS 'hot')
    FROM requests, json_each(json_array(key_id, '*')) AS owner
    WHERE at >= (unixepoch() - 2 * 86400) * 1000 AND key_id IS NOT NULL
    GROUP BY 1, 2, 3;
  ALTER TABLE requests ADD COLUMN first_text_ms INTEGER CHECK (first_text_ms >= 0);
  CREATE INDEX requests_failed ON requests (at, error, limit_hit, route) WHERE error IS NOT NULL;
  CREATE TABLE owner_codes (
    digest     BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    expires_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  `,
  // The profile of a key. Its system prompt is content: it has its own table.
  `
  ALTER TABLE keys ADD COLUMN model TEXT CHECK (length(model) BETWEEN 1 AND 128 AND model NOT GLOB '*[^]0-9A-Za-z._:@/[-]*');
  ALTER TABLE keys ADD COLUMN effort TEXT CHECK (length(effort) BETWEEN 1 AND 24 AND effort NOT GLOB '*[^a-z]*');
  ALTER TABLE keys ADD COLUMN max_tokens INTEGER CHECK (max_tokens > 0);
  ALTER TABLE keys ADD COLUMN locked INTEGER CHECK (locked = 1);
  ALTER TABLE keys ADD COLUMN system_bytes INTEGER CHECK (system_bytes > 0);
  CREATE TABLE key_prompts (
    key_id TEXT NOT NULL PRIMARY KEY REFERENCES keys (id) CHECK (length(key_id) <= 32 AND key_id NOT GLOB '*[^0-9A-Za-z]*'),
    system TEXT NOT NULL CHECK (length(CAST(system AS BLOB)) BETWEEN 1 AND 100000)
  ) STRICT;
  `,
  // The secrets that sign webhooks, and the webhooks that are not delivered yet. Until its job has ended, one has no status.
  `
  CREATE TABLE webhook_secrets (
    key_id      TEXT NOT NULL REFERENCES keys (id) CHECK (length(key_id) <= 32 AND key_id NOT GLOB '*[^0-9A-Za-z]*'),
    secret      BLOB NOT NULL CHECK (length(secret) = 32),
    valid_until INTEGER,
    PRIMARY KEY (key_id, secret)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE webhooks (
    job_id     TEXT NOT NULL PRIMARY KEY CHECK (length(job_id) <= 64 AND job_id NOT GLOB '*[^0-9A-Za-z_]*'),
    key_id     TEXT NOT NULL REFERENCES keys (id) CHECK (length(key_id) <= 32 AND key_id NOT GLOB '*[^0-9A-Za-z]*'),
    created_at INTEGER NOT NULL,
    url        TEXT NOT NULL CHECK (length(url) <= 2048 AND url NOT GLOB '*[^!-~]*'),
    status     TEXT CHECK (status IN ('done', 'failed', 'cancelled')),
    ended_at   INTEGER,
    attempts   INTEGER NOT NULL DEFAULT 0
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX webhooks_by_key ON webhooks (key_id);
  `,
  // What answers a key's requests when the plan is used up, and the requests that it answered. 'plan' stands for the second login.
  `
  ALTER TABLE keys ADD COLUMN fallback TEXT
    CHECK (length(fallback) BETWEEN 1 AND 128 AND fallback NOT GLOB '*[^]0-9A-Za-z._:@/[-]*');
  ALTER TABLE requests ADD COLUMN fallback_from TEXT
    CHECK (length(fallback_from) BETWEEN 1 AND 128 AND fallback_from NOT GLOB '*[^]0-9A-Za-z._:@/[-]*');
  ALTER TABLE daily_usage ADD COLUMN fallback_answers INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE daily_usage ADD COLUMN fallback_usd REAL NOT NULL DEFAULT 0;
  ALTER TABLE hourly_usage ADD COLUMN fallback_answers INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE hourly_usage ADD COLUMN fallback_usd REAL NOT NULL DEFAULT 0;
  `,
];
